"""What nothing names is removed, what anything names stays: on a real database and a real folder of objects."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.services.backend import Backend
from app.services.discarding import discard
from app.services.jobs import Jobs
from app.services.sweeping import BASES, BOUNDARY, KEEPERS, SHARDS, STUDENTS, sweep
from app.services.uploads import UPLOADS
from app.storage import ARTIFACTS, content_key
from tests.work import attempt_of, claim, finish, publish, publisher_of, report, submit
from worker.kinds.draw_samples import keep_set

DAY = 24 * 3600
ROOT = Path(__file__).parents[2]


def published(backend: Backend, folder: Path, concern: int = 0) -> str:
    """A finished job with one module; the key of its object."""
    job_id = submit(backend, concerns=["act"])
    lease = claim(backend, job_id)
    folder.mkdir()
    publish(publisher_of(backend, lease), folder, concern, report(0.9, 0.8))
    finish(backend, lease)
    with backend.database.unit() as unit:
        (key,) = unit.artifacts.keys_of_job(job_id)
    return key


def orphan(backend: Backend, folder: Path, age: float = 2 * DAY) -> str:
    """An object that no artifact names, as a killed worker leaves one."""
    file = folder / "orphan"
    file.write_bytes(b"left behind")
    key = content_key("0" * 64, ".zip")
    backend.objects.put_file(key, file, "application/zip")
    make_old(backend, key, age)
    return key


def make_old(backend: Backend, key: str, age: float) -> None:
    path = backend.objects.local_path(key)
    assert path is not None
    then = time.time() - age
    os.utime(path, (then, then))


def test_old_objects_without_an_artifact_are_removed_and_named_ones_stay(backend: Backend, tmp_path: Path) -> None:
    named, left = published(backend, tmp_path / "a"), orphan(backend, tmp_path)
    make_old(backend, named, 30 * DAY)
    sweep(backend)
    assert list(backend.objects.list()) == [named]
    assert left != named


def test_a_young_object_may_be_about_to_be_published(backend: Backend, tmp_path: Path) -> None:
    young = orphan(backend, tmp_path, age=3600)
    sweep(backend)
    assert list(backend.objects.list()) == [young]


def test_what_was_measured_of_a_base_is_forgotten_after_a_month(backend: Backend, tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text("{}")
    for name, days in (("old", 31), ("young", 29)):
        backend.objects.put_file(f"{BASES}/{name}.json", tmp_path / "base.json", "application/json")
        make_old(backend, f"{BASES}/{name}.json", days * DAY)
    sweep(backend)
    assert list(backend.objects.list()) == [f"{BASES}/young.json"]


def test_every_folder_of_the_store_has_a_keeper_and_what_it_does_not_keep_is_swept(
    backend: Backend, tmp_path: Path
) -> None:
    (tmp_path / "left").write_bytes(b"left behind")
    for folder in KEEPERS:
        backend.objects.put_file(f"{folder}/left", tmp_path / "left", "application/octet-stream")
        make_old(backend, f"{folder}/left", 31 * DAY)
    sweep(backend)
    assert list(backend.objects.list()) == []


def test_every_line_that_writes_an_object_writes_to_a_folder_with_a_keeper() -> None:
    writers = {
        "app/services/uploads.py": UPLOADS,
        "worker/kinds/memory.py": BASES,
        "worker/kinds/study_store.py": STUDENTS,
        "worker/kinds/draw_samples.py": BOUNDARY,
        "worker/attempt/publishing.py": ARTIFACTS,
        "worker/kinds/share_concerns.py": SHARDS,
    }
    sources = [file for place in ("app", "worker") for file in (ROOT / place).rglob("*.py")]
    writing = re.compile(r"objects\.(put_file|move|presign_put)\(")
    found = {file.relative_to(ROOT).as_posix() for file in sources if writing.search(file.read_text(encoding="utf-8"))}
    assert found == writers.keys(), "who writes somewhere else says here where, and KEEPERS who keeps it"
    assert set(writers.values()) == KEEPERS.keys()
    assert content_key("0" * 64, ".zip").startswith(f"{ARTIFACTS}/")


def test_a_generated_set_stays_as_long_as_a_job_was_made_from_it(backend: Backend, tmp_path: Path) -> None:
    (tmp_path / "set.safetensors").write_bytes(b"samples")
    key, jobs = f"{BOUNDARY}/one.safetensors", [submit(backend), submit(backend, ratio=0.7)]
    for job_id in jobs:
        lease = claim(backend, job_id)
        keep_set(key, tmp_path / "set.safetensors", attempt_of(backend, lease))
        keep_set(key, tmp_path / "set.safetensors", attempt_of(backend, lease))  # by a second attempt
        finish(backend, lease)
        assert backend.objects.head(key) is not None
    for job_id in jobs:
        make_old(backend, key, 90 * DAY)
        sweep(backend)
        assert list(backend.objects.list()) == [key]
        with backend.database.unit() as unit:
            assert [kept.asked for kept in unit.artifacts.of_job(job_id)] == [False]
            assert Jobs(unit, "default", backend).get(job_id).artifacts == []
            Jobs(unit, "default", backend).delete(job_id)
    assert list(backend.objects.list()) == []


def test_an_object_whose_publisher_is_at_work_is_left_alone_however_old(backend: Backend, tmp_path: Path) -> None:
    old = orphan(backend, tmp_path)
    with backend.database.shielded([old]):
        sweep(backend)
        assert list(backend.objects.list()) == [old]
    sweep(backend)
    assert list(backend.objects.list()) == []


def test_one_sweep_at_a_time_is_enough(backend: Backend, tmp_path: Path) -> None:
    orphan(backend, tmp_path)
    with backend.database.try_lock("sweep") as first:
        assert first
        sweep(backend)
    assert len(list(backend.objects.list())) == 1, "the other one is making it"


def test_jobs_past_their_time_go_with_all_that_is_theirs(backend: Backend, tmp_path: Path) -> None:
    keeping = replace(backend, settings=backend.settings.model_copy(update={"keep_days": 7}))
    published(backend, tmp_path / "old")
    with backend.database.unit() as unit:
        (old,) = unit.jobs.finished_before(0, "decompose")
        job = unit.jobs.lock(old)
        assert job is not None
        assert job.finished_at is not None
        job.finished_at -= timedelta(days=8)
    running = submit(backend)
    claim(backend, running)
    sweep(keeping)
    with backend.database.unit() as unit:
        assert unit.jobs.find(old, "default") is None
        assert unit.jobs.find(running, "default") is not None
    assert list(backend.objects.list()) == []


def test_without_a_time_limit_nothing_expires_and_with_one_the_job_says_when(backend: Backend, tmp_path: Path) -> None:
    published(backend, tmp_path / "a")
    sweep(backend)
    with backend.database.unit() as unit:
        (job_id,) = unit.jobs.finished_before(0, "decompose")
        assert Jobs(unit, "default", backend).get(job_id).expires_at is None
        keeping = replace(backend, settings=backend.settings.model_copy(update={"keep_days": 7}))
        job = Jobs(unit, "default", keeping).get(job_id)
    assert job.finished_at is not None
    assert job.expires_at == job.finished_at + timedelta(days=7)


def test_an_object_that_two_jobs_share_stays_until_both_are_gone(backend: Backend, tmp_path: Path) -> None:
    key = published(backend, tmp_path / "a")
    assert published(backend, tmp_path / "b") == key
    with backend.database.unit() as unit:
        first, second = unit.jobs.finished_before(0, "decompose")
        Jobs(unit, "default", backend).delete(first)
    assert list(backend.objects.list()) == [key]
    with backend.database.unit() as unit:
        Jobs(unit, "default", backend).delete(second)
    assert list(backend.objects.list()) == []


def test_a_store_that_is_away_leaves_the_object_for_the_next_sweep(
    backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = orphan(backend, tmp_path)
    monkeypatch.setattr(type(backend.objects), "delete", _away)
    discard(backend, [key])
    monkeypatch.undo()
    sweep(backend)
    assert list(backend.objects.list()) == []


def _away(_store: object, _key: str) -> None:
    raise OSError("connection refused")
