"""The cache: an entry is whole or absent, made once, never taken from under its reader, and bounded."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from app.sources.cache import LOCK, MAKING, STALE_SECONDS, Cache


def filled(size: int):  # type: ignore[no-untyped-def]
    return lambda folder: (folder / "content").write_bytes(b"x" * size)


def entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir()}


def test_an_entry_is_made_once_and_found_again(tmp_path: Path) -> None:
    cache, made = Cache(tmp_path / "cache", 100), []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "content").write_text("whole")

    for _ in range(2):
        with cache.held("one", make) as entry:
            assert (entry / "content").read_text() == "whole"
    assert len(made) == 1


def test_what_fails_half_way_leaves_nothing_and_can_be_tried_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), Cache(tmp_path, 100).held("one", fail):
        pass
    assert entries(tmp_path) == set()
    with Cache(tmp_path, 100).held("one", filled(1)) as entry:
        assert [path.name for path in entry.iterdir()] == ["content"]


def test_the_least_recently_used_go_first_and_none_that_is_held(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 25)
    for age, name in ((3, "old"), (2, "older-but-held"), (1, "young")):
        with cache.held(name, filled(10)) as entry:
            pass
        if entry.exists():
            os.utime(entry, (time.time() - 100 * age,) * 2)
    assert entries(tmp_path) == {"older-but-held", "young"}
    with cache.held("older-but-held", filled(10)) as entry:
        os.utime(entry, (1, 1))
        with cache.held("new", filled(10)):
            assert entries(tmp_path) == {"older-but-held", "new"}


def test_an_entry_larger_than_the_cache_serves_while_it_is_held(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 5)
    with cache.held("large", filled(10)) as entry:
        assert (entry / "content").stat().st_size == 10
        cache.trim()
        assert entry.is_dir()
    cache.trim()
    assert entries(tmp_path) == set()


def test_many_who_want_an_entry_at_once_make_it_once(tmp_path: Path) -> None:
    made: list[int] = []
    together = threading.Barrier(4)

    def make(folder: Path) -> None:
        made.append(1)
        time.sleep(0.05)
        (folder / "content").write_text("whole")

    def use() -> None:
        together.wait()
        with Cache(tmp_path, 100).held("one", make) as entry:
            assert (entry / "content").read_text() == "whole"

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_another_process_keeps_what_it_holds_until_it_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from app.sources.cache import Cache\n"
        "with Cache(Path(sys.argv[1]), 0).held('one', lambda folder: (folder / 'content').write_text('x')):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        Cache(tmp_path, 0).trim()
        assert entries(tmp_path) == {"one"}
        other.kill()
    Cache(tmp_path, 0).trim()
    assert entries(tmp_path) == set()


def test_what_a_killed_process_left_half_made_goes_after_a_day(tmp_path: Path) -> None:
    for name, age in (("a", 0), ("b", STALE_SECONDS + 10)):
        (tmp_path / f"{MAKING}{name}").mkdir()
        os.utime(tmp_path / f"{MAKING}{name}", (time.time() - age,) * 2)
    Cache(tmp_path, 100).trim()
    assert entries(tmp_path) == {f"{MAKING}a"}


def locks(folder: Path) -> set[str]:
    return {path.name for path in folder.glob(f"*{LOCK}")}


def test_a_lock_goes_with_its_entry(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 15)
    for name in ("one", "two", "three"):
        with cache.held(name, filled(10)):
            pass
    assert entries(tmp_path) == {"three"}
    assert locks(tmp_path) == {f"three{LOCK}"}


def test_what_cannot_be_made_leaves_no_lock(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), Cache(tmp_path, 100).held("one", fail):
        pass
    assert locks(tmp_path) == set()


def test_locks_of_entries_that_killed_processes_never_made_go_with_the_next_trim(tmp_path: Path) -> None:
    (tmp_path / f"one{LOCK}").touch()
    Cache(tmp_path, 100).trim()
    assert locks(tmp_path) == set()


def test_who_waited_for_a_lock_that_was_removed_meanwhile_takes_the_one_in_its_place(tmp_path: Path) -> None:
    """The first maker fails, which removes the lock that the others wait for; only one of them makes the entry."""
    made, failing, may_fail = [], threading.Event(), threading.Event()

    def fail(folder: Path) -> None:
        failing.set()
        may_fail.wait(10)
        raise ValueError("broken")

    def make(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.05)
        (folder / "content").write_text("whole")

    def use(make: Callable[[Path], None]) -> None:
        with suppress(ValueError), Cache(tmp_path, 100).held("one", make) as entry:
            assert (entry / "content").read_text() == "whole"

    first = threading.Thread(target=use, args=(fail,))
    first.start()
    failing.wait(10)
    others = [threading.Thread(target=use, args=(make,)) for _ in range(4)]
    for thread in others:
        thread.start()
    may_fail.set()
    for thread in (first, *others):
        thread.join()
    assert len(made) == 1
    assert locks(tmp_path) == {f"one{LOCK}"}


def test_readers_makers_and_removers_at_once_never_lose_an_entry_that_is_held(tmp_path: Path) -> None:
    """A cache with room for nothing, so that every entry is removed as soon as nobody holds it."""
    lost: list[str] = []

    def use(number: int) -> None:
        for turn in range(40):
            cache = Cache(tmp_path, 0)
            with cache.held(f"entry{(number + turn) % 2}", filled(10)) as entry:
                if not (entry / "content").is_file():
                    lost.append(entry.name)
            cache.trim()

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == []
    Cache(tmp_path, 0).trim()
    assert (entries(tmp_path), locks(tmp_path)) == (set(), set())
