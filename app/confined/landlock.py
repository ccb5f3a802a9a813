"""The part of the disk a process may touch, held by the kernel: Landlock, which needs no rights to be used.

Source: https://docs.kernel.org/userspace-api/landlock.html. A kernel without it (before 5.13, or not Linux) leaves a
process as it is: `fence` says so.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION, _PATH_BENEATH, _NO_NEW_PRIVS = 1, 1, 38

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _REFER, _TRUNCATE = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 13, 1 << 14
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights over files that a version of Landlock knows."""

_OF_FILES = _READ_FILE | _WRITE_FILE | _TRUNCATE
_READING = _READ_FILE | _READ_DIR
_WRITING = _READING | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE
_TCP, _SCOPED = 3, 3
"""Binding and connecting; signals and abstract sockets of processes outside."""


class _Ruleset(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def version() -> int:
    """The version of Landlock in this kernel; below 1 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return int(ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _VERSION))


def fence(reads: Iterable[Path], writes: Iterable[Path]) -> bool:
    """Leave this process only files below `reads`, and below `writes` to change; False where the kernel cannot.

    What is open already stays open.
    """
    there = version()
    if there < 1:
        return False
    kernel = ctypes.CDLL(None, use_errno=True)
    known = _RIGHTS[max(number for number in _RIGHTS if number <= there)]
    attributes = _Ruleset(known, _TCP if there >= 4 else 0, _SCOPED if there >= 6 else 0)
    size = 8 if there < 4 else 16 if there < 6 else 24
    ruleset = _checked(kernel.syscall(_CREATE_RULESET, ctypes.byref(attributes), size, 0))
    for places, rights in ((reads, _READING), (writes, _WRITING)):
        for path in places:
            _allow(kernel, ruleset, path, rights & known)
    _checked(kernel.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(kernel.syscall(_RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)
    return True


def _allow(kernel: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    """A place that is not there needs no right."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    rule = _PathRule(rights if path.is_dir() else rights & _OF_FILES, descriptor)
    _checked(kernel.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0))
    os.close(descriptor)


def _checked(answer: int) -> int:
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {os.strerror(code)}")
    return answer
