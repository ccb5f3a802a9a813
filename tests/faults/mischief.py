"""What a worker of the tests does that no worker should: stand still, live in another hour, lack disk or patience."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.storage.folder import FolderStore

if TYPE_CHECKING:
    from worker.attempt.lease import Lease

STAND_SECONDS = 300.0
DISK_BYTES = 256 * 1024
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_REC, MS_PRIVATE, MS_BIND, MS_REMOUNT, MS_RDONLY = 0x4000, 0x40000, 0x1000, 0x20, 0x1


def prepare() -> None:
    """Teach this process, a worker that has not begun, what its environment asks of it."""
    if folder := os.environ.get("FAULTS_FULL_DISK"):
        small_disk(Path(folder))
    if folder := os.environ.get("FAULTS_FULL_STORE"):
        small_disk(Path(folder))
        FolderStore(Path(folder))
    if folder := os.environ.get("FAULTS_READ_ONLY"):
        read_only(Path(folder))
    if seconds := os.environ.get("FAULTS_CLOCK"):
        _shift_clock(float(seconds))
    if tasks := os.environ.get("FAULTS_TASKS_PER_CHILD"):
        _share_children(int(tasks))
    if seconds := os.environ.get("FAULTS_PATIENCE"):
        _lose_patience(float(seconds))
    if "FAULTS_UNWATCHED" in os.environ:
        faulthandler.dump_traceback_later = lambda *_args, **_options: None
    if flags := os.environ.get("FAULTS_FLAGS"):
        _stand_still(Path(flags))


def flag(job_id: str, attempt: int) -> str:
    """The name of the file that says: this attempt stands where its job's labels wanted it."""
    return f"{job_id}.{attempt}"


def small_disk(folder: Path) -> None:
    """Put a disk of DISK_BYTES under `folder`, seen by this process and its children alone, gone when they are.

    Where mounting is not allowed, no file may grow beyond that size: writing fails in the same call, though with
    another reason.
    """
    options = f"size={DISK_BYTES},mode=755,uid={os.geteuid()},gid={os.getegid()}"
    if not (_own_mounts() and _mount("tmpfs", folder, "tmpfs", 0, options)):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (DISK_BYTES, resource.RLIM_INFINITY))


def read_only(folder: Path) -> None:
    """Nothing below `folder` can be written by this process and its children any more."""
    bound = _own_mounts() and _mount(str(folder), folder, None, MS_BIND, None)
    if not (bound and _mount("none", folder, None, MS_BIND | MS_REMOUNT | MS_RDONLY, None)):
        folder.chmod(0o555)


def _own_mounts() -> bool:
    """Whether this process has a view of the file systems to itself now, in which it may mount."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if uid else 0)) != 0:
        return False
    if uid:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    return _mount("none", Path("/"), None, MS_REC | MS_PRIVATE, None)


def _mount(source: str, target: Path, kind: str | None, flags: int, options: str | None) -> bool:
    given = (os.fsencode(source), os.fsencode(target), kind and kind.encode(), flags, options and options.encode())
    return bool(ctypes.CDLL(None, use_errno=True).mount(*given) == 0)


def _shift_clock(seconds: float) -> None:
    """Everything that asks Python for the time of day, in whatever module it does, is told another."""
    clock, clock_ns = time.time, time.time_ns
    time.time = lambda: clock() + seconds
    time.time_ns = lambda: clock_ns() + int(seconds * 1e9)


def _share_children(tasks: int) -> None:
    """A child runs so many jobs before it makes way for the next: for tests with more jobs than seconds."""
    import worker.tasks

    register = worker.tasks.register

    def registered(celery: Any, settings: Any) -> None:
        register(celery, settings)
        celery.conf.worker_max_tasks_per_child = tasks

    worker.tasks.register = registered


def _lose_patience(seconds: float) -> None:
    import worker.attempt.retrying

    worker.attempt.retrying.PATIENCE_SECONDS = seconds


def _stand_still(flags: Path) -> None:
    """A job with the label `stand` is left standing in that phase, in its first `stand_attempts` (1) attempts.

    It meets no checkpoint there, as a computation that hangs; its heartbeat goes on. With `stand_after` it passes by
    until it has so many modules.
    """
    from worker.attempt.progress import ProgressWriter

    original = ProgressWriter.phase

    @contextmanager
    def phase(self: ProgressWriter, phase: str) -> Iterator[None]:
        with original(self, phase):  # type: ignore[arg-type]
            labels, attempt = self.lease.spec.labels, self.lease.attempt
            here = labels.get("stand") == phase and attempt <= int(labels.get("stand_attempts", "1"))
            if here and _modules_of(self.lease) >= int(labels.get("stand_after", "0")):
                (flags / flag(self.lease.job_id, attempt)).touch()
                time.sleep(float(labels.get("stand_seconds", STAND_SECONDS)))
            yield

    ProgressWriter.phase = phase  # type: ignore[method-assign]


def _modules_of(lease: Lease) -> int:
    """How many modules the job has by now."""
    with lease.write() as (unit, _):
        return len(unit.modules.of_job(lease.job_id))
