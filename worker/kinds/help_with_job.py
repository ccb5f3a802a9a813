"""The story of a worker that helps with somebody else's job: it makes modules of concerns that are free.

It writes under the lease of the attempt it helps, and keeps only its own shards alive. Whatever goes wrong with it is
no fault of the job: its shard is free again, at once or when it has not been renewed for long.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial

import structlog

from app.db.pool import DATABASE_AWAY
from app.db.unit import Database, Unit
from app.domain.ids import new_id
from app.services.backend import Backend
from app.settings import Settings
from microlith.contract import Baselines, BaseResult, JobSpec, Resolved, State
from worker.attempt.attempt import Attempt
from worker.attempt.lease import DEAF, CancelledError, Lease, LeaseLostError
from worker.attempt.retrying import patient
from worker.attempt.workspace import workroom
from worker.kinds.draw_samples import Drawn, draw_to_repair
from worker.kinds.make_module import Maker
from worker.kinds.measure import Bench
from worker.kinds.pack_modules import Exporter
from worker.kinds.remembered_base import BaseMemory
from worker.kinds.share_concerns import fetch_shard, finish_shard, take_shard
from worker.kinds.trim_vocabulary import JobVocabulary
from worker.pruning.repair import Repair
from worker.sources.open_sources import Sources, open_for

log = structlog.get_logger()


def help_with(backend: Backend, job_id: str) -> None:
    """Make what modules of a running job are free. Does nothing where there are none."""
    lease = HelpersLease.join(backend.database, backend.settings, job_id)
    if lease is None:
        return
    with structlog.contextvars.bound_contextvars(job_id=job_id, helper=lease.holder):
        log.info("helper_started")
        try:
            with lease.heartbeat(deaf=lambda _: os._exit(DEAF)):
                _help(lease.spec, Attempt.of(lease, backend, shown=False), backend.settings)
        except (CancelledError, LeaseLostError) as over:
            log.info("helper_released", why=type(over).__name__)
        except Exception:  # whatever it was: who has the lease makes it, or says what is wrong
            log.exception("helper_failed")
        finally:
            lease.leave()


def _help(spec: JobSpec, attempt: Attempt, settings: Settings) -> None:
    with workroom(settings) as (folder, verifier), ExitStack() as held:
        shelf = held.enter_context(attempt.hold_sources(spec))
        sources = open_for(settings, spec, shelf)
        memory = BaseMemory.of(spec, sources, attempt.objects, folder, attempt.check)
        published, measured_base = read_base(attempt.lease, sources), memory.recall()
        if published is None or measured_base is None:
            log.warning("helper_mismatched", device=sources.resolved.device)
            return
        parts, concerns = sources.model.anatomy, {concern.id: concern for concern in sources.concerns}
        bench, drawn = Bench.of(spec, sources, parts, measured_base), Drawn({}, sources.encode(spec.sampling.split, []))
        vocabulary = JobVocabulary.of(spec, sources, bench.validation, folder)
        exporter = Exporter(spec, sources, *published, parts, drawn, vocabulary, folder)
        repair = Repair(spec, sources.model.model, parts, sources.layers, partial(draw_to_repair, spec, sources))
        maker = Maker(sources.model.model, parts, bench, repair, exporter, verifier, attempt)
        while (concern := take_shard(attempt, settings.lease_seconds)) is not None:
            shard = fetch_shard(attempt, concern, folder)
            exporter.drawn = Drawn({concern: shard.samples}, drawn.pool, shard.boundary)
            repair.means = {concern: shard.means}
            for ratio, mask in shard.masks.items():
                maker.make(concerns[concern], ratio, mask)
            finish_shard(attempt, concern)


@dataclass
class HelpersLease(Lease):
    """A share in the lease of another worker's attempt."""

    name: str = field(default_factory=lambda: new_id("lease"))

    @classmethod
    def join(cls, database: Database, settings: Settings, job_id: str) -> HelpersLease | None:
        """A share in the lease of a running job; None where no shard is left."""
        with database.unit() as unit:
            job = unit.jobs.lock(job_id)
            if job is None or job.state != "running" or job.lease_token is None:
                return None
            return cls.of(database, settings, job) if unit.shards.unfinished(job_id, job.lease_token) else None

    @property
    def holder(self) -> str:
        return self.name

    def leave(self) -> None:
        """What it has not finished is free; if the database is away, once its time is up."""
        with suppress(*DATABASE_AWAY), self.database.unit() as unit:
            unit.shards.give_back(self.job_id, self.holder)

    def extend(self, unit: Unit) -> State | None:
        """Has its own shards last longer; the job's state, or None when the attempt that it helps has lost the job."""
        unit.shards.renew(self.job_id, self.holder, self.settings.lease_seconds)
        return unit.jobs.state_under(self.job_id, self.token)


@patient
def read_base(lease: Lease, sources: Sources) -> tuple[BaseResult, Baselines | None] | None:
    """The measures of the base and of the baselines.

    None unless the worker with the lease reads the very same sources on the same kind of device.
    """
    with lease.write() as (_, job):
        same = Resolved.model_validate(job.resolved) == sources.resolved
        if not same or not job.base:
            return None
        baselines = job.base.get("baselines")
        return BaseResult.model_validate(job.base), baselines and Baselines.model_validate(baselines)
