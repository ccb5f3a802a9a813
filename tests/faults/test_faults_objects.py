"""The object store goes away, is full, or keeps bytes that are not what they were."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from microlith.errors import DigestMismatch, MicrolithClientError
from tests.faults.site import Site
from tests.faults.watching import wait_for


def test_a_store_that_is_away_at_export_is_waited_for(site: Site) -> None:
    site.light()
    job_id = site.submit(labels={"pace": "0.3"})
    site.reaches(job_id, "exporting")
    site.store.kill()
    time.sleep(1)
    assert site.job(job_id).state == "running"
    site.store.start()
    assert site.ends(job_id).attempts == 1


def test_a_store_that_stays_away_fails_the_job_which_a_retry_resumes(site: Site) -> None:
    worker = site.standing("light", FAULTS_PATIENCE="1")
    job_id = site.submit(labels={"stand": "verifying", "stand_after": "1", "stand_seconds": "1"})
    site.stands(job_id)
    (kept,) = site.modules(job_id)
    site.store.stop()
    job = site.ends(job_id, "failed")
    assert job.error is not None
    assert job.error.code == "STORAGE_UNAVAILABLE"
    assert "retry the job" in (job.error.hint or "")
    site.store.start()
    site.post(job_id, "retry")
    site.ends(job_id)
    assert site.modules(job_id)[0].id == kept.id
    assert worker.alive


@pytest.mark.parametrize("full", ["the store", "the worker's own disk"])
def test_a_full_disk_fails_the_job_at_once_and_says_so(site: Site, tmp_path: Path, full: str) -> None:
    tmp_path.chmod(0o755)
    own_disk = {"FAULTS_FULL_DISK": str(tmp_path), "TMPDIR": str(tmp_path)}
    cramped = site.light(**(site.full_store(tmp_path) if full == "the store" else own_disk))
    job_id = site.submit(labels={"bytes": "1000000"})
    job = site.ends(job_id, "failed", seconds=20)
    assert job.error is not None
    assert job.error.code == "STORAGE_UNAVAILABLE"
    assert "space" in job.error.message or "too large" in job.error.message
    assert site.modules(job_id) == []
    cramped.kill()
    site.light()
    site.post(job_id, "retry")
    site.ends(job_id)


def test_damaged_files_are_refused_and_a_repair_makes_them_anew(site: Site, tmp_path: Path) -> None:
    site.light()
    job_id = site.submit(ratio=[0.4, 0.6])
    site.ends(job_id)
    before = site.modules(job_id)
    damages = ("other bytes", "cut short", "gone")
    for module, damage in zip(before, damages, strict=False):
        spoil(site, module.artifacts[0].sha256, tmp_path, damage)
    with site.client() as client:
        for module, damage in zip(before, damages, strict=False):
            with pytest.raises(DigestMismatch if damage == "other bytes" else MicrolithClientError):
                client.download_module(module, tmp_path / damage)
            assert not list((tmp_path / damage).glob("*/*"))
        client.repair(job_id)
        site.ends(job_id)
        after = site.modules(job_id)
        assert [module.id for module in after] == [module.id for module in before]
        assert [module.artifacts[0].id for module in after] == [module.artifacts[0].id for module in before]
        for module in after:
            client.download_module(module, tmp_path / "repaired")
    announced = [event.data["module_id"] for event in site.events(job_id) if event.type == "module.ready"]
    made = [module.id for module in before]
    assert sorted(announced[:4]) == sorted(made)
    assert sorted(announced[4:]) == sorted(made[:3]), "the sound one was left alone"


def test_the_sweep_takes_what_nothing_names_and_nothing_else(site: Site, tmp_path: Path) -> None:
    site.light()
    job_id = site.submit()
    site.ends(job_id)
    orphan = "artifacts/sha256/e3/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.zip"
    (tmp_path / "empty").touch()
    site.objects.put_file(orphan, tmp_path / "empty", "application/zip")
    named = set(site.objects.list("artifacts")) - {orphan}
    assert len(named) == 2
    site.sweep(orphan_hours=1)
    assert set(site.objects.list("artifacts")) == named | {orphan}, "it is young: it may be about to be published"
    site.sweep(orphan_hours=0)
    wait_for(lambda: orphan not in set(site.objects.list("artifacts")), 10, "the sweep")
    assert set(site.objects.list("artifacts")) == named


def spoil(site: Site, sha256: str, scratch: Path, damage: str) -> None:
    """Damage the stored object with this digest."""
    (key,) = [key for key in site.objects.list("artifacts") if sha256 in key]
    content = bytearray(b"".join(site.objects.open(key)))
    site.objects.delete(key)
    if damage == "gone":
        return
    content[len(content) // 2] ^= 0xFF
    file = scratch / "spoilt"
    file.write_bytes(content if damage == "other bytes" else content[:100])
    site.objects.put_file(key, file, "application/zip")
