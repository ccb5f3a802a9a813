"""Calls of the kernel that a process may not make any more: the network, other programs, other processes' memory.

A filter in the kernel's own small language (seccomp, BPF), which needs no rights to be used. Source:
https://docs.kernel.org/userspace-api/seccomp_filter.html. On other kernels and processors nothing is refused.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys

_MACHINES = {
    # the processor's number; then socket, connect, execve, execveat, ptrace, process_vm_readv, process_vm_writev
    "x86_64": (0xC000003E, (41, 42, 59, 322, 101, 310, 311)),
    "aarch64": (0xC00000B7, (198, 203, 221, 281, 117, 270, 271)),
}
_IO_URING_SETUP, _PIDFD_GETFD = 425, 438
"""The same on every processor. The first can do what the others do without being seen here."""

_X32 = 0x40000000
"""Added to a call's number it is the same call in another form."""

_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
_NUMBER, _PROCESSOR = 0, 4
"""Where in what the kernel hands to the filter."""


class _Instruction(ctypes.Structure):
    _fields_ = [("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("value", ctypes.c_uint32)]


class _Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.POINTER(_Instruction))]


def is_there() -> bool:
    """Whether this kernel filters calls, and we know the numbers that they have on this processor."""
    return sys.platform.startswith("linux") and platform.machine() in _MACHINES


def refuse_the_outside() -> bool:
    """No socket, no other program, no look into another process from now on; False where the kernel cannot."""
    if not is_there():
        return False
    processor, calls = _MACHINES[platform.machine()]
    refused = (*calls, _IO_URING_SETUP, _PIDFD_GETFD)
    steps = [
        _Instruction(_LOAD, 0, 0, _PROCESSOR),
        _Instruction(_EQUAL, 1, 0, processor),
        _Instruction(_RETURN, 0, 0, _KILL),
        _Instruction(_LOAD, 0, 0, _NUMBER),
        _Instruction(_AT_LEAST, len(refused) + 1, 0, _X32),
        *(_Instruction(_EQUAL, len(refused) - at, 0, call) for at, call in enumerate(refused)),
        _Instruction(_RETURN, 0, 0, _ALLOW),
        _Instruction(_RETURN, 0, 0, _REFUSE),
    ]
    program = _Filter(len(steps), (_Instruction * len(steps))(*steps))
    kernel = ctypes.CDLL(None, use_errno=True)
    for call in ((_NO_NEW_PRIVS, 1, 0, 0, 0), (_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)):
        if kernel.prctl(*call) < 0:
            code = ctypes.get_errno()
            raise OSError(code, f"seccomp: {os.strerror(code)}")
    return True
