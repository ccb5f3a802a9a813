"""The product as a newcomer runs it: `microlith-server serve` brings everything along and keeps it in a folder."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.embedded.child import Child, Command
from app.embedded.port import LOOPBACK, free_port
from tests.embedded.processes import command_line, descendants, is_running
from tests.faults.belongings import START_SECONDS, Folder, LoopbackLine, OwnWorker, ServersChild
from tests.faults.servers import answers_ping, answers_sql
from tests.faults.site import Site
from tests.faults.specs import Kind, base_environment
from tests.faults.watching import ready, wait_for
from tests.faults.workers import Nursery, Worker
from tests.servers import scratch_folder

SEAM = Path(__file__).with_name("seam")
STOP_SECONDS = 60.0


class EmbeddedSite(Site):
    """The server with its children.

    A second worker of a test is forked beside them, as if somebody had started one more; with the whole engine there is
    the server's own alone.
    """

    def __init__(self, folder: Path, url: str, guests: Nursery) -> None:
        super().__init__(folder, url)
        self._guests, self._orders, self.data_dir = guests, folder / "orders.json", folder / "data"
        self._serving = self._serve()
        try:
            self._settle()
        except BaseException:
            self._serving.stop()
            raise
        self.postgres = ServersChild(
            lambda: self.child("pginstall/bin/postgres", "-D"), self._postgres_config, self._answers_sql
        )
        self.valkey = ServersChild(
            lambda: self.child("valkey-server"), lambda: self._place("valkey") / "valkey.conf", self._answers_ping
        )
        self.store, self.broker_line = Folder(self.data_dir / "objects"), LoopbackLine(self.valkey)

    def worker(self, kind: Kind, **environment: str) -> Worker:
        taken = any(isinstance(worker, OwnWorker) and worker.alive for worker in self.workers)
        second = taken and kind == "light"
        worker = self._guests.fork(self.environment | environment) if second else self.own(kind, **environment)
        self.workers.append(worker)
        return worker

    def own(self, kind: Kind, **environment: str) -> OwnWorker:
        """The server's own worker, under these orders from now on."""
        log = self.data_dir / "logs" / "worker.log"
        orders = {"FAULTS_KIND": kind, **environment}
        if (before := self.own_pid()) and self._orders.with_suffix(f".{before}").exists():
            OwnWorker(before, log, orders=self._orders).kill()  # it still works on what an earlier test wanted
        log_start = log.stat().st_size if log.exists() else 0
        draft = self._orders.with_suffix(".draft")
        draft.write_text(json.dumps(orders))
        draft.rename(self._orders)
        wait_for(lambda: self._taken() is not None, START_SECONDS, "the server's worker")
        return OwnWorker(self._taken() or 0, log, log_start, self._orders)

    def _taken(self) -> int | None:
        """The process id of the server's worker if it has taken its orders."""
        pid = self.own_pid()
        return pid if pid and self._orders.with_suffix(f".{pid}").exists() else None

    def own_pid(self) -> int | None:
        """The process id of the server's worker; None while it is down."""
        return self.child("-m worker")

    def family(self) -> set[int]:
        """Every process of the server's."""
        return {self._serving.pid, *descendants(self._serving.pid)}

    def full_store(self, scratch: Path) -> dict[str, str]:
        return {"FAULTS_FULL_STORE": str(self.data_dir / "objects")}

    def kill_api(self) -> None:
        """SIGKILL to the server, which takes its children along."""
        family = self.family()
        os.kill(self._serving.pid, signal.SIGKILL)
        self._serving.wait()
        wait_for(lambda: not any(map(is_running, family)), 25, "the end of the children")

    def stop_api(self) -> None:
        """SIGTERM to the server, which ends in order."""
        self._serving.stop()
        assert self._serving.exit_code == 0, (self.folder / "serve.log").read_text()[-3000:]

    def start_api(self) -> None:
        self.database.close()
        self._serving = self._serve()
        self._settle()

    def _settle(self) -> None:
        """Wait until the server is ready; what it told its worker is where everything is."""
        wait_for(lambda: ready(self.url) or not self.api_up, START_SECONDS, "readiness")
        assert self.api_up, (self.folder / "serve.log").read_text()
        wait_for(lambda: self.own_pid() is not None, START_SECONDS, "the server's worker")
        self.settle(self._told())
        self.broker_url = self.environment["MICROLITH_BROKER_URL"]

    def close(self) -> None:
        self.http.close()
        self.database.close()
        family = self.family()
        self.stop_api()
        wait_for(lambda: not any(map(is_running, family)), 10, "the end of the last children")

    @property
    def api_up(self) -> bool:
        return self._serving.exit_code is None

    def _serve(self) -> Child:
        program = Path(sys.executable).with_name("microlith-server")
        command = [program, "serve", "--port", self.url.rpartition(":")[2], "--data-dir", self.data_dir]
        environment = base_environment(self.folder) | {"FAULTS_ORDERS": str(self._orders)}
        environment["MICROLITH_LIGHT_WORKER"] = "false"  # one worker for everything: a test must know who takes its job
        environment["PYTHONPATH"] = os.pathsep.join([str(SEAM), environment["PYTHONPATH"]])
        log = self.folder / "serve.log"
        return Child(Command("the server", command, log, environment, cwd=Path.cwd(), grace_seconds=STOP_SECONDS))

    def _told(self) -> dict[str, str]:
        """The environment that the server gives its worker: it names everything."""
        pairs = Path(f"/proc/{self.own_pid()}/environ").read_bytes().decode().split("\0")
        return dict(pair.split("=", 1) for pair in pairs if pair)

    def child(self, *parts: str) -> int | None:
        """The server's child with these parts in its command line, which leads a group of processes."""
        for pid in descendants(self._serving.pid):
            with suppress(ProcessLookupError):
                if os.getpgid(pid) == pid and all(part in command_line(pid) for part in parts):
                    return pid
        return None

    def _place(self, name: str) -> Path:
        """The folder of a child, which is outside where its account cannot enter the data folder."""
        note = self.data_dir / f"{name}.folder"
        return Path(note.read_text().strip()) if note.exists() else self.data_dir / name

    def _postgres_config(self) -> Path:
        return self._place("postgres") / "data" / "postgresql.conf"

    def _answers_sql(self) -> bool:
        return answers_sql(self.environment["MICROLITH_DATABASE_URL"])

    def _answers_ping(self) -> bool:
        return answers_ping(self.broker_url)


@contextmanager
def embedded_site() -> Iterator[EmbeddedSite]:
    """The server, ready, with a worker that waits; the nursery of further workers."""
    with scratch_folder() as folder:
        guests = Nursery("light", base_environment(folder), folder)
        try:
            site = EmbeddedSite(folder, f"http://{LOOPBACK}:{free_port()}", guests)
            try:
                yield site
            finally:
                site.close()
        finally:
            guests.close()
