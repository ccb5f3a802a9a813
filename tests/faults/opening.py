"""How a site comes to be: its servers, its web service, and the nurseries its workers come from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx

from app.db.migrations import migrate
from app.db.unit import Database
from app.embedded.port import LOOPBACK, free_port
from tests.faults.proxy import proxied
from tests.faults.servers import restartable_postgres, restartable_valkey, restartable_weed
from tests.faults.site import Site, base_environment, nurseries, start_api
from tests.servers import scratch_folder


@contextmanager
def opened_site() -> Iterator[Site]:
    """Servers, web service and two nurseries of workers, on PostgreSQL, Valkey (behind a proxy) and S3."""
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
        url = f"http://{LOOPBACK}:{free_port()}"
        api = start_api(folder, environment, url)
        http = stack.enter_context(httpx.Client(base_url=url, timeout=20))
        site = Site(folder, environment, url, postgres, valkey, weed, line, broker_url, forked, api, http)
        stack.callback(site.database.close)
        stack.callback(site.stop_api)
        yield site


def _migrate(url: str) -> None:
    database = Database(url)
    migrate(database.engine)
    database.close()
