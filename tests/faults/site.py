"""The product as processes, each of which a test can kill: servers, the web service, workers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import httpx
import redis
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from app.db.tables import Table
from app.db.unit import Database
from app.embedded.child import Child, Command, log_tail
from app.services.backend import Backend, open_objects
from app.services.sweeping import sweep
from app.settings import Settings
from app.storage import ObjectStore
from microlith import Client
from microlith.client import Retry
from microlith.contract import TERMINAL_STATES, Event, Job, Module
from tests.embedded.processes import is_running
from tests.faults.mischief import flag
from tests.faults.proxy import Switch
from tests.faults.servers import Restartable

FULL = os.environ.get("MICROLITH_FAULTS") == "full"
"""Whether this is `make test-faults`; the whole suite runs the same tests with smaller numbers."""

DEMO = {"model": "demo:bert-tiny-wordnet", "dataset": "demo:wordnet-supersense", "reuse": False}
LIGHT = DEMO | {"concerns": ["act", "animal"]}
REAL = DEMO | {"concerns": ["animal", "food"], "evaluation": {"limit": 50, "similarity": False}}

HASTE = {
    "MICROLITH_LEASE_SECONDS": "3",
    "MICROLITH_HEARTBEAT_SECONDS": "0.5",
    "MICROLITH_CANCEL_GRACE_SECONDS": "2",
    "MICROLITH_REAPER_SECONDS": "0.5",
    "MICROLITH_UNHEARD_SECONDS": "2",
    "MICROLITH_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""What a minute is in production, a test has seconds for."""

Kind = Literal["light", "real"]

START_SECONDS = 60.0
POLL_SECONDS = 0.05


def wait_for(condition: Callable[[], bool], seconds: float, what: str = "the condition") -> None:
    """Return as soon as the condition holds; fail the test when it does not in time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{what} did not come true within {seconds:g} s"
        time.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Worker:
    """A Celery worker with its children: one process group."""

    group: int
    log: Path

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        wait_for(lambda: not is_running(self.group), 10, "the end of a killed worker")

    def terminate(self) -> None:
        """As a supervisor ends it: SIGTERM to the parent alone."""
        os.kill(self.group, signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """To everyone of the group; it is no error when nobody is left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, number)

    @property
    def alive(self) -> bool:
        return is_running(self.group)


