"""A module's archive to a folder: nothing is written outside it, and every file is the one its SHA256SUMS names."""

from __future__ import annotations

import lzma
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from microlith.client.connection import Connection
from microlith.client.download import OnBytes, extension, fetch, sha256_of
from microlith.contract import Artifact
from microlith.errors import DigestMismatch, TargetOccupied, UnsafeArchive

SUMS = "SHA256SUMS"

_UNSOUND = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,  # locked by a password, or packed in a way that this Python does not know
    ValueError,  # names that are no text, or no names
    NotADirectoryError,  # a file and a folder of one name
    IsADirectoryError,
    FileExistsError,
)
"""What a file that is no sound zip makes of `zipfile`."""


async def fetch_archive(server: Connection, artifact: Artifact, target: Path, on_bytes: OnBytes | None) -> Path:
    """Bring a module's file home as it is, named like `target` with the ending of its kind."""
    return await fetch(server, artifact, target.with_name(target.name + extension(artifact)), on_bytes)


async def fetch_module(server: Connection, artifact: Artifact, target: Path, on_bytes: OnBytes | None) -> Path:
    """Bring a module's file to the folder `target`; what is there already, whole, is left alone."""
    if artifact.media_type != "application/zip":
        return await fetch_archive(server, artifact, target, on_bytes)
    if target.exists():
        if await server.aside(holds, target, artifact):
            return target
        raise TargetOccupied(target)
    kept = target.with_name(target.name + extension(artifact)).exists()
    archive = await fetch_archive(server, artifact, target, on_bytes)
    await server.aside(unpack, archive, target)
    if not kept:
        archive.unlink()
    return target


def unpack(archive: Path, target: Path) -> Path:
    """Unpack into `target`, which appears complete and checked, or not at all.

    Raises UnsafeArchive, DigestMismatch, or TargetOccupied when `target` exists.
    """
    if target.exists():
        raise TargetOccupied(target)
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=target.parent) as scratch:
        folder = Path(scratch) / "module"
        try:
            with zipfile.ZipFile(archive) as opened:
                _refuse_strays(opened)
                opened.extractall(folder)
        except _UNSOUND as error:
            raise UnsafeArchive(f"{archive.name} is no sound zip: {error}.") from error
        check_sums(folder)
        shutil.move(folder, target)
    return target


def check_sums(folder: Path) -> None:
    """Raise unless SHA256SUMS names every file of the folder with its digest, and no other."""
    if not (folder / SUMS).is_file():
        raise UnsafeArchive(f"There is no {SUMS} to check the files by.")
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except ValueError as error:
        raise UnsafeArchive(f"{SUMS} is not a text.") from error
    promised = {line[66:]: line[:64] for line in lines}  # as sha256sum writes them: digest, space, mode, name
    present = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    if set(present) - {SUMS} != set(promised):
        odd = sorted(set(promised) ^ (set(present) - {SUMS}))
        raise UnsafeArchive(f"{SUMS} and the files do not agree about: {', '.join(odd)}.")
    for name, digest in promised.items():
        actual = sha256_of(present[name])
        if actual != digest:
            raise DigestMismatch(present[name], digest, actual)


def holds(folder: Path, artifact: Artifact) -> bool:
    """Whether every file of the artifact is in the folder, unchanged."""
    return bool(artifact.files) and all(
        (folder / file.path).is_file() and sha256_of(folder / file.path) == file.sha256 for file in artifact.files
    )


def _refuse_strays(opened: zipfile.ZipFile) -> None:
    for entry in opened.infolist():
        path = PurePosixPath(entry.filename)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        outside = path.is_absolute() or ".." in path.parts or "\\" in entry.filename or ":" in entry.filename
        if outside or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UnsafeArchive(
                f"The archive was not unpacked: its entry {entry.filename!r} is not a plain file inside it."
            )
