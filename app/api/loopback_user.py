"""Which user of this machine sits at the other end of a loopback connection: the kernel knows, and no token is needed.

Linux tells it per connection by netlink (sock_diag(7)), in some ten microseconds however many connections there are;
where that is not served, `/proc/net/tcp` lists them all. Elsewhere nobody tells.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

from starlette.types import Scope

ROOT = 0
NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, REQUEST, EVERY_STATE = 4, 20, 1, 0xFFFFFFFF
HEADER, ASKED, ANSWER_OWNER = struct.Struct("=IHHII"), struct.Struct("=BBBBI"), struct.Struct("=II")
OWNER_AT = HEADER.size + 64
"""Where an answer has the owner and the inode of the socket."""

NO_COOKIE = b"\xff" * 8
PATIENCE_SECONDS = 0.1

End = tuple[str, int]


def is_own(scope: Scope) -> bool:
    """Whether the caller is the user of this process, or root; False where the kernel does not tell."""
    caller, here = scope.get("client"), scope.get("server")
    if not caller or not here or sys.platform != "linux":
        return False
    return owner(tuple(caller), tuple(here)) in (os.geteuid(), ROOT)


def owner(local: End, remote: End) -> int | None:
    """The user whose open socket of this machine is at `local`, connected to `remote`; None if nobody's is.

    What was closed already is nobody's: the kernel would say it is root's.
    """
    with suppress(OSError, ValueError, struct.error):
        return owner_by_netlink(local, remote)
    with suppress(OSError, ValueError):
        return owner_in_proc(local, remote)
    return None


def owner_by_netlink(local: End, remote: End) -> int | None:
    """As `owner`, by netlink. OSError where that is not served."""
    ends = [ipaddress.ip_address(local[0]), ipaddress.ip_address(remote[0])]
    family = socket.AF_INET if ends[0].version == 4 else socket.AF_INET6
    addresses = b"".join(end.packed.ljust(16, b"\0") for end in ends)
    identity = struct.pack("!HH", local[1], remote[1]) + addresses + struct.pack("=I", 0) + NO_COOKIE
    body = ASKED.pack(family, socket.IPPROTO_TCP, 0, 0, EVERY_STATE) + identity
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as kernel:
        kernel.settimeout(PATIENCE_SECONDS)
        kernel.send(HEADER.pack(HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, REQUEST, 1, 0) + body)
        reply = kernel.recv(4096)
    kind = HEADER.unpack_from(reply)[1]
    if kind != SOCK_DIAG_BY_FAMILY:
        raise OSError("the kernel knows no such connection, or does not tell")
    user, inode = ANSWER_OWNER.unpack_from(reply, OWNER_AT)
    return int(user) if inode else None


def owner_in_proc(local: End, remote: End) -> int | None:
    """As `owner`, from the list of all connections. OSError where there is none."""
    ends = f"{_in_hex(local)} {_in_hex(remote)}"
    table = "tcp" if ipaddress.ip_address(local[0]).version == 4 else "tcp6"
    for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if f"{fields[1]} {fields[2]}" == ends and int(fields[9]):
            return int(fields[7])
    return None


def _in_hex(end: End) -> str:
    """As /proc writes it: each four bytes of the address as a number of this machine."""
    words = struct.unpack(f">{len(ipaddress.ip_address(end[0]).packed) // 4}I", ipaddress.ip_address(end[0]).packed)
    shown = "".join(f"{socket.ntohl(word) if sys.byteorder == 'little' else word:08X}" for word in words)
    return f"{shown}:{end[1]:04X}"
