"""The embedded default: PostgreSQL, Valkey and workers as children of this process, all gone when it is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from app.embedded.child import Child, Command
from app.embedded.child_account import closed_folder
from app.embedded.lock import DataDirLock
from app.embedded.postgres import Postgres
from app.embedded.supervised import Supervised
from app.embedded.valkey import Valkey

WORKER_GRACE_SECONDS = 8.0


class EmbeddedServices:
    """The servers that the user did not name by URL, started together on entry, stopped on exit.

    One that dies meanwhile is started again, on the same port with the same data.
    Everything is kept in `data_dir`: a second start finds its data. Raises `lock.DataDirBusy` when another live server
    uses the folder, `binaries.BinariesMissing` or `child.ChildFailed` (all OSError) when a server cannot be started.
    """

    def __init__(self, data_dir: Path, *, database: bool = True, broker: bool = True, durable: bool = True) -> None:
        self.data_dir = data_dir.resolve()
        self._wanted = (database, broker)
        self._durable = durable
        self._stack = ExitStack()
        self._workers: list[Supervised] = []
        self._postgres: Postgres | None = None
        self._valkey: Valkey | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._lock = DataDirLock(closed_folder(self.data_dir))
            stack.callback(self._lock.release)
            self._start_servers(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    @property
    def database_url(self) -> str:
        """The embedded PostgreSQL, in SQLAlchemy's form (`postgresql+psycopg://…`)."""
        assert self._postgres is not None, "no embedded database was requested, or it is not started"
        return self._postgres.url

    @property
    def broker_url(self) -> str:
        """The embedded Valkey (`redis://…`)."""
        assert self._valkey is not None, "no embedded broker was requested, or it is not started"
        return self._valkey.url

    def start_worker(
        self, command: Sequence[str | Path], env: Mapping[str, str], *, name: str = "worker"
    ) -> Supervised:
        """Starts a child that is started again when it dies, and stopped before the servers it talks to.

        `env` is its whole environment.
        """
        log = self.data_dir / "logs" / f"{name}.log"
        keep = [self._lock.fileno()]
        order = Command(name, command, log, env, cwd=Path.cwd(), grace_seconds=WORKER_GRACE_SECONDS, keep=keep)
        worker = Supervised(Child(order), lambda: Child(order))
        if not self._workers:
            self._stack.callback(self._stop_workers)
        self._workers.append(worker)
        return worker

    def _stop_workers(self) -> None:
        """All at the same time: each may have a job to hand back first."""
        with ThreadPoolExecutor(len(self._workers)) as pool:
            list(pool.map(Supervised.stop, self._workers))

    def _start_servers(self, stack: ExitStack) -> None:
        """Both at the same time; should one fail, the other is stopped by the stack."""
        keep = [self._lock.fileno()]
        database, broker = self._wanted
        with ThreadPoolExecutor(2) as pool:
            postgres = pool.submit(Postgres, self.data_dir, keep=keep, durable=self._durable) if database else None
            valkey = pool.submit(Valkey, self.data_dir, keep=keep) if broker else None
        for started in (postgres, valkey):
            if started and not started.exception():
                server = started.result()
                stack.callback(Supervised(server.child, server.launch, ready=server.answers).stop)
        self._postgres = postgres.result() if postgres else None
        self._valkey = valkey.result() if valkey else None
