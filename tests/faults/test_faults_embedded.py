"""The embedded default alone: the server is killed or stopped with its children, or loses one; its folder goes away."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest

from tests.embedded.processes import command_line, is_running
from tests.faults.embedded_site import EmbeddedSite
from tests.faults.sites import on
from tests.faults.watching import ready, wait_for

pytestmark = on("embedded")


def test_a_killed_server_takes_every_child_along_and_its_job_is_finished_by_the_next(
    site: EmbeddedSite, tmp_path: Path
) -> None:
    site.light()
    done, job_id = site.submit(), site.submit(labels={"pace": "0.4"})
    site.ends(done)
    before = site.modules(done)
    site.reaches(job_id, "pruning")
    family = site.family()
    for name in ("bin/postgres", "valkey-server", "-m worker"):
        assert any(name in command_line(pid) for pid in family), name
    site.kill_api()
    wait_for(lambda: not any(map(is_running, family)), 25, "the end of the children")
    site.start_api()
    assert site.ends(job_id).attempts == 2
    assert site.modules(done) == before
    with site.client() as client:
        for module in [*before, *site.modules(job_id)]:
            client.download_module(module, tmp_path / module.id)


def test_a_server_that_is_told_to_stop_hands_its_job_to_the_next(site: EmbeddedSite) -> None:
    site.light()
    job_id = site.submit(labels={"pace": "0.8"})  # not over before the worker is told
    site.reaches(job_id, "sampling")
    family = site.family()
    site.stop_api()
    assert not any(map(is_running, family))
    site.start_api()
    site.ends(job_id)
    assert [event.data["reason"] for event in site.events(job_id) if event.type == "job.requeued"] == ["worker stopped"]


def test_a_worker_that_is_killed_is_replaced_by_the_server_and_its_job_finished(site: EmbeddedSite) -> None:
    killed = site.light()
    job_id = site.submit(labels={"pace": "0.3"})
    site.reaches(job_id, "scoring")
    killed.signal(signal.SIGKILL)
    assert site.ends(job_id).attempts == 2
    assert site.own_pid() != killed.group


@pytest.mark.parametrize("server", [("bin/postgres", "-D"), ("valkey-server",)], ids=["postgres", "valkey"])
def test_a_child_whose_minder_is_killed_comes_back_too(site: EmbeddedSite, server: tuple[str, ...]) -> None:
    site.light()
    job_id = site.submit(labels={"pace": "0.3"})
    site.reaches(job_id, "sampling")
    child = site.child(*server)
    assert child is not None
    os.kill(parent(child), signal.SIGKILL)
    wait_for(lambda: not is_running(child), 20, "the end of the child")
    wait_for(lambda: ready(site.url), 30, "readiness")
    assert site.ends(job_id).attempts == 1


def test_a_folder_that_cannot_be_written_to_fails_the_job_at_once_which_a_retry_resumes(site: EmbeddedSite) -> None:
    hindered = site.light(FAULTS_READ_ONLY=str(site.data_dir / "objects"))
    job_id = site.submit()
    job = site.ends(job_id, "failed", seconds=20)
    assert job.error is not None
    assert job.error.code == "STORAGE_UNAVAILABLE"
    assert "Read-only" in job.error.message or "Permission" in job.error.message
    hindered.kill()
    site.light()
    site.post(job_id, "retry")
    site.ends(job_id)


def test_a_folder_that_is_gone_is_told_by_readiness_and_begun_anew_by_nobody(site: EmbeddedSite) -> None:
    site.light()
    job_id = site.submit(labels={"pace": "0.2"})
    site.reaches(job_id, "exporting")
    site.store.kill()
    answer = httpx.get(f"{site.url}/readyz", timeout=20)
    assert answer.status_code == 503
    assert "objects cannot be written to" in answer.json()["checks"]["objects"]
    wait_for(lambda: "dependency_unreachable" in site.workers[0].said, 20, "a worker that waits")
    assert not site.store.up
    site.store.start()
    assert site.ends(job_id).attempts == 1
    assert ready(site.url)


def parent(pid: int) -> int:
    """The process that started this one."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
