"""Ask a confined process, and say what became of it."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import structlog

from app.confined.limits import PROGRAM, SMALLER, Limits
from app.domain.disk_faults import disk_fault
from app.domain.errors import InvalidInput, MicrolithError, Overloaded, ResourceLimit, of_code

AT_A_TIME = 2
"""Of each module."""

SEAT_SECONDS = 60.0
MOST_ANSWER_BYTES = 64_000_000
LOOK_SECONDS = 0.1
TOO_MANY_OPEN = os.strerror(errno.EMFILE)
"""In there it is a limit of ours, which the files have met."""

_KEPT = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "SYSTEMROOT")
_QUIET = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # others set memory aside that they may never use
    "HF_HUB_OFFLINE": "1",
    "HOME": "/nonexistent",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

_seats: dict[str, threading.BoundedSemaphore] = {}
"""For each module: who unpacks for minutes keeps no reader from its turn."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Reading:
    """What is asked of a confined process: `module.answer(question)`, with these places to read and to write in.

    `blames` is the error, at `pointer`, for files that end the process.
    """

    module: str
    question: object
    blames: type[InvalidInput]
    pointer: str | None = None
    reads: Sequence[Path] = ()
    writes: Sequence[Path] = ()
    limits: Limits = field(default_factory=Limits)


def run(reading: Reading, meanwhile: Callable[[], None] = lambda: None) -> Any:
    """The answer, as JSON brings it.

    Raises the MicrolithError that was raised there, and ResourceLimit where a limit was passed. `meanwhile` is called
    now and then, and the process ends when that raises. A few of one module run at a time; others wait for their turn,
    and are Overloaded where it does not come within a minute.
    """
    with _seat(reading), tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
        child = subprocess.Popen(
            [sys.executable, "-m", "app.confined.child", reading.module],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=complained,
            env={name: os.environ[name] for name in _KEPT if name in os.environ} | _QUIET | _scratch(reading.writes),
            cwd=PROGRAM,
        )
        try:
            code = _wait(child, _asked(reading), reading.limits.wall_seconds, meanwhile)
        finally:
            child.kill()
            child.wait()
        said.seek(0)
        complained.seek(0)
        if code == 0:
            return _answer(said.read(MOST_ANSWER_BYTES + 1), reading)
        raise explain_failure(code, complained.read()[-2000:].decode(errors="replace"), reading)


@contextmanager
def _seat(reading: Reading) -> Iterator[None]:
    """A turn for the module. Raises Overloaded where it does not come soon: a thread waits here."""
    seats = _seats.setdefault(reading.module, threading.BoundedSemaphore(AT_A_TIME))
    if not seats.acquire(timeout=SEAT_SECONDS):
        raise Overloaded("Too many files are being read.", hint="Send it again when they are; nothing was begun.")
    try:
        yield
    finally:
        seats.release()


def _asked(reading: Reading) -> bytes:
    asked = {
        "limits": asdict(reading.limits),
        "reads": [str(path.resolve()) for path in reading.reads],
        "writes": [str(path.resolve()) for path in reading.writes],
        "question": reading.question,
    }
    return json.dumps(asked).encode()


def _wait(child: subprocess.Popen[bytes], asked: bytes, seconds: float, meanwhile: Callable[[], None]) -> int | None:
    """The exit code; None where time was up."""
    until = time.monotonic() + seconds
    assert child.stdin is not None
    with suppress(BrokenPipeError), child.stdin:
        child.stdin.write(asked)
    while time.monotonic() < until:
        with suppress(subprocess.TimeoutExpired):
            return child.wait(min(LOOK_SECONDS, max(until - time.monotonic(), 0.001)))
        meanwhile()
    return None


def _answer(written: bytes, reading: Reading) -> Any:
    if len(written) > MOST_ANSWER_BYTES:
        raise ResourceLimit("There is more to tell of it than may be.", hint=SMALLER, pointer=reading.pointer)
    reply: dict[str, Any] = json.loads(written)
    if error := reply.get("error"):
        raise of_code(error.pop("code"))(**error | {"pointer": error["pointer"] or reading.pointer})
    return reply["answer"]


def explain_failure(code: int | None, complaint: str, reading: Reading) -> MicrolithError:
    """What a process that gave no answer means for who sent the files, unless our own disk has ended it."""
    log.warning("reader_failed", module=reading.module, code=code, said=complaint)
    limits = reading.limits
    memory = f"{limits.memory_bytes // 1_000_000:,} MB"
    if code is None:
        takes = f"longer than it may ({limits.wall_seconds:,.0f} seconds)"
    elif any(word in complaint for word in ("bad_alloc", "MemoryError", "memory allocation of")):
        takes = f"more memory than it may ({memory})"
    elif code in (-signal.SIGXCPU, -signal.SIGKILL):
        takes = f"more work or memory than it may ({limits.cpu_seconds:,} seconds of a processor, {memory})"
    else:
        full = disk_fault(OSError(complaint), "The reader of files") if TOO_MANY_OPEN not in complaint else None
        return full or reading.blames("The files end the process that reads them.", pointer=reading.pointer)
    return ResourceLimit(f"Reading it takes {takes}.", hint=SMALLER, pointer=reading.pointer)


def _scratch(writes: Sequence[Path]) -> dict[str, str]:
    """Where libraries put what they need for a moment."""
    return {"TMPDIR": str(writes[0].resolve())} if writes else {}
