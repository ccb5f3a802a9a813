"""The whole product as processes: the web service with its embedded children and a worker, as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.embedded.port import free_port
from tests.emptied import READABLE
from tests.servers import scratch_folder

START_SECONDS = 60


@dataclass(frozen=True)
class Service:
    """A running server process and where it keeps everything."""

    url: str
    data_dir: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """What the worker said."""
        return (self.data_dir / "logs" / "worker.log").read_text(errors="replace")


@contextmanager
def running_service(
    *options: str, programs: Path | None = None, cwd: Path | None = None, **variables: str
) -> Iterator[Service]:
    """`microlith-server serve`, as a user starts it, ended as a user ends it; `variables` are its environment's.

    It is started in the folder `cwd`. `programs` is the folder that it is installed in; by default this environment's.
    """
    with scratch_folder() as folder:
        port = free_port()
        program = str((programs or Path(sys.executable).parent) / "microlith-server")
        command = [program, "serve", "--port", str(port), "--data-dir", str(folder), *options]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MICROLITH_")}
        environment |= {"MICROLITH_THREADS": "1", "OMP_NUM_THREADS": "1"}
        environment |= {"MICROLITH_ALLOW_PATHS": os.pathsep.join(map(str, READABLE))} | variables
        with (folder / "serve.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=cwd)
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_until_ready(url, process, folder / "serve.log")
            yield Service(url, folder, process)
        finally:
            process.terminate()
            process.wait(timeout=60)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the service did not become ready:\n{log.read_text(errors='replace')}")
