"""Models of strangers are described by a process that can do nothing else, once for each content of their files.

What comes with the server is described here and now.
"""

from __future__ import annotations

import fnmatch
import json
import os
from pathlib import Path

from app.confined import Limits, Reading, run
from app.domain.errors import ResourceLimit, UnsupportedModel
from app.sources import demo
from app.sources.allowed_paths import Allowed
from app.sources.findings import Remembered
from app.sources.identity import is_read
from app.sources.models import POINTER, describe_folder, unreadable, with_structures
from app.sources.reference_files import Stamp, model_place, stamp
from app.sources.references import NOTHING, Reference, Shelf, parse
from microlith.contract import ModelInfo
from microlith.contract.uploads import MODEL_FILES

MAX_FILES = 10_000
LIMITS = Limits(cpu_seconds=300, wall_seconds=600.0)
"""Most of it is for the digest of large weights."""

remembered_models = Remembered()


def describe_model(ref: str, *, allow_paths: Allowed, shelf: Shelf = NOTHING) -> ModelInfo | None:
    """What `models.describe_model` says, with the same errors, and ResourceLimit; at once for files known before."""
    known = parse(ref, pointer=POINTER, allow_paths=allow_paths, shelf=shelf)
    return None if known.kind == "hub" else describe_place(known, model_place(known, pointer=POINTER))


def describe_place(ref: Reference, folder: Path) -> ModelInfo:
    """What `models.describe_folder` says, with the same errors, and ResourceLimit."""
    files = _files_of(folder)
    stamps = [_stamp_of(file) for file in files]
    if ref.kind == "demo":
        info = remembered_models.once((ref.name, stamps), lambda: describe_folder(ref, folder).model_dump_json())
    else:
        info = remembered_models.once((str(folder), stamps), lambda: _look(folder, files))
    described = ModelInfo.model_validate_json(info).model_copy(update={"id": str(ref), "name": ref.title})
    return described if described.family else with_structures(described, ref.refused)


def known_models() -> list[ModelInfo]:
    """The models anyone may name: the demo's."""
    infos = (describe_model(f"demo:{name}", allow_paths=False) for name in sorted(demo.MODELS))
    return [info for info in infos if info]


def _look(folder: Path, files: list[Path]) -> str:
    reading = Reading(
        "app.sources.models",
        str(folder),
        UnsupportedModel,
        pointer=POINTER,
        reads=[folder, *(file for file in files if file.is_symlink())],
        limits=LIMITS,
    )
    return json.dumps(run(reading))


def _files_of(folder: Path) -> list[Path]:
    """The files that a description may depend on, by name. ResourceLimit for a folder that holds too many."""
    try:
        with os.scandir(folder) as found:
            names = [entry.name for _, entry in zip(range(MAX_FILES + 1), found, strict=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise unreadable(error) from error
    if len(names) > MAX_FILES:
        raise ResourceLimit(f"The model's folder contains more than {MAX_FILES:,} files.", pointer=POINTER)
    return [folder / name for name in sorted(names) if is_read(name) or _is_kept(name)]


def _is_kept(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, kept) for kept in MODEL_FILES)


def _stamp_of(file: Path) -> Stamp | None:
    """None for a link to nothing."""
    try:
        return stamp(file)
    except OSError:
        return None
