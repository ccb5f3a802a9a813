"""What must hold after every fault: the rules that the service promises, read from the database and the store."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.db.tables import ArtifactRow, EventRow, JobRow, ModuleRow
from app.db.unit import Database
from app.storage import ObjectStore
from microlith.contract import TERMINAL_STATES

HELD = ("running", "cancelling")


def check(database: Database, objects: ObjectStore) -> None:
    """Fail with every broken rule."""
    broken = list(faults(database, objects))
    assert not broken, "\n".join(broken)


def faults(database: Database, objects: ObjectStore) -> Iterator[str]:
    """One sentence for each rule that is broken somewhere."""
    snapshot = database.engine.execution_options(isolation_level="REPEATABLE READ")
    with Session(snapshot) as session:
        now = session.scalar(text("SELECT clock_timestamp()"))
        events, modules = _by_job(session, EventRow), _by_job(session, ModuleRow)
        artifacts = session.query(ArtifactRow).all()
        for job in session.query(JobRow).all():
            found = [*_of_state(job, now), *_of_events(job, events.get(job.id, []))]
            found += _of_modules(job, modules.get(job.id, []), events.get(job.id, []))
            yield from (f"{job.id} ({job.state}): {fault}" for fault in found)
        with_file = Counter(artifact.module_id for artifact in artifacts)
        for module in (module for ours in modules.values() for module in ours):
            if not with_file[module.id]:
                yield f"{module.id} has no artifact"
        yield from _of_objects(artifacts, objects)


def _by_job(session: Session, table: Any) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = {}
    for row in session.query(table).all():
        rows.setdefault(row.job_id, []).append(row)
    return rows


def _of_state(job: JobRow, now: Any) -> Iterator[str]:
    """Over, waiting, or in the hands of a worker that is heard of."""
    if job.state in HELD:
        if job.lease_token is None or job.lease_expires_at is None or job.lease_expires_at < now:
            yield "no live lease"
    elif job.lease_token is not None:
        yield "a lease though nobody runs it"
    if (job.state in TERMINAL_STATES) != (job.finished_at is not None):
        yield f"finished at {job.finished_at}"
    if job.state == "failed" and not (job.error or {}).get("code"):
        yield "failed without a code"


def _of_events(job: JobRow, events: Sequence[EventRow]) -> Iterator[str]:
    """Numbered 1..n, one end for each beginning, and as many claims as attempts."""
    history = sorted(events, key=lambda event: event.seq)
    kinds = [event.type for event in history]
    if [event.seq for event in history] != list(range(1, job.last_seq + 1)):
        yield f"events are numbered {[event.seq for event in history]}, the last should be {job.last_seq}"
    begun, over = kinds.count("job.queued"), sum(kind.removeprefix("job.") in TERMINAL_STATES for kind in kinds)
    finished = job.state in TERMINAL_STATES
    if over != begun - (not finished):
        yield f"queued {begun} times and over {over} times"
    if finished and kinds and kinds[-1] != f"job.{job.state}":
        yield f"the last event is {kinds[-1]}"
    since = kinds[len(kinds) - kinds[::-1].index("job.queued") :] if "job.queued" in kinds else kinds
    if since.count("job.running") != job.attempts:
        yield f"{job.attempts} attempts, but {since.count('job.running')} claims"


def _of_modules(job: JobRow, modules: Sequence[ModuleRow], events: Sequence[EventRow]) -> Iterator[str]:
    """One for each concern and ratio, announced once; all of them when the job has succeeded."""
    made = Counter((module.concern_id, module.ratio) for module in modules)
    if doubled := [one for one, count in made.items() if count > 1]:
        yield f"doubled modules: {doubled}"
    announced = Counter(event.data["module_id"] for event in events if event.type == "module.ready")
    ends = sum(event.type == "job.succeeded" for event in events)  # a repair may announce a module once more
    if set(announced) != {module.id for module in modules} or max(announced.values(), default=0) > max(ends, 1):
        yield f"announced {announced}, there are {sorted(module.id for module in modules)}"
    ratio = job.spec["ratio"]
    wanted = job.concerns_total * (len(ratio) if isinstance(ratio, list) else 1)
    if job.state == "succeeded" and not (len(made) == wanted and job.concerns_succeeded == job.concerns_total):
        yield f"{len(made)} modules of {wanted}, {job.concerns_succeeded} concerns of {job.concerns_total}"


def _of_objects(artifacts: Sequence[ArtifactRow], objects: ObjectStore) -> Iterator[str]:
    """Every artifact's file is there; and whatever lies under a content key is whole."""
    stored = set(objects.list("artifacts"))
    for artifact in artifacts:
        if artifact.key not in stored:
            yield f"{artifact.id} names {artifact.key}, which is not in the store"
    for key in stored:
        digest = hashlib.sha256()
        for chunk in objects.open(key):
            digest.update(chunk)
        if digest.hexdigest() not in key:
            yield f"{key} holds other bytes than its name says"
