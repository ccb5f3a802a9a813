"""The embedded default, killed at work and started again on the same folder: its children go along, its data stays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.db.unit import Database
from app.embedded.port import LOOPBACK, free_port
from app.storage import open_store
from microlith import Client
from microlith.contract import Job
from microlith.errors import DigestMismatch
from tests.embedded.processes import is_running
from tests.faults.invariants import check
from tests.faults.site import REAL, base_environment, descendants, ready, wait_for
from tests.servers import scratch_folder


@dataclass(frozen=True)
class Outcome:
    """What became of a job whose server was killed: the processes that were left, and the job after a restart."""

    url: str
    data_dir: Path
    left: set[int]
    job: Job


@pytest.fixture(scope="module")
def outcome() -> Iterator[Outcome]:
    """A server killed with SIGKILL while its worker runs a job, and its successor, which runs on."""
    with scratch_folder() as folder:
        url, data_dir = f"http://{LOOPBACK}:{free_port()}", folder / "data"
        server = serve(folder, url)
        try:
            with Client(url) as client:
                job_id = client.submit(REAL).id
                wait_for(lambda: client.job(job_id).phase in ("evaluating", "exporting", "verifying"), 90, "the work")
                family = descendants(server.pid)
                server.kill()
                server.wait()
                wait_for(lambda: not any(map(is_running, family)), 25, "the end of the children")
                server = serve(folder, url)
                yield Outcome(url, data_dir, set(filter(is_running, family)), client.wait(job_id))
        finally:
            family = descendants(server.pid)
            server.terminate()
            server.wait(timeout=60)
        wait_for(lambda: not any(map(is_running, family)), 10, "the end of the last children")


def serve(folder: Path, url: str) -> subprocess.Popen[bytes]:
    """`microlith-server serve`, ready, with everything it brings along."""
    program = str(Path(sys.executable).with_name("microlith-server"))
    command = [program, "serve", "--port", url.rpartition(":")[2], "--data-dir", str(folder / "data")]
    with (folder / "serve.log").open("ab") as log:
        server = subprocess.Popen(command, env=base_environment(folder), stdout=log, stderr=log)
    wait_for(lambda: ready(url) or server.poll() is not None, 60, "readiness")
    assert server.poll() is None, (folder / "serve.log").read_text()
    return server


def test_a_killed_server_takes_every_child_along_and_its_job_is_finished_by_the_next(outcome: Outcome) -> None:
    assert not outcome.left
    assert outcome.job.state == "succeeded"
    assert outcome.job.attempts == 2


def test_every_rule_holds_after_the_restart(outcome: Outcome) -> None:
    postgres = outcome.data_dir / "postgres"
    if not postgres.exists():
        postgres = Path((outcome.data_dir / "postgres.folder").read_text().strip())
    port = (postgres / "data" / "postmaster.pid").read_text().splitlines()[3]
    password = (outcome.data_dir / "postgres.password").read_text().strip()
    with closing(Database(f"postgresql+psycopg://microlith:{password}@{LOOPBACK}:{port}/microlith")) as database:
        check(database, open_store((outcome.data_dir / "objects").as_uri()))


def test_a_damaged_file_of_the_folder_store_is_refused_and_repaired(outcome: Outcome, tmp_path: Path) -> None:
    with Client(outcome.url) as client:
        module = client.modules(outcome.job.id)[0]
        sha256 = module.artifacts[0].sha256
        (file,) = (outcome.data_dir / "objects").rglob(f"{sha256}*")
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        with pytest.raises(DigestMismatch):
            client.download_module(module, tmp_path)
        client.repair(outcome.job.id)
        client.wait(outcome.job.id)
        assert client.modules(outcome.job.id)[0].id == module.id
        client.download_module(module, tmp_path)
