"""The product as it is deployed: servers of one's own, named by URL, and workers that somebody starts."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from app.db.migrations import migrate
from app.db.unit import Database
from app.embedded.child import Child, Command
from app.embedded.port import LOOPBACK, free_port
from tests.faults.proxy import proxied
from tests.faults.servers import restartable_postgres, restartable_valkey, restartable_weed
from tests.faults.site import Site
from tests.faults.specs import Kind, base_environment
from tests.faults.watching import ready
from tests.faults.workers import Nursery, Worker, nurseries
from tests.servers import scratch_folder

START_SECONDS = 60.0


class ServersSite(Site):
    """PostgreSQL, Valkey behind a line that can be cut, SeaweedFS, the web service, and workers from the nurseries."""

    def __init__(
        self, folder: Path, url: str, environment: Mapping[str, str], nurseries: Mapping[Kind, Nursery]
    ) -> None:
        super().__init__(folder, url)
        self._nurseries = nurseries
        self.settle(environment)
        self.start_api()

    def worker(self, kind: Kind, **environment: str) -> Worker:
        worker = self._nurseries[kind].fork(self.environment | environment)
        self.workers.append(worker)
        return worker

    def full_store(self, scratch: Path) -> dict[str, str]:
        """A folder store: SeaweedFS has no disk of its own here."""
        return {"MICROLITH_OBJECT_STORE_URL": scratch.as_uri(), "FAULTS_FULL_STORE": str(scratch)}

    def kill_api(self) -> None:
        os.kill(self._api.pid, signal.SIGKILL)
        self._api.wait()

    def start_api(self) -> None:
        program = Path(sys.executable).with_name("microlith-server")
        command = [program, "serve", "--port", self.url.rpartition(":")[2], "--data-dir", self.folder]
        log = self.folder / "api.log"
        self._api = Child(Command("the web service", command, log, self.environment, cwd=Path.cwd()))
        self._api.wait_until(lambda: ready(self.url), START_SECONDS)

    def close(self) -> None:
        self.http.close()
        self._api.stop()
        self.database.close()

    @property
    def api_up(self) -> bool:
        return self._api.exit_code is None


@contextmanager
def servers_site() -> Iterator[ServersSite]:
    """Servers, web service and two nurseries of workers."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch_folder())
        environment = base_environment(folder)
        forked = stack.enter_context(nurseries(environment, folder))
        database_url, postgres = stack.enter_context(restartable_postgres(folder / "db"))
        broker_url, valkey = stack.enter_context(restartable_valkey(folder / "broker"))
        place, weed = stack.enter_context(restartable_weed(folder / "weed"))
        port = int(broker_url.rpartition(":")[2].partition("/")[0])
        line = stack.enter_context(proxied(port))
        environment |= {
            "MICROLITH_DATABASE_URL": database_url,
            "MICROLITH_BROKER_URL": broker_url.replace(f":{port}/", f":{line.port}/"),
            "MICROLITH_OBJECT_STORE_URL": place.url,
            "MICROLITH_S3_ENDPOINT": place.endpoint,
            "MICROLITH_S3_ACCESS_KEY": place.access_key,
            "MICROLITH_S3_SECRET_KEY": place.secret_key,
        }
        _migrate(database_url)
        site = ServersSite(folder, f"http://{LOOPBACK}:{free_port()}", environment, forked)
        stack.callback(site.close)
        site.postgres, site.valkey, site.store = postgres, valkey, weed
        site.broker_line, site.broker_url = line, broker_url
        yield site


def _migrate(url: str) -> None:
    database = Database(url)
    migrate(database.engine)
    database.close()
