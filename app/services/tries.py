"""Somebody tries a module: the texts become a job, and a caller who waits hears what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from app.services.backend import Backend
from app.services.orders import Orders
from app.services.watching import Watching
from microlith.contract import Job, Module, PredictionRequest


@dataclass(frozen=True)
class Tries:
    """Tries of one caller."""

    backend: Backend
    owner: str

    async def module(self, module_id: str) -> Module:
        """The module to be tried."""
        return Module.model_validate_json(
            await Watching(self.backend, self.owner).modules(
                ("module", module_id), lambda modules: modules.get(module_id)
            )
        )

    async def ask(self, module_id: str, request: PredictionRequest, seconds: float) -> Job:
        """The job once it is over, or as it is after so many seconds. No transaction is open while it is waited for."""
        job = await self.backend.lanes.writes.run(("try", module_id), lambda: self._order(module_id, request))
        return await Watching(self.backend, self.owner).outcome(job.id, seconds) if seconds else job

    def _order(self, module_id: str, request: PredictionRequest) -> Job:
        with self.backend.database.unit() as unit:
            return Orders(unit, self.owner, self.backend).predict(module_id, request)
