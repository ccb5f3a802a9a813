"""The product as processes, each of which a test can kill: servers, the web service, workers.

Site                 what a test does with it, whatever it stands on
|- ServersSite       PostgreSQL, Valkey and SeaweedFS named by URL; workers started by the test
`- EmbeddedSite      `microlith-server serve` with its own children and a folder
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, Protocol

import httpx
import redis
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.db.tables import Table
from app.db.unit import Database
from app.services.backend import Backend, open_objects
from app.services.sweeping import sweep
from microlith import Client
from microlith.client import Retry
from microlith.contract import TERMINAL_STATES, Event, Job, Module
from tests.faults.mischief import flag
from tests.faults.specs import LIGHT, Kind, settings_of
from tests.faults.watching import wait_for
from tests.faults.workers import Worker


class Server(Protocol):
    """Something the product needs, which a test takes away and brings back."""

    def stop(self) -> None:
        """End it as an operator would."""

    def kill(self) -> None:
        """End it with SIGKILL, or without a word."""

    def start(self) -> None:
        """Bring it back as it was and return when it answers."""

    @property
    def up(self) -> bool: ...


class Line(Protocol):
    """The line to a server: `dead` swallows everything, `cut` refuses it."""

    def set(self, line: Literal["open", "dead", "cut"]) -> None: ...


class Site(ABC):
    """Everything that runs. Tests see jobs through the web service alone; the checker looks at the database itself."""

    postgres: Server
    valkey: Server
    store: Server
    broker_line: Line
    broker_url: str
    """Of the broker itself, not through the line that tests cut."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.http = httpx.Client(base_url=url, timeout=20)
        self.workers: list[Worker] = []
        self.flags = folder / "flags"
        self.flags.mkdir(exist_ok=True)

    def settle(self, environment: Mapping[str, str]) -> None:
        """The processes are there and read these settings."""
        self.environment = dict(environment)
        self.settings = settings_of(environment)
        self.database = Database(self.settings.database_url or "", pool_size=2)
        self.objects = open_objects(self.settings, create=False)

    @abstractmethod
    def worker(self, kind: Kind, **environment: str) -> Worker:
        """One more worker; no worker takes a job before the first was asked for."""

    @abstractmethod
    def full_store(self, scratch: Path) -> dict[str, str]:
        """What a worker's environment says when the disk of its object store is to be full."""

    @abstractmethod
    def kill_api(self) -> None:
        """SIGKILL to the web service."""

    @abstractmethod
    def start_api(self) -> None:
        """The web service at the same address, ready."""

    @abstractmethod
    def close(self) -> None:
        """The end of everything."""

    @property
    @abstractmethod
    def api_up(self) -> bool:
        """Whether the web service runs."""

    def light(self, **environment: str) -> Worker:
        """A worker that computes nothing, see `light.py`."""
        return self.worker("light", **environment)

    def real(self, **environment: str) -> Worker:
        """A worker with the whole engine."""
        return self.worker("real", **environment)

    def standing(self, kind: Kind = "real", **environment: str) -> Worker:
        """A worker that stands still in the phase a job's label `stand` names."""
        return self.worker(kind, FAULTS_FLAGS=str(self.flags), **environment)

    def stands(self, job_id: str, attempt: int = 1, seconds: float = 30) -> None:
        """Wait until this attempt stands."""
        here = self.flags / flag(job_id, attempt)
        wait_for(here.exists, seconds, f"the stand of attempt {attempt}")

    def submit(self, kind: Mapping[str, Any] = LIGHT, **spec: Any) -> str:
        answer = self.http.post("/v1/jobs", json={**kind, **spec})
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["id"]
        return job_id

    def post(self, job_id: str, action: str) -> Job:
        answer = self.http.post(f"/v1/jobs/{job_id}/{action}")
        assert answer.status_code == 202, answer.text
        return Job.model_validate(answer.json())

    def job(self, job_id: str) -> Job:
        return Job.model_validate(self.http.get(f"/v1/jobs/{job_id}").raise_for_status().json())

    def modules(self, job_id: str) -> list[Module]:
        page = self.http.get(f"/v1/jobs/{job_id}/modules", params={"limit": 100}).raise_for_status().json()
        return [Module.model_validate(module) for module in page["data"]]

    def events(self, job_id: str) -> list[Event]:
        page = self.http.get(f"/v1/jobs/{job_id}/events", params={"limit": 100}).raise_for_status().json()
        return [Event.model_validate(event) for event in page["data"]]

    def attempts(self, job_id: str) -> int:
        """How often the job was claimed, since it was first queued."""
        return sum(event.type == "job.running" for event in self.events(job_id))

    def running(self, job_id: str, seconds: float = 30) -> None:
        wait_for(lambda: self.job(job_id).state == "running", seconds, f"the start of {job_id}")

    def reaches(self, job_id: str, phase: str, seconds: float = 30) -> None:
        wait_for(lambda: self.job(job_id).phase == phase, seconds, f"phase {phase} of {job_id}")

    def ends(self, job_id: str, state: str = "succeeded", seconds: float = 60) -> Job:
        """The job once it is over, which it must be in this state."""
        wait_for(lambda: self.job(job_id).state in TERMINAL_STATES, seconds, f"the end of {job_id}")
        job = self.job(job_id)
        assert job.state == state, f"{job.state}: {job.error}\n{self.logs()}"
        return job

    def all_end(self, job_ids: list[str], seconds: float) -> None:
        """Wait until each has succeeded."""
        query = text("SELECT count(*) FROM jobs WHERE state = 'succeeded' AND id = ANY(:ids)")

        def over() -> bool:
            with self.database.engine.connect() as connection:
                return connection.scalar(query, {"ids": job_ids}) == len(job_ids)

        wait_for(over, seconds, f"the success of {len(job_ids)} jobs")

    def logs(self) -> str:
        """The end of what each worker of this test has said."""
        return "\n".join(f"{worker.log.name}:\n{worker.said[-4000:]}" for worker in self.workers)

    def sweep(self, orphan_hours: float) -> None:
        """The sweep as a server makes it, under settings of its own."""
        settings = self.settings.model_copy(update={"orphan_hours": orphan_hours})
        with closing(Backend.open(settings)) as backend:
            sweep(backend)

    def client(self) -> Client:
        """What a user has, with more patience than a test has time."""
        return Client(self.url, retry=Retry(attempts=100, first_contact=60, longest=0.5))

    def redis(self) -> redis.Redis:
        """The broker itself, not through the line that tests cut."""
        return redis.Redis.from_url(self.broker_url)

    def calm(self) -> None:
        """After a test: whatever it broke runs again, and nothing of it is left."""
        for worker in self.workers:
            worker.kill()
        self.workers.clear()
        if not self.api_up:
            self.start_api()
        self.broker_line.set("open")
        for server in (self.postgres, self.valkey, self.store):
            if not server.up:
                server.start()
        wait_for(self._emptied, 20, "an empty database")
        for key in list(self.objects.list("artifacts")):
            self.objects.delete(key)
        with self.redis() as broker:
            broker.flushall()

    def _emptied(self) -> bool:
        """False when it met the web service, which goes on meanwhile, in a deadlock: PostgreSQL ends one side."""
        tables = ", ".join(table.name for table in Table.metadata.sorted_tables)
        try:
            with self.database.engine.begin() as connection:
                connection.execute(text(f"TRUNCATE {tables}"))
        except OperationalError:
            return False
        return True
