"""The embedded default: what the settings do not name is brought along and kept in the data folder."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from pydantic import SecretStr

from app.connection_limits import PatientProtocol, room_for_connections
from app.db.migrations import migrate
from app.db.unit import Database
from app.domain.queues import GPU, LIGHT
from app.embedded.services import EmbeddedServices
from app.embedded.startup_token import announce, startup_token
from app.main import create_app
from app.settings import DOOR, Settings

STOP_SECONDS = 5
KEEP_ALIVE_SECONDS = 75
"""Longer than proxies keep an idle connection, so that they never send on one that is being closed."""

SWITCH_SECONDS = 0.0005
"""How long a thread that computes keeps the event loop from its turn; Python's own 5 ms add up at every turn."""

JOBS_PER_CHILD = 100
"""Of a worker here that uses no GPU: a process that has imported torch has the next job begin at once."""

GPU_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""What NVIDIA's leave on a machine, AMD's, and either under Windows. Torch would know, but is not loaded here."""


@contextmanager
def run_services(settings: Settings, *, worker: bool = True) -> Iterator[Settings]:
    """The settings with nothing left to name: own servers where no URL was given, migrated, with workers beside them.

    Workers come along with the broker; who names a broker runs workers of his own. What this process and its children
    write from now on is their user's alone.
    """
    os.umask(0o077)
    settings = _with_token(settings)
    bring_database, bring_broker = settings.database_url is None, settings.broker_url is None
    if not (bring_database or bring_broker):
        yield _with_objects(settings)
        return
    data_dir = settings.data_dir.expanduser()
    with EmbeddedServices(data_dir, database=bring_database, broker=bring_broker) as services:
        complete = _with_objects(settings).model_copy(
            update={
                "database_url": services.database_url if bring_database else settings.database_url,
                "broker_url": services.broker_url if bring_broker else settings.broker_url,
                "allow_paths": _readable(settings) if bring_database else settings.allow_paths,
            }
        )
        _migrate(complete)
        if worker and bring_broker:
            start_workers(services, complete)
        yield complete


def serve(settings: Settings) -> None:
    """Answer requests until told to stop."""
    if settings.token:
        url = f"http://{settings.host}:{settings.port}"
        announce(settings.data_dir.expanduser(), url, settings.token.get_secret_value())
    server = _server(settings, settings.port)
    _spare_garbage_collection()
    server.run()


def _spare_garbage_collection() -> None:
    """Never search again what stays for good: each search takes 0.2 s, in which nobody is answered."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


@contextmanager
def serve_in_background(settings: Settings) -> Iterator[str]:
    """Answer requests while the block runs, on a free port of this machine; gives the URL."""
    server = _server(settings, port=0)
    thread = threading.Thread(target=server.run, name="api", daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the web service could not start; its log is above")
        time.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def _server(settings: Settings, port: int) -> uvicorn.Server:
    sys.setswitchinterval(SWITCH_SECONDS)
    room_for_connections()
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=port,
        http=PatientProtocol,
        ws="none",
        proxy_headers=settings.api_key is not None,  # without one only who sits at this machine is served, by name
        forwarded_allow_ips=settings.forwarded_allow_ips,
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    return uvicorn.Server(config)


def start_workers(services: EmbeddedServices, settings: Settings) -> None:
    """One for everything; or two, so that nobody who tries a module waits for a decomposition or a fresh process."""
    if "jobs_per_child" not in settings.model_fields_set and not _may_use_gpu(settings.device):
        settings = settings.model_copy(update={"jobs_per_child": JOBS_PER_CHILD})
    if not settings.light_worker:
        _start_worker(services, settings, "worker")
        return
    _start_worker(services, settings.model_copy(update={"queues": GPU}), "worker")
    light = {"queues": LIGHT, "threads": 1, "jobs_per_child": JOBS_PER_CHILD}
    _start_worker(services, settings.model_copy(update=light), "light-worker")


def _may_use_gpu(device: str) -> bool:
    return device != "cpu" and (device != "auto" or any(Path(driver).exists() for driver in GPU_DRIVERS))


def _start_worker(services: EmbeddedServices, settings: Settings, name: str) -> None:
    about_callers = {f"MICROLITH_{name.upper()}" for name in DOOR}
    inherited = {name: value for name, value in os.environ.items() if name not in about_callers}
    environment = inherited | settings.environment(leaving=DOOR) | {"OMP_WAIT_POLICY": "passive"}
    services.start_worker([sys.executable, "-m", "worker"], environment, name=name)


def _with_token(settings: Settings) -> Settings:
    """What opens the server to others than its user, where no key does."""
    if settings.token or not (settings.serves_its_user and settings.ask_token):
        return settings
    token = startup_token(settings.data_dir.expanduser())
    return settings.model_copy(update={"token": SecretStr(token)})


def _readable(settings: Settings) -> tuple[Path, ...]:
    """The folders of `path:` references: those that were named, or where the server was started."""
    if not settings.serves_its_user:
        return ()
    return (Path.cwd().resolve(),) if settings.allow_paths is None else settings.allow_paths


def _with_objects(settings: Settings) -> Settings:
    """Artifacts go to the data folder where no store is named."""
    if settings.object_store_url is not None:
        return settings
    folder = settings.data_dir.expanduser().resolve() / "objects"
    folder.mkdir(parents=True, exist_ok=True)
    return settings.model_copy(update={"object_store_url": folder.as_uri()})


def _migrate(settings: Settings) -> None:
    database = Database(settings.database_url or "")
    try:
        migrate(database.engine)
    finally:
        database.close()
