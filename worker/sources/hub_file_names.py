"""Which of a repository's files are data and which split each plays, told by their names alone.

The usual layouts of the hub are known: `train.csv`, `data/train-00000-of-00001.parquet`, `train/0000.parquet`, and a
folder for each configuration.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from app.domain.errors import DatasetInvalid, SourceUnavailable
from app.sources.references import Reference
from app.sources.splits import FORMATS, POINTER
from microlith.contract import Splits

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
_NO_DATA = ("config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
_SHARD = re.compile(r"(.+?)-\d{5}-of-\d{5}(?:-[0-9a-f]{8,64})?")
_BETWEEN = re.compile(r"[\W\d_]+")
_LISTED = 20


@dataclass(frozen=True)
class _DataFile:
    """`folder` is that of its configuration: without `data` and without a folder that is named as a split."""

    path: PurePosixPath
    folder: str
    split: str


def check_names(ref: Reference, names: Iterable[str], pointer: str) -> None:
    """SourceUnavailable for a name that could lead out of the repository, or that a log could not show."""
    for name in names:
        strange = "\\" in name or any(unicodedata.category(character).startswith("C") for character in name)
        if strange or any(part in ("", ".", "..") for part in name.split("/")):
            raise SourceUnavailable(
                f"{ref} has a file that cannot be fetched: {name[:200]!r} is no plain name below the repository.",
                pointer=pointer,
            )


def role_files(names: Iterable[str], splits: Splits, roles: Iterable[str]) -> dict[str, list[str]]:
    """Role to its files, shards in order: those of the split that `splits` names, or the one file of that very name.

    DatasetInvalid with the splits, or with the configurations where there are several.
    """
    files = [_data_file(name) for name in sorted(names) if _is_data(PurePosixPath(name))]
    wanted = {role: str(getattr(splits, role)) for role in roles}
    exact = {str(file.path) for file in files}
    found = {role: [name] for role, name in wanted.items() if name in exact}
    if len(found) < len(wanted):
        known = _by_split(_configuration(files))
        found |= {role: _find(known, role, name) for role, name in wanted.items() if role not in found}
    return {role: found[role] for role in wanted}


def _is_data(path: PurePosixPath) -> bool:
    hidden = any(part.startswith((".", "__")) for part in path.parts)
    return path.suffix.lower() in FORMATS and path.name not in _NO_DATA and not hidden


def _data_file(name: str) -> _DataFile:
    path = PurePosixPath(name)
    shard = _SHARD.fullmatch(path.stem)
    stem = shard[1] if shard else path.stem
    folders = [part for part in path.parts[:-1] if part != "data" and part not in _SPLITS]
    words = {_SPLITS[word] for word in _BETWEEN.split(stem.lower()) if word in _SPLITS}
    above = [_SPLITS[part] for part in path.parts[:-1] if part in _SPLITS]
    named = next(iter(words)) if len(words) == 1 else None
    return _DataFile(path, "/".join(folders), _SPLITS.get(stem) or (above[-1] if above else None) or named or stem)


def _configuration(files: list[_DataFile]) -> list[_DataFile]:
    """The files of the only configuration, or of the one that has no folder or the folder `default`."""
    folders = list(dict.fromkeys(file.folder for file in files))
    chosen = next((folder for folder in ("", "default") if folder in folders), None)
    if chosen is None and len(folders) > 1:
        more = f" and {len(folders) - _LISTED} more" if len(folders) > _LISTED else ""
        raise DatasetInvalid(
            f"The dataset has several configurations: {', '.join(folders[:_LISTED])}{more}.",
            hint="Name a file of one of them per role in `splits`, or upload the files of one.",
            pointer=f"{POINTER}/ref",
        )
    return [file for file in files if chosen is None or file.folder == chosen]


def _by_split(files: list[_DataFile]) -> dict[str, list[_DataFile]]:
    """Split to its files. Files of one split alone, whatever it is called, are what there is to train on."""
    known: dict[str, list[_DataFile]] = {}
    for file in files:
        known.setdefault(file.split, []).append(file)
    if len(known) == 1 and not set(known) & set(_SPLITS.values()):
        known["train"] = next(iter(known.values()))
    return known


def _find(known: dict[str, list[_DataFile]], role: str, name: str) -> list[str]:
    files = known.get(name) or known.get(_SPLITS.get(name, name))
    if not files:
        listed = ", ".join(list(known)[:_LISTED]) or "none"
        raise DatasetInvalid(
            f"The dataset has no split {name!r} for {role}. Splits: {listed}.", pointer=f"{POINTER}/splits/{role}"
        )
    if len({(file.path.parent, file.path.suffix) for file in files}) > 1:
        listed = ", ".join(str(file.path) for file in files[:_LISTED])
        raise DatasetInvalid(
            f"Several files could be the {role} split: {listed}.",
            hint="Name one of them in `splits`.",
            pointer=f"{POINTER}/splits/{role}",
        )
    return [str(file.path) for file in files]
