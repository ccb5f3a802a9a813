"""`decomposition.json`: all that is needed to make the module again, and what it measured."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from worker.packaging.module_facts import ModuleFacts

FORMAT = 1
_LIBRARIES = ("microlith", "torch", "transformers")
_CALLED = {"model": {"name"}, "dataset": {"name"}}
"""What somebody called a file says nothing about what is in it: equal content gives an equal document."""


def decomposition(facts: ModuleFacts) -> dict[str, Any]:
    """The document, ready for JSON: equal facts give an equal document."""
    thresholds = {} if facts.thresholds is None else {"thresholds": facts.thresholds}
    return {
        "format": FORMAT,
        "versions": {library: version(library) for library in _LIBRARIES},
        "spec": facts.recipe(),
        "resolved": facts.resolved.model_dump(mode="json", exclude=_CALLED),
        "concern": facts.concern.model_dump(mode="json"),
        "ratio": facts.ratio.model_dump(mode="json"),
        "seed": facts.spec.sampling.seed,
        "samples": _samples(facts),
        "mask": {"sha256": facts.mask_sha256},
        **thresholds,
        "sparsity": facts.sparsity.model_dump(mode="json"),
        "size": facts.size.model_dump(mode="json"),
        "cost": facts.cost and facts.cost.model_dump(mode="json"),
        "vocabulary": facts.vocabulary and facts.vocabulary.model_dump(mode="json"),
        "metrics": {
            "own": facts.own.model_dump(mode="json"),
            "delivered": facts.delivered and facts.delivered.model_dump(mode="json"),
            "base_own": facts.base_own.model_dump(mode="json"),
            "report": facts.report.model_dump(mode="json"),
            "similarity": facts.similarity and facts.similarity.model_dump(mode="json"),
            "binary": facts.binary and facts.binary.model_dump(mode="json"),
            "numerics": facts.numerics and facts.numerics.model_dump(mode="json"),
            "base_report": facts.base_report.model_dump(mode="json"),
            "macro_change": facts.macro_change and facts.macro_change.model_dump(mode="json"),
            "baselines": facts.baselines and facts.baselines.model_dump(mode="json"),
        },
    }


def essentials(facts: ModuleFacts) -> dict[str, Any]:
    """The same without its tables, which would outweigh a mask: what is told class by class and layer by layer."""
    document = decomposition(facts)
    document["sparsity"] = {"overall": facts.sparsity.overall}
    for report in ("report", "base_report"):
        for name in ("classes", "confusion"):
            del document["metrics"][report][name]
    del document["resolved"]["layers"], document["metrics"]["baselines"]
    if document["resolved"]["model"]:
        del document["resolved"]["model"]["labels"]
    return document


def _samples(facts: ModuleFacts) -> dict[str, Any]:
    """Which rows, and of what: a split, or a set made at the decision boundary."""
    rows = {"positive": facts.samples.positive, "negative": facts.samples.negative}
    if facts.samples.boundary is not None:
        return {"boundary": facts.samples.boundary, **rows}
    return {"split": facts.spec.sampling.split, **rows}