class Nursery:
    """A process that forks workers, see `nursery.py`; started at once, ready when first asked."""

    def __init__(self, role: str, environment: Mapping[str, str], folder: Path) -> None:
        self._folder, self._count, self._role = folder, 0, role
        with (folder / f"nursery-{role}.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.nursery", role],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environment),
                start_new_session=True,
            )
        self._ready = False

    def fork(self, environment: Mapping[str, str]) -> Worker:
        self._count += 1
        log = self._folder / f"worker-{self._role}-{self._count}.log"
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        if not self._ready:
            assert stdout.readline() == b"ready\n", (self._folder / f"nursery-{self._role}.log").read_text()
            self._ready = True
        stdin.write(json.dumps({"env": dict(environment), "log": str(log)}).encode() + b"\n")
        stdin.flush()
        return Worker(int(stdout.readline()), log)

    def close(self) -> None:
        """Kills every worker that is left."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


@dataclass
class Site:
    """Everything that runs. Tests see jobs through the web service alone; the checker looks at the database itself."""

    folder: Path
    environment: dict[str, str]
    url: str
    postgres: Restartable
    valkey: Restartable
    weed: Restartable
    broker_line: Switch
    broker_url: str
    nurseries: dict[Kind, Nursery]
    api: Child
    http: httpx.Client
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = settings_of(self.environment)
        self.database = Database(self.settings.database_url or "", pool_size=2)
        self.objects: ObjectStore = open_objects(self.settings)
        self.flags = self.folder / "flags"
        self.flags.mkdir(exist_ok=True)

    def light(self, **environment: str) -> Worker:
        """A worker that computes nothing, see `light.py`."""
        return self.worker("light", **environment)

    def real(self, **environment: str) -> Worker:
        """A worker with the whole engine."""
        return self.worker("real", **environment)

    def worker(self, kind: Kind, **environment: str) -> Worker:
        worker = self.nurseries[kind].fork(self.environment | environment)
        self.workers.append(worker)
        return worker

    def standing(self, kind: Kind = "real", **environment: str) -> Worker:
        """A worker that stands still in the phase a job's label `stand` names."""
        return self.worker(kind, FAULTS_FLAGS=str(self.flags), **environment)

    def stands(self, job_id: str, attempt: int = 1, seconds: float = 30) -> None:
        """Wait until this attempt stands."""
        wait_for(lambda: self.standing_now(job_id, attempt), seconds, f"the stand of attempt {attempt}")

    def standing_now(self, job_id: str, attempt: int = 1) -> bool:
        return (self.flags / flag(job_id, attempt)).exists()

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

    def ends(self, job_id: str, state: str = "succeeded", seconds: float = 60) -> Job:
        """The job once it is over, which it must be in this state."""
        wait_for(lambda: self.job(job_id).state in TERMINAL_STATES, seconds, f"the end of {job_id}")
        job = self.job(job_id)
        assert job.state == state, f"{job.state}: {job.error}\n{self.logs()}"
        return job

    def logs(self) -> str:
        """The end of what each worker of this test has said."""
        return "\n".join(f"{worker.log.name}:\n{log_tail(worker.log, 40)}" for worker in self.workers)

    def all_end(self, job_ids: list[str], seconds: float) -> None:
        """Wait until each has succeeded."""
        query = text("SELECT count(*) FROM jobs WHERE state = 'succeeded' AND id = ANY(:ids)")

        def over() -> bool:
            with self.database.engine.connect() as connection:
                return connection.scalar(query, {"ids": job_ids}) == len(job_ids)

        wait_for(over, seconds, f"the success of {len(job_ids)} jobs")

    def sweep(self, orphan_hours: float) -> None:
        """The sweep as a worker makes it, under settings of its own."""
        settings = self.settings.model_copy(update={"orphan_hours": orphan_hours})
        with closing(Backend.open(settings)) as backend:
            sweep(backend)

    def client(self) -> Client:
        """What a user has, with more patience than a test has time."""
        return Client(self.url, retry=Retry(attempts=30, first_contact=30, longest=0.5))

    def redis(self) -> redis.Redis:
        """The broker itself, not through the line that tests cut."""
        return redis.Redis.from_url(self.broker_url)

    def kill_api(self) -> None:
        os.kill(self.api.pid, signal.SIGKILL)
        self.api.wait()

    def start_api(self) -> None:
        self.api = start_api(self.folder, self.environment, self.url)

    def stop_api(self) -> None:
        self.api.stop()

    def calm(self) -> None:
        """After a test: whatever it broke runs again, and nothing of it is left."""
        for worker in self.workers:
            worker.kill()
        self.workers.clear()
        for server in (self.postgres, self.valkey, self.weed):
            if not server.up:
                server.start()
        if self.api.exit_code is not None:
            self.start_api()
        self.broker_line.set("open")
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


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings that a process with this environment reads."""
    names = Settings.model_fields
    given = {name: environment.get(f"MICROLITH_{name.upper()}") for name in names}
    return Settings(**{name: value for name, value in given.items() if value is not None})


def start_api(folder: Path, environment: Mapping[str, str], url: str) -> Child:
    """`microlith-server serve`, ready."""
    program = Path(sys.executable).with_name("microlith-server")
    port = url.rpartition(":")[2]
    command = [program, "serve", "--port", port, "--data-dir", folder]
    api = Child(Command("the web service", command, folder / "api.log", environment, cwd=Path.cwd()))
    api.wait_until(lambda: ready(url), START_SECONDS)
    return api


def descendants(pid: int) -> set[int]:
    """Every process that this one started, and those they started."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found, new = set[int](), [pid]
    while new:
        new = [child for parent in new for child in parents.get(parent, [])]
        found.update(new)
    return found


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=10).status_code == 200
    except httpx.TransportError:
        return False


def base_environment(folder: Path) -> dict[str, str]:
    """Nothing of the tester's own settings; what killed processes leave lies below `folder`."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MICROLITH_")}
    scratch = folder / "tmp"
    scratch.mkdir(exist_ok=True)
    return own | HASTE | {"PYTHONPATH": str(Path.cwd()), "TMPDIR": str(scratch)}


@contextmanager
def nurseries(environment: Mapping[str, str], folder: Path) -> Iterator[dict[Kind, Nursery]]:
    """Of both kinds; they import while the servers start."""
    both: dict[Kind, Nursery] = {role: Nursery(role, environment, folder) for role in get_args(Kind)}
    try:
        yield both
    finally:
        for nursery in both.values():
            nursery.close()
