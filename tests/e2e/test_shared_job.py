"""A job that two worker processes share, and what becomes of it when one of them is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from microlith import Client
from tests.embedded.processes import command_line, descendants, wait_for
from tests.serving import Service

SPEC = {
    "model": "demo:bert-tiny-wordnet",
    "dataset": "demo:wordnet-supersense",
    "concerns": list(range(9)),
    "ratio": [0.4, 0.6],
    "evaluation": {"limit": 60, "latency": False},
    "reuse": False,
}


@contextmanager
def second_worker(service: Service, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One more worker for large jobs, which loses what it holds soon after it falls silent."""
    server = next(pid for pid in descendants(service.process.pid) if "-m worker" in command_line(pid))
    told = Path(f"/proc/{server}/environ").read_bytes().decode().split("\0")
    environment = dict(pair.split("=", 1) for pair in told if pair)
    environment |= {"MICROLITH_QUEUES": "gpu", "MICROLITH_LEASE_SECONDS": "4"}
    with log.open("wb") as output:
        command = [sys.executable, "-m", "worker"]
        worker = subprocess.Popen(command, stdout=output, stderr=output, env=environment, start_new_session=True)
    try:
        yield worker
    finally:
        kill(worker)


def kill(worker: subprocess.Popen[bytes]) -> None:
    """The worker with the process that it runs a job in."""
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def test_two_workers_share_a_job_and_the_death_of_one_costs_no_module(
    service: Service, client: Client, tmp_path: Path
) -> None:
    log = tmp_path / "second.log"
    shared = client.submit(SPEC | {"workers": 2})
    wait_for(lambda: client.job(shared.id).state == "running", 60)
    with second_worker(service, log) as worker:
        wait_for(lambda: "helper_started" in log.read_text(), 60)
        made = len(client.modules(shared.id))
        wait_for(lambda: len(client.modules(shared.id)) > made + 1, 60)
        kill(worker)
    done = client.wait(shared.id)
    assert done.state == "succeeded", done.error
    modules = {(module.concern.id, module.ratio.requested) for module in client.modules(shared.id)}
    assert modules == {(concern, ratio) for concern in range(9) for ratio in (0.4, 0.6)}
    events = [event for event in client.events(done.id) if event.type == "module.ready"]
    assert len(events) == 18, "none twice, none missing"
