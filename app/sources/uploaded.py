"""What an uploaded file comes to on this disk: a model's folder, a dataset's file or folder, a file of samples."""

from __future__ import annotations

import fnmatch
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app import confined
from app.confined import Limits, Reading
from app.domain.errors import InvalidInput
from app.sources.splits import FORMATS, ROLES, lone_files, roles_in
from app.sources.unpacking import Bounds, is_archive, unpack
from app.sources.weights import refuse_pickles
from microlith.contract import DatasetSpec
from microlith.contract.uploads import DATA_FILES, MODEL_FILES, UploadKind

BOUNDARY = "boundary.safetensors"
MODEL, DATA = "model", "data"
"""Where an archive's files are, in the folder of the upload."""

_MEMORY_BYTES = 500_000_000
_BYTES_A_SECOND = 20_000_000
"""Of what an archive may come to, written by the slowest of our machines."""


def entry_name(kind: UploadKind, filename: str, sha256: str) -> str:
    """A name that is another one for whatever would be laid out otherwise."""
    return f"{kind}-{sha256}{_data_suffix(filename) if kind == 'dataset' else ''}"


def lay_out(file: Path, kind: UploadKind, filename: str, folder: Path, *, pointer: str = "/upload") -> None:
    """Put the content of the uploaded `file` below `folder`, which is empty and has the file in it.

    Archives are unpacked by a confined process. Raises InvalidInput for what is unsafe, ResourceLimit for what takes
    more than it may, and OSError where the disk is full.
    """
    if kind == "boundary":
        file.rename(folder / BOUNDARY)
    elif kind == "model":
        _open(file, folder / MODEL, ("config.json",), MODEL_FILES, pointer)
    elif suffix := _data_suffix(filename):
        file.rename(folder / f"{DATA}{suffix}")
    else:
        _open(file, folder / DATA, (), DATA_FILES, pointer)


def place_in(folder: Path, kind: UploadKind, filename: str) -> Path:
    """Where what `lay_out` has put there is to be read."""
    if kind == "boundary":
        return folder / BOUNDARY
    return folder / MODEL if kind == "model" else folder / f"{DATA}{_data_suffix(filename)}"


def roles_there(place: Path, source: DatasetSpec) -> list[str]:
    """The splits that can be described: all of a single file, those that a folder has or that are carved."""
    return list(ROLES) if lone_files(place) else roles_in(place, source)


def _data_suffix(filename: str) -> str:
    suffix = Path(filename).suffix.lower()
    return suffix if suffix in FORMATS else ""


def answer(question: dict[str, Any]) -> dict[str, int | None]:
    """Unpack as `_open` asks for it, confined; `errno` is set where this machine is at fault, not the archive."""
    file, target = Path(question["file"]), Path(question["target"])
    try:
        _unpack(file, target, question["expected"], question["kept"], question["pointer"])
    except OSError as error:
        return {"errno": error.errno}
    return {"errno": None}


def _open(file: Path, target: Path, expected: Sequence[str], kept: Sequence[str], pointer: str) -> None:
    """Unpack to `target` what is of use, in a confined process."""
    if not is_archive(file):
        formats = "" if expected else f" A single data file ends in {', '.join(FORMATS)}."
        raise InvalidInput(f"The file is neither a zip nor a tar (plain or gzip).{formats}", pointer=pointer)
    most = Bounds().bytes_for(file)
    seconds = 30 + most // _BYTES_A_SECOND
    limits = Limits(_MEMORY_BYTES, cpu_seconds=seconds, wall_seconds=2 * seconds, file_bytes=most)
    where = {"file": str(file.resolve()), "target": str(target.resolve())}
    question = {**where, "expected": expected, "kept": kept, "pointer": pointer}
    reading = Reading(__name__, question, InvalidInput, pointer, writes=[target.parent], limits=limits)
    if fault := confined.run(reading)["errno"]:
        raise OSError(fault, os.strerror(fault))


def _unpack(file: Path, target: Path, expected: Sequence[str], kept: Sequence[str], pointer: str) -> None:
    """All of it may lie in one folder of the archive's own."""
    whole = target.with_name(f"{target.name}.whole")
    whole.mkdir()
    unpack(file, whole, pointer=pointer)
    root = _root(whole, expected)
    if expected:
        refuse_pickles([path.name for path in root.iterdir()], pointer=pointer)
    target.mkdir()
    for path in sorted(path for path in root.rglob("*") if path.is_file() and _is_kept(path.relative_to(root), kept)):
        (target / path.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
        path.rename(target / path.relative_to(root))
    shutil.rmtree(whole)


def _root(folder: Path, expected: Sequence[str]) -> Path:
    """The folder itself, or the only one in it where nothing else is (for a model: where its config is)."""
    inside = list(folder.iterdir())
    if any((folder / name).is_file() for name in expected):
        return folder
    folders = [path for path in inside if path.is_dir()]
    alone = len(folders) == 1 and (len(inside) == 1 or bool(expected)) and folders[0].name != DATA
    return folders[0] if alone else folder


def _is_kept(path: Path, patterns: Sequence[str]) -> bool:
    saved = len(path.parts) == 2 and path.suffix == ".arrow"  # in the folder of a split, by `save_to_disk`
    near = saved or len(path.parts) == 1 or path.parts[:-1] == (DATA,)
    return near and any(
        fnmatch.fnmatchcase(name, pattern) for pattern in patterns for name in (path.name, path.name.lower())
    )
