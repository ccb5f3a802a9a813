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
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import structlog

from app.confined.child import PROGRAM
from app.confined.limits import Limits
from app.domain.disk import disk_fault
from app.domain.errors import InvalidInput, MicrolithError, ResourceLimit, of_code

AT_A_TIME = 2
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

_seats = threading.BoundedSemaphore(AT_A_TIME)

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
    now and then, and the process ends when that raises.
    """
    with _seats, tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as complained:
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
            return _answer(said.read(reading.limits.file_bytes), reading.pointer)
        raise _explained(code, complained.read()[-2000:].decode(errors="replace"), reading)


def _asked(reading: Reading) -> bytes:
    asked = {
        "limits": asdict(reading.limits),
        "reads": [str(place.resolve()) for place in reading.reads],
        "writes": [str(place.resolve()) for place in reading.writes],
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


def _answer(said: bytes, pointer: str | None) -> Any:
    told: dict[str, Any] = json.loads(said)
    if error := told.get("error"):
        raise of_code(error.pop("code"))(**error | {"pointer": error["pointer"] or pointer})
    return told["answer"]


def _explained(code: int | None, complaint: str, reading: Reading) -> MicrolithError:
    """What a process that gave no answer means for who sent the files, unless our own disk has ended it."""
    log.warning("reader_ended", module=reading.module, code=code, said=complaint)
    if code is None:
        return ResourceLimit("Reading it takes longer than it may.", pointer=reading.pointer)
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return ResourceLimit("Reading it takes more work or memory than it may.", pointer=reading.pointer)
    if any(word in complaint for word in ("bad_alloc", "MemoryError", "memory allocation of")):
        return ResourceLimit("Reading it takes more memory than it may.", pointer=reading.pointer)
    full = disk_fault(OSError(complaint), "The reader of files")
    if full and TOO_MANY_OPEN not in complaint:
        return full
    return reading.blames("The files end the process that reads them.", pointer=reading.pointer)


def _scratch(writes: Sequence[Path]) -> dict[str, str]:
    """Where libraries put what they need for a moment."""
    return {"TMPDIR": str(writes[0].resolve())} if writes else {}
