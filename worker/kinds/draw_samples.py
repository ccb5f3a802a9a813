"""What calibrates: samples of every concern, out of the data as it is or out of a set made at the decision boundary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.budgets import SOLVED_TOKENS
from app.services.sweeping import BOUNDARY
from app.sources.reference_files import sha256, stamp
from app.storage import ObjectStore
from microlith.contract import JobSpec
from worker.attempt.attempt import Attempt
from worker.attempt.module_rows import keep_samples
from worker.attempt.retrying import patient
from worker.compute.arrays import Logits
from worker.compute.batches import Checkpoint
from worker.compute.examples import Examples
from worker.evaluation.runner import predict
from worker.sampling.boundary import BoundarySet, check_fits, generate, samples_of
from worker.sampling.boundary_file import MEDIA_TYPE, load, save
from worker.sampling.boundary_plan import BoundaryPlan, identity
from worker.sampling.concern import ConcernSamples, draw_pooled, draw_samples, rows_of
from worker.sampling.confusers import Confusion, confusion
from worker.sources.open_sources import Sources

ANSWERED_ROWS = 4096
"""Examples of a split that the base is asked about, at most: for its confusions, and for where to start from."""

MOST_TOKEN_TYPES = 256
"""Of a model whose config does not say: what a file of boundary samples can hold."""

ORDERED_PER_CLASS = 32
"""Examples of each class that whole layers are told apart by."""

SOLVED_PER_CLASS = 512
"""Examples of each class that weights are solved anew over, at most."""


@dataclass(frozen=True)
class Drawn:
    """Each concern's samples, by row of `pool`; `boundary` is the key of the set they come from, if it was made."""

    samples: Mapping[int, ConcernSamples]
    pool: Examples
    boundary: str | None = None


def draw(spec: JobSpec, sources: Sources, attempt: Attempt, scratch: Path) -> Drawn:
    """The samples a spec asks for, of every concern of the job. Raises NotEnoughSamples."""
    concerns = [concern.id for concern in sources.concerns]
    if spec.sampling.source == "boundary":
        key, made = (
            _load_given(spec, sources) if sources.boundary else _find_or_generate(spec, sources, attempt, scratch)
        )
        return Drawn({c: samples_of(made, c, spec.sampling.per_concern) for c in concerns}, made.examples, key)
    labels, classes = sources.labels(spec.sampling.split), len(sources.model.labels)
    confusers = _find_confusion(spec, sources, attempt.check) if spec.sampling.negatives == "confusers" else None
    samples = {c: draw_samples(labels, c, classes, spec.sampling, confusion=confusers) for c in concerns}
    return Drawn(samples, sources.encode(spec.sampling.split, rows_of(samples)))


def draw_to_order(spec: JobSpec, sources: Sources) -> Examples:
    """What whole layers are told apart by: examples of every class of the split that is sampled."""
    return _draw_pool(spec, sources, ORDERED_PER_CLASS)


def draw_to_repair(spec: JobSpec, sources: Sources) -> Examples:
    """What modules are solved anew by: the same, as many as SOLVED_TOKENS have room for."""
    pool = _draw_pool(spec, sources, SOLVED_PER_CLASS)
    tokens = int(pool.lengths(np.arange(len(pool))).sum())
    if tokens <= SOLVED_TOKENS:
        return pool
    return _draw_pool(spec, sources, max(1, SOLVED_PER_CLASS * SOLVED_TOKENS // tokens))


def _draw_pool(spec: JobSpec, sources: Sources, per_class: int) -> Examples:
    sampling = spec.sampling
    role = sampling.boundary.split if sampling.source == "boundary" else sampling.split
    rows = draw_pooled(sources.labels(role), len(sources.model.labels), sampling, per_class)
    return sources.encode(role, rows).take(rows)


def _find_confusion(spec: JobSpec, sources: Sources, checkpoint: Checkpoint) -> Confusion:
    """Which classes the base takes for which."""
    examples, logits = _ask_base(sources, spec.sampling.split, checkpoint)
    return confusion(logits, examples.labels, len(sources.model.labels))


def _load_given(spec: JobSpec, sources: Sources) -> tuple[str, BoundarySet]:
    """The set that the caller has made, or been given; its name is its content's. Raises DatasetInvalid."""
    assert sources.boundary is not None
    made = load(sources.boundary)
    model: Any = sources.model.model
    check_fits(made, model.get_input_embeddings().embedding_dim, len(sources.model.labels), _token_types(spec, sources))
    return f"sha256:{sha256(stamp(sources.boundary))}", made


def _token_types(spec: JobSpec, sources: Sources) -> int:
    """How many token types the job's inputs may have; 0 where they are single texts, or the model reads none."""
    if spec.source.text_pair_column is None or not sources.model.segments:
        return 0
    model: Any = sources.model.model
    return int(getattr(model.config, "type_vocab_size", None) or MOST_TOKEN_TYPES)


def _find_or_generate(spec: JobSpec, sources: Sources, attempt: Attempt, scratch: Path) -> tuple[str, BoundarySet]:
    """The set under the key of what it is made from: found again by later jobs, or made now and kept for them."""
    plan = _plan_set(spec)
    key = f"{BOUNDARY}/{_name_set(spec, sources, plan)}.safetensors"
    file = scratch / "boundary.safetensors"
    if attempt.reach_store(lambda: _fetch(attempt.objects, key, file)):
        made = load(file)
    else:
        examples, logits = _ask_base(sources, spec.sampling.boundary.split, attempt.check)
        made = generate(sources.model.model, examples, logits, plan, checkpoint=attempt.check)
        save(made, file)
    keep_set(key, file, attempt)
    return key, made


@patient
def keep_set(key: str, file: Path, attempt: Attempt) -> None:
    """Have the set in the store, also when it was swept away just now, and this job keep it there."""
    lease = attempt.lease
    with lease.database.shielded([key]):
        attempt.reach_store(lambda: attempt.objects.put_file(key, file, MEDIA_TYPE))
        with lease.write() as (unit, job):
            keep_samples(unit, job, key, file, MEDIA_TYPE)


def _fetch(objects: ObjectStore, key: str, file: Path) -> bool:
    """Whether the object is there; if so, `file` holds it now."""
    if objects.head(key) is None:
        return False
    objects.download(key, file)
    return True


def _name_set(spec: JobSpec, sources: Sources, plan: BoundaryPlan) -> str:
    """The set's identity: the model's content, the data's with the columns and splits read, and the plan."""
    model, data = sources.model.facts, sources.data.facts
    read = spec.source.model_dump_json(exclude={"ref"})
    return identity(
        model.content_sha256 or str(model.revision),
        f"{data.sha256 or data.revision} {read} {ANSWERED_ROWS}",
        len(sources.model.labels),
        plan,
    )


def _plan_set(spec: JobSpec) -> BoundaryPlan:
    """How the set is made; the seed system's way, embedding layer twice and every step, where it is reproduced."""
    options = (spec.sampling.boundary, spec.sampling.per_concern, spec.sampling.seed)
    exact = spec.calibration.pads == "include" and spec.calibration.pairing == "position"
    return BoundaryPlan(*options, mode="seed", stride=1) if exact else BoundaryPlan(*options)


def _ask_base(sources: Sources, role: str, checkpoint: Checkpoint) -> tuple[Examples, Logits]:
    """Examples spread evenly over a split, with the base's logits."""
    examples = sources.thinned(role, ANSWERED_ROWS)
    return examples, predict(sources.model.model, examples, checkpoint=checkpoint)
