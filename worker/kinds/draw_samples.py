"""What calibrates: samples of every concern, out of the data as it is or out of a set made at the decision boundary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.services.sweeping import BOUNDARY
from app.sources.reference_files import sha256, stamp
from app.storage import ObjectStore
from microlith.contract import JobSpec
from worker.attempt.journal import Journal
from worker.attempt.retrying import patient, reached
from worker.attempt.rows import keep_samples
from worker.compute.batches import Checkpoint
from worker.compute.examples import Examples
from worker.evaluation.runner import Logits, evenly, predict
from worker.sampling.boundary import BoundarySet, check_fits, generate, samples_of
from worker.sampling.boundary_file import MEDIA_TYPE, load, save
from worker.sampling.boundary_plan import BoundaryPlan, identity
from worker.sampling.concern import ConcernSamples, draw_samples, rows_of
from worker.sampling.confusers import Confusion, confusion
from worker.sources.open_sources import Sources

ANSWERED_ROWS = 4096
"""Examples of a split that the base is asked about, at most: for its confusions, and for where to start from."""


@dataclass(frozen=True)
class Drawn:
    """Each concern's samples, by row of `pool`; `boundary` is the key of the set they come from, if it was made."""

    samples: Mapping[int, ConcernSamples]
    pool: Examples
    boundary: str | None = None


def draw(spec: JobSpec, sources: Sources, journal: Journal, scratch: Path) -> Drawn:
    """The samples a spec asks for, of every concern of the job. Raises NotEnoughSamples."""
    concerns = [concern.id for concern in sources.concerns]
    if spec.sampling.source == "boundary":
        key, made = _brought(sources) if sources.boundary else _kept(spec, sources, journal, scratch)
        return Drawn({c: samples_of(made, c, spec.sampling.per_concern) for c in concerns}, made.examples, key)
    labels, classes = sources.labels(spec.sampling.split), len(sources.model.labels)
    confused = _confusion(spec, sources, journal.alive) if spec.sampling.negatives == "confusers" else None
    samples = {c: draw_samples(labels, c, classes, spec.sampling, confusion=confused) for c in concerns}
    return Drawn(samples, sources.encode(spec.sampling.split, rows_of(samples)))


def _confusion(spec: JobSpec, sources: Sources, checkpoint: Checkpoint) -> Confusion:
    """Which classes the base takes for which."""
    examples, logits = _answered(sources, spec.sampling.split, checkpoint)
    return confusion(logits, examples.labels, len(sources.model.labels))


def _brought(sources: Sources) -> tuple[str, BoundarySet]:
    """The set that the caller has made, or been given; its name is its content's. Raises DatasetInvalid."""
    assert sources.boundary is not None
    made = load(sources.boundary)
    model: Any = sources.model.model
    check_fits(made, model.get_input_embeddings().embedding_dim, len(sources.model.labels))
    return f"sha256:{sha256(stamp(sources.boundary))}", made


def _kept(spec: JobSpec, sources: Sources, journal: Journal, scratch: Path) -> tuple[str, BoundarySet]:
    """The set under the key of what it is made from: found again by later jobs, or made now and kept for them."""
    plan = _plan(spec)
    key = f"{BOUNDARY}/{_name(spec, sources, plan)}.safetensors"
    file = scratch / "boundary.safetensors"
    if reached(lambda: _fetched(journal.objects, key, file), journal.lease.checkpoint):
        made = load(file)
    else:
        examples, logits = _answered(sources, spec.sampling.boundary.split, journal.alive)
        made = generate(sources.model.model, examples, logits, plan, checkpoint=journal.alive)
        save(made, file)
    _keep(key, file, journal)
    return key, made


@patient
def _keep(key: str, file: Path, journal: Journal) -> None:
    """Have the set in the store, also when it was swept away just now, and this job keep it there."""
    lease = journal.lease
    with lease.database.shielded([key]):
        reached(lambda: journal.objects.put_file(key, file, MEDIA_TYPE), lease.checkpoint)
        with lease.write() as (unit, job):
            keep_samples(unit, job, key, file, MEDIA_TYPE)


def _fetched(objects: ObjectStore, key: str, file: Path) -> bool:
    """Whether the object is there; if so, `file` holds it now."""
    if objects.head(key) is None:
        return False
    objects.download(key, file)
    return True


def _name(spec: JobSpec, sources: Sources, plan: BoundaryPlan) -> str:
    """The set's identity: the model's content, the data's with the columns and splits read, and the plan."""
    model, data = sources.model.facts, sources.data.facts
    read = spec.source.model_dump_json(exclude={"ref"})
    return identity(
        model.content_sha256 or str(model.revision),
        f"{data.sha256 or data.revision} {read} {ANSWERED_ROWS}",
        len(sources.model.labels),
        plan,
    )


def _plan(spec: JobSpec) -> BoundaryPlan:
    """How the set is made; the seed system's way, embedding layer twice and every step, where it is reproduced."""
    wanted = (spec.sampling.boundary, spec.sampling.per_concern, spec.sampling.seed)
    exact = spec.calibration.pads == "include" and spec.calibration.pairing == "position"
    return BoundaryPlan(*wanted, mode="seed", stride=1) if exact else BoundaryPlan(*wanted)


def _answered(sources: Sources, role: str, checkpoint: Checkpoint) -> tuple[Examples, Logits]:
    """Examples spread evenly over a split, with the base's logits."""
    rows = evenly(len(sources.labels(role)), ANSWERED_ROWS)
    examples = sources.encode(role, rows.tolist()).take(rows)
    return examples, predict(sources.model.model, examples, checkpoint=checkpoint)
