"""Where a reference's files are on this disk, and what a file is known by without reading it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from app.sources import demo
from app.sources.references import Reference, among


@dataclass(frozen=True)
class Stamp:
    """A file as it was seen: a changed file has another stamp, so what is cached by stamp is never stale.

    Anybody can set a time of modification; `changed`, which the kernel keeps, and `inode` tell what was written since.
    """

    path: Path
    modified: int
    size: int
    changed: int
    inode: tuple[int, int]


def stamp(path: Path) -> Stamp:
    """The stamp of an existing file."""
    status = path.stat()
    return Stamp(path, status.st_mtime_ns, status.st_size, status.st_ctime_ns, (status.st_dev, status.st_ino))


@lru_cache(maxsize=256)
def sha256(file: Stamp) -> str:
    """The sha256 of the file's bytes, in hex."""
    with file.path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def model_place(ref: Reference, *, pointer: str) -> Path:
    """The folder of a `demo:`, `path:` or uploaded model."""
    return _place(ref, demo.MODELS, "model", pointer)


def dataset_place(ref: Reference, *, pointer: str) -> Path:
    """The folder or file of a `demo:`, `path:` or uploaded dataset."""
    return _place(ref, demo.DATASETS, "dataset", pointer)


def _place(ref: Reference, known: dict[str, demo.Licence], what: str, pointer: str) -> Path:
    if ref.kind == "demo":
        return demo.FOLDER / among(ref.name, known, what=what, pointer=pointer)
    assert ref.place is not None, "only a place on this disk is supported"
    return ref.place
