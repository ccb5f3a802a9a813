"""A process that opens a stranger's files can do nothing else, and what it takes has an end."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app import confined
from app.confined import Reading, landlock, seccomp
from app.confined.limits import Limits
from app.confined.run import AT_A_TIME, MOST_ANSWER_BYTES
from app.domain.errors import DatasetInvalid, ResourceLimit

MISDEEDS = "tests.app.confined.misdeeds"

needs_landlock = pytest.mark.skipif(landlock.version() < 1, reason="this kernel has no Landlock (5.13 and later do)")
needs_seccomp = pytest.mark.skipif(not seccomp.is_there(), reason="calls are filtered on Linux, x86-64 and ARM64")


def ask(misdeed: str, *, reads: tuple[Path, ...] = (), writes: tuple[Path, ...] = (), **more: Any) -> Any:
    limits = more.pop("limits", Limits(wall_seconds=20))
    question = {"misdeed": misdeed, **more}
    return confined.run(Reading(MISDEEDS, question, DatasetInvalid, reads=reads, writes=writes, limits=limits))


def refused(misdeed: str, **more: Any) -> None:
    """The system says no, which ends a process that does not expect it."""
    with pytest.raises(DatasetInvalid, match="end the process"):
        ask(misdeed, **more)


def test_what_a_process_finds_comes_back() -> None:
    assert ask("none", said="é") == "é"


def test_an_error_of_ours_comes_back_as_it_was() -> None:
    with pytest.raises(DatasetInvalid, match="It has no rows") as told:
        ask("raises")
    assert (told.value.hint, told.value.pointer) == ("Give it some.", "/dataset")


@needs_landlock
def test_a_file_that_is_asked_about_is_read_and_no_other(tmp_path: Path) -> None:
    mine, others = tmp_path / "mine", tmp_path / "others"
    for folder in (mine, others):
        folder.mkdir()
        (folder / "file").write_text(folder.name)
    assert ask("reads", reads=(mine,), file=str(mine / "file")) == "mine"
    refused("reads", reads=(mine,), file=str(others / "file"))
    refused("lists", reads=(mine,), folder=str(tmp_path))
    refused("reads", reads=(mine,), file=f"/proc/{os.getpid()}/environ")
    refused("reads", reads=(mine,), file="/etc/passwd")


@needs_landlock
def test_a_link_leads_to_nothing_that_could_not_be_read_without_it(tmp_path: Path) -> None:
    mine, secret = tmp_path / "mine", tmp_path / "secret"
    mine.mkdir()
    secret.write_text("secret")
    refused("links", reads=(mine,), writes=(mine,), target=str(secret), link=str(mine / "link"))
    (mine / "link").symlink_to(secret)
    refused("reads", reads=(mine,), file=str(mine / "link"))


@needs_landlock
def test_only_the_folder_that_is_given_can_be_written_to(tmp_path: Path) -> None:
    mine, others = tmp_path / "mine", tmp_path / "others"
    mine.mkdir()
    others.mkdir()
    assert ask("writes", writes=(mine,), file=str(mine / "new")) == 10
    refused("writes", reads=(others,), writes=(mine,), file=str(others / "new"))


@needs_seccomp
def test_no_socket_is_opened() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        refused("connects", port=server.getsockname()[1])
    refused("resolves", family="AF_INET")
    refused("resolves", family="AF_UNIX")


@needs_seccomp
def test_no_other_program_is_run() -> None:
    refused("runs")


@pytest.mark.skipif(landlock.version() < 6, reason="this kernel's Landlock keeps no signals in (6.12 and later do)")
def test_no_other_process_is_signalled() -> None:
    refused("signals", pid=os.getpid())


def test_no_key_is_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROLITH_API_KEY", "planted-secret")
    monkeypatch.setenv("HF_TOKEN", "planted-secret")
    assert "planted-secret" not in ask("environment").values()


@pytest.mark.parametrize(
    ("misdeed", "limits", "sentence"),
    [
        ("grows", Limits(memory_bytes=300_000_000), "more memory"),
        ("spins", Limits(cpu_seconds=1), "more work"),
        ("sleeps", Limits(wall_seconds=1.5), "longer"),
    ],
)
def test_who_takes_more_than_the_limit_is_told_so(misdeed: str, limits: Limits, sentence: str) -> None:
    with pytest.raises(ResourceLimit, match=sentence) as told:
        ask(misdeed, limits=limits)
    assert told.value.code == "RESOURCE_LIMIT"


def test_a_file_that_grows_beyond_the_limit_is_not_written(tmp_path: Path) -> None:
    refused("writes", writes=(tmp_path,), file=str(tmp_path / "large"), size=2_000, limits=Limits(file_bytes=1_000))


def test_a_process_that_crashes_is_an_answer_about_the_files() -> None:
    refused("crashes")


def test_an_answer_has_an_end_too() -> None:
    with pytest.raises(ResourceLimit, match="more to tell"):
        ask("tells", size=MOST_ANSWER_BYTES, limits=Limits(file_bytes=2 * MOST_ANSWER_BYTES))


def test_a_few_run_at_a_time() -> None:
    """Five that take half a second each cannot be over before three halves have passed."""
    began = time.monotonic()
    with ThreadPoolExecutor(5) as pool:
        for told in [pool.submit(ask, "sleeps", limits=Limits(wall_seconds=0.5)) for _ in range(5)]:
            assert isinstance(told.exception(), ResourceLimit)
    assert time.monotonic() - began >= 0.5 * 5 / AT_A_TIME


def test_who_stops_asking_ends_the_process() -> None:
    def stop() -> None:
        raise InterruptedError

    began = time.monotonic()
    with pytest.raises(InterruptedError):
        confined.run(Reading(MISDEEDS, {"misdeed": "sleeps"}, DatasetInvalid), meanwhile=stop)
    assert time.monotonic() - began < 5
