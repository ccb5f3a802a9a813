"""What a file could make of its reader, one misdeed for each name."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from app.domain.errors import DatasetInvalid


def answer(question: dict[str, Any]) -> Any:
    return globals()[question.pop("misdeed")](**question)


def none(said: str) -> str:
    return said


def reads(file: str) -> str:
    return Path(file).read_text(encoding="utf-8")


def writes(file: str, size: int = 10) -> int:
    return Path(file).write_bytes(b"x" * size)


def lists(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def links(target: str, link: str) -> str:
    Path(link).symlink_to(target)
    return Path(link).read_text(encoding="utf-8")


def connects(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return "connected"


def resolves(family: str) -> str:
    with socket.socket(getattr(socket, family), socket.SOCK_DGRAM):
        return "opened"


def runs() -> str:
    return subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, text=True, check=True).stdout


def signals(pid: int) -> None:
    os.kill(pid, 0)


def grows() -> int:
    return len([bytearray(10_000_000) for _ in range(10_000)])


def spins() -> None:
    while True:
        pass


def sleeps() -> None:
    time.sleep(600)


def tells(size: int) -> str:
    return "x" * size


def crashes() -> None:
    ctypes.string_at(1)


def raises() -> None:
    raise DatasetInvalid("It has no rows.", hint="Give it some.", pointer="/dataset")


def environment() -> dict[str, str]:
    return dict(os.environ)
