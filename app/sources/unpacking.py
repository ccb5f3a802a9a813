"""Archives from strangers, unpacked: plain files inside the folder and nothing else, within bounds of count and size.

Links, devices, sparse files, absolute and climbing names are refused, so is what would grow beyond its bounds (a bomb).
Nothing here trusts what an archive says of itself: bytes are counted as they are written.
"""

from __future__ import annotations

import errno
import gzip
import lzma
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from app.domain.errors import InvalidInput

CHUNK_BYTES = 1024 * 1024
MAX_READ_BYTES = 16 * 1024 * 1024
"""Of the archive at once: neither a zip's directory nor a tar's header may ask for more memory."""

MAX_DEPTH = 8
_BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, struct.error, EOFError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError, LookupError),
)
"""What the libraries raise for archives that are damaged, encrypted or packed in a way they do not know."""

_PACKED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}
"""Faults of our disk, which are not the archive's."""


@dataclass(frozen=True)
class Bounds:
    """How much an archive may become."""

    files: int = 2_000
    total_bytes: int = 20_000_000_000
    growth: int = 200
    """Times its own size, beyond the first 64 MB: data compresses ten- to fiftyfold, bombs a thousandfold."""

    def bytes_for(self, archive: Path) -> int:
        return min(self.total_bytes, 64_000_000 + self.growth * archive.stat().st_size)


@dataclass(frozen=True)
class _Entry:
    """A plain file of an archive, opened when it is its turn."""

    name: str
    stream: IO[bytes]


def is_archive(file: Path) -> bool:
    """Whether the file begins as a zip, a gzip or a tar does."""
    return _form(file) is not None


def unpack(archive: Path, folder: Path, *, pointer: str, bounds: Bounds | None = None) -> None:
    """Write the archive's files below `folder`. Raises InvalidInput at `pointer`; what was written then is no use."""
    bounds = bounds or Bounds()
    left, count = bounds.bytes_for(archive), 0
    with _explained(archive, pointer):
        for entry in _entries(archive, folder, left):
            target = folder / _inside(entry.name)
            count += 1
            if count > bounds.files:
                raise ValueError(f"it has more than {bounds.files} files")
            target.parent.mkdir(parents=True, exist_ok=True)
            left -= _write(entry.stream, target, left)


def _write(stream: IO[bytes], target: Path, most: int) -> int:
    with target.open("xb") as file:
        return _copy(stream, file, most)


def _copy(stream: IO[bytes], file: IO[bytes], most: int) -> int:
    written = 0
    while chunk := stream.read(CHUNK_BYTES):
        written += len(chunk)
        if written > most:
            raise ValueError("unpacked, it is larger than allowed")
        file.write(chunk)
    return written


def _entries(archive: Path, scratch: Path, most: int) -> Iterator[_Entry]:
    """The plain files; a compressed tar is laid out in `scratch` first, since a tar is read back and forth."""
    form = _form(archive)
    with archive.open("rb") as raw:
        if form == "zip":
            yield from _zipped(raw)
        elif form == "tar":
            yield from _tarred(raw)
        elif form == "gzip":
            with gzip.open(raw) as inner, tempfile.TemporaryFile(dir=scratch) as plain:
                _copy(cast(IO[bytes], inner), plain, most)
                plain.seek(0)
                yield from _tarred(plain)
        else:
            raise ValueError("it is neither a zip nor a tar (plain or gzip)")


def _zipped(raw: IO[bytes]) -> Iterator[_Entry]:
    with zipfile.ZipFile(cast(IO[bytes], _Sparing(raw))) as opened:
        for info in opened.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ValueError(f"{info.filename!r} is {_strange_kind(kind == stat.S_IFLNK, 'zip -r, without -y')}")
            if info.is_dir() or _is_litter(info.filename):
                _inside(info.filename)
                continue
            if info.compress_type not in _PACKED:
                raise ValueError(f"{info.filename[:200]!r} is packed in an unknown way")
            with opened.open(info) as stream:
                yield _Entry(info.filename, stream)


def _tarred(raw: IO[bytes]) -> Iterator[_Entry]:
    with tarfile.open(fileobj=cast(IO[bytes], _Sparing(raw)), mode="r:") as opened:
        for member in opened:
            if not (member.isreg() or member.isdir()) or member.issparse():
                instead = "tar -h" if member.issym() else "tar --hard-dereference"
                raise ValueError(f"{member.name!r} is {_strange_kind(member.issym() or member.islnk(), instead)}")
            if member.isdir() or _is_litter(member.name):
                _inside(member.name)
                continue
            stream = opened.extractfile(member)
            assert stream is not None  # a regular file has content
            with stream:
                yield _Entry(member.name, stream)
            opened.members = []  # type: ignore[attr-defined]  # a million tiny members are not kept in memory


def _inside(name: str) -> PurePosixPath:
    """The name as a path inside a folder; ValueError for one that leads elsewhere or could not be a plain name."""
    path = PurePosixPath(name)
    if "\\" in name:
        raise ValueError(
            f"the name {name[:200]!r} has backslashes for slashes; zip it again with a program that writes slashes"
        )
    strange = ":" in name or not name.isprintable() or len(name.encode(errors="replace")) > 500
    if path.is_absolute() or ".." in path.parts or strange or len(path.parts) > MAX_DEPTH:
        raise ValueError(f"the name {name[:200]!r} leads out of the archive's folder, or is not a plain name")
    return path


def _strange_kind(is_link: bool, instead: str) -> str:
    """What a member is that is not packed, and what packs the file that a link leads to."""
    return f"a link, not the file itself; pack what it leads to ({instead})" if is_link else "not a plain file"


def _is_litter(name: str) -> bool:
    """What a desktop leaves in archives: hidden files and macOS's resource forks."""
    return any(part == "__MACOSX" or (part.startswith(".") and part != ".") for part in PurePosixPath(name).parts)


def _form(file: Path) -> str | None:
    with file.open("rb") as stream:
        head = stream.read(512)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    return "tar" if head[257:262] == b"ustar" else None


class _Sparing:
    """A file that refuses to be read in pieces beyond MAX_READ_BYTES."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(MAX_READ_BYTES + 1) if size < 0 else b""
        if max(size, len(content)) > MAX_READ_BYTES:
            raise ValueError("its directory or one of its headers is larger than allowed")
        return content or self._file.read(size)


@contextmanager
def _explained(archive: Path, pointer: str) -> Iterator[None]:
    """Whatever is wrong with an archive as bad input; FileExistsError and their like come of its names."""
    try:
        yield
    except (*_BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno in _OURS:
            raise
        detail = (str(error).strip() or type(error).__name__).splitlines()[0].replace(str(archive.parent), "")
        raise InvalidInput(
            f"The archive cannot be unpacked: {detail}.",
            hint="Send a zip, a tar or a tar.gz of plain files, such as `microlith models upload FOLDER` makes.",
            pointer=pointer,
        ) from error
