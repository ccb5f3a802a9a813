"""Archives: a folder as one zip whose bytes depend on names and contents alone."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from microlith.contract import ArtifactFile

MEDIA_TYPE = "application/zip"
_CHUNK = 1024 * 1024
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can state
_MODE = 0o100644 << 16
_UNIX = 3


@dataclass(frozen=True)
class Archive:
    """A zip on disk: its digest, its size and what it holds."""

    path: Path
    layout: str
    sha256: str
    size_bytes: int
    files: list[ArtifactFile]


def archive(folder: Path, target: Path, layout: str = "portable", *, compressed: bool = False) -> Archive:
    """Zips `folder`, a module in this layout, into `target`, its files at the root. Equal content has equal bytes.

    Stored, unless `compressed`: weights do not shrink, and zlib's versions differ, so that equal bytes are promised
    with one version of it only. Reads and writes in pieces.
    """
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(target, "w", compresslevel=9) as zipped:
        files = [_add(zipped, folder, name, method) for name in files_of(folder)]
    with target.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Archive(target, layout, digest, target.stat().st_size, files)


def files_of(folder: Path) -> list[str]:
    """The names of all files below a folder, relative and with forward slashes, sorted."""
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def _add(zipped: zipfile.ZipFile, folder: Path, name: str, method: int) -> ArtifactFile:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system, entry.external_attr, entry.compress_type = _UNIX, _MODE, method
    entry.file_size = (folder / name).stat().st_size  # decides between zip and zip64 before a byte is written
    digest = hashlib.sha256()
    with (folder / name).open("rb") as source, zipped.open(entry, "w") as sink:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            sink.write(chunk)
    return ArtifactFile(path=name, size_bytes=entry.file_size, sha256=digest.hexdigest())
