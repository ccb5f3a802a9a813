"""The baselines of a job: measured once for all jobs of the same data that are measured alike, whatever their model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import sklearn

from app.storage import ObjectStore
from microlith.contract import Baselines, JobSpec
from worker.evaluation.baselines import bag_of_words, majority
from worker.evaluation.runner import evenly
from worker.kinds.memory import Memory
from worker.sources.open_sources import Sources

RECIPE = 1
"""Goes up whenever the same facts would be measured otherwise."""

TRAIN = "train"


def find_baselines(
    spec: JobSpec, sources: Sources, objects: ObjectStore, scratch: Path, check: Callable[[], None]
) -> Baselines | None:
    """As an earlier job measured them, or measured now and remembered; None where the seed system is reproduced."""
    if spec.calibration.pads == "include":
        return None
    memory = Memory(_made_from(spec, sources), objects, scratch, check)
    known = memory.recall()
    if known is None:
        known = _measure(spec, sources).model_dump(mode="json")
        memory.keep(known)
    return Baselines.model_validate(known)


def _measure(spec: JobSpec, sources: Sources) -> Baselines:
    """Both of them, or why not."""
    data, role = sources.data, spec.evaluation.split
    if TRAIN not in data.rows:
        reason = "The job does not read the train split, which they learn from."
        return Baselines(majority=None, bag_of_words=None, reason=reason)
    if role == TRAIN or data.facts.splits[TRAIN] == data.facts.splits[role]:
        reason = "The job is evaluated on the split that they would learn from."
        return Baselines(majority=None, bag_of_words=None, reason=reason)
    names, (inputs, labels), (tests, answers) = sources.model.labels, data.split(TRAIN), data.split(role)
    rows = evenly(len(answers), spec.evaluation.limit)
    most = majority(labels, answers[rows], names)
    if sources.model.info.task == "image":
        return Baselines(majority=most, bag_of_words=None, reason="Images have no words.")
    bag = bag_of_words((_words(inputs), labels), (_words([tests[row] for row in rows]), answers[rows]), names)
    missing = None if bag else "The train split has fewer than two classes, or no words."
    return Baselines(majority=most, bag_of_words=bag, reason=missing)


def _words(inputs: Iterable[Any]) -> list[str]:
    """Texts as they are; of several that are read at once, all words together."""
    return [given if isinstance(given, str) else " ".join(given) for given in inputs]


def _made_from(spec: JobSpec, sources: Sources) -> dict[str, Any]:
    """All that decides what they are, as JSON takes it."""
    data = sources.data.facts
    return {
        "what": "baselines",
        "recipe": RECIPE,
        "labels": sources.model.labels,
        "multi_label": sources.model.info.multi_label,
        "dataset": data.sha256 or data.revision,
        "read": spec.source.model_dump(mode="json", exclude={"ref"}),
        "evaluation": spec.evaluation.model_dump(mode="json", include={"split", "limit"}),
        "rows": data.rows,
        "splits": data.splits,
        "version": sklearn.__version__,
    }
