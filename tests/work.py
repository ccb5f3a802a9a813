"""Builders for tests: specs, jobs in a given state, and published modules, made through the code that makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.services import lifecycle
from app.services.backend import Backend
from app.services.jobs import Jobs, Submission
from microlith.contract import BaseResult, ClassScore, Concern, JobSpec, OwnScore, Ratio, Report, Size, Sparsity
from microlith.contract.module import Macro
from worker.attempt import run as attempts
from worker.attempt.attempt import Attempt
from worker.attempt.lease import Lease
from worker.attempt.publishing import Publisher
from worker.kinds import story_of
from worker.packaging.archive import archive

DEMO = {"model": "demo:bert-tiny-wordnet", "dataset": "demo:wordnet-supersense"}
LABELS = ("act", "animal", "artifact")


def run(backend: Backend, job_id: str) -> None:
    """An attempt of a job in this process, as a worker makes it."""
    attempts.run(backend, job_id, story_of)


def submit(backend: Backend, owner: str = "default", **spec: Any) -> str:
    """A queued job on the demo model; its id."""
    with backend.database.unit() as unit:
        wanted = JobSpec.model_validate(DEMO | {"reuse": False} | spec)
        return Jobs(unit, owner, backend).submit(Submission(wanted)).id


def claim(backend: Backend, job_id: str) -> Lease:
    """The lease of a queued job."""
    lease = Lease.claim(backend.database, backend.settings, job_id)
    assert lease is not None
    return lease


def attempt_of(backend: Backend, lease: Lease) -> Attempt:
    """What the story of the job is handed."""
    return Attempt.of(lease, backend)


def publisher_of(backend: Backend, lease: Lease) -> Publisher:
    """What makes visible what the attempt with this lease has made."""
    return attempt_of(backend, lease).publisher


def finish(backend: Backend, lease: Lease) -> None:
    """The job ends well."""
    with lease.write() as (unit, job):
        lifecycle.move(unit, job, "succeed")


def report(*f1: float) -> Report:
    """A report with the given F1 for each of the first labels."""
    classes = [
        ClassScore(id=i, label=LABELS[i], precision=value, recall=value, f1=value, support=10)
        for i, value in enumerate(f1)
    ]
    mean = sum(f1) / len(f1)
    return Report(
        classes=classes, macro=Macro(precision=mean, recall=mean, f1=mean), accuracy=mean, loss=0.5, exp_loss=1.6
    )


def publish(publisher: Publisher, folder: Path, concern: int, measured: Report, *, ratio: float = 0.5) -> bytes:
    """A module of `concern` with an artifact of a few bytes; the artifact's bytes."""
    content = folder / f"module-{concern}-{ratio}"
    content.mkdir()
    (content / "config.json").write_text(f'{{"concern": {concern}, "ratio": {ratio}}}')
    package = archive(content, folder / f"{content.name}.zip")
    label = Concern(id=concern, label=LABELS[concern])
    publisher.publish_module(label, ratio, module_facts(concern, ratio, measured), [package])
    return package.path.read_bytes()


def module_facts(concern: int, ratio: float, measured: Report) -> dict[str, Any]:
    """All there is to say of a module of `concern` that measures so."""
    own = OwnScore.model_validate(measured.classes[concern].model_dump())
    values = {
        "concern": Concern(id=concern, label=LABELS[concern]),
        "ratio": Ratio(requested=ratio, achieved=ratio),
        "sparsity": Sparsity(overall=0.3, layers={}),
        "size": Size(parameters=100, nonzero=70, base_parameters=100),
        "own": own,
        "base_own": own,
        "report": measured,
    }
    facts = {name: value.model_dump(mode="json") for name, value in values.items()}
    return facts | {"method": "ci", "structure": "weights"}


def base_result() -> BaseResult:
    return BaseResult(parameters=100, report=report(0.9, 0.8, 0.7))
