"""Which files of a dataset folder play which role: by the names people give them, or by the names the spec gives."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from app.domain.errors import DatasetInvalid
from app.sources import size_limits
from app.sources.short_texts import list_first
from microlith.contract import Splits

POINTER = size_limits.POINTER
FORMATS = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".json": "json", ".ndjson": "json"}
ROLES = ("train", "validation", "test")
_SHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
_SAVED = ("dataset_dict.json", "state.json", "dataset_info.json")
_ALIASES = {"train": ("train", "training"), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
_SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}")


def split_files(place: Path, splits: Splits, roles: Iterable[str]) -> dict[str, list[Path]]:
    """Role to its files, shards in order. A single file plays every role. DatasetInvalid names what is there."""
    if place.is_file():
        return {role: [_the_file(place, role, getattr(splits, role))] for role in roles}
    present = data_files(place)
    return {role: _find(place, present, role, getattr(splits, role)) for role in roles}


def data_files(folder: Path) -> list[Path]:
    """The data files of a folder and of `data/` below it, by name."""
    files = [
        file for data_folder in (folder, folder / "data") if data_folder.is_dir() for file in data_folder.iterdir()
    ]
    return sorted(file for file in files if file.suffix.lower() in FORMATS and file.is_file())


def roles_in(folder: Path) -> list[str]:
    """The roles that a file of the folder has the usual name for. DatasetInvalid with what is there, where none has."""
    stems = {_stem(file) for file in data_files(folder)}
    roles = [role for role in ROLES if stems & set(_ALIASES[role])]
    if not roles:
        _find(folder, data_files(folder), ROLES[0], ROLES[0])
    return roles


def _the_file(file: Path, role: str, name: str) -> Path:
    if file.suffix.lower() not in FORMATS:
        raise DatasetInvalid(
            f"{file.name} is not a data file. Data files end in {', '.join(FORMATS)}.",
            hint=remedy([file.name]),
            pointer=f"{POINTER}/ref",
        )
    if name not in (role, file.name):
        raise DatasetInvalid(
            f"{file.name} is a single file and serves as every split; it has no split {name!r}.",
            pointer=f"{POINTER}/splits/{role}",
        )
    return file


def _find(folder: Path, present: list[Path], role: str, name: str) -> list[Path]:
    names = _ALIASES[role] if name == role else (name,)
    for stem in names:
        exact = [file for file in present if str(file.relative_to(folder)) == stem]
        matching = exact or [file for file in present if _stem(file) == stem]
        if len({(file.suffix, file.parent) for file in matching}) > 1:
            raise DatasetInvalid(
                f"Several files could be the {role} split: {_named(matching, folder)}.",
                hint="Name one of them in `splits`.",
                pointer=f"{POINTER}/splits/{role}",
            )
        if matching:
            return matching
    raise DatasetInvalid(
        f"There is no file for the {role} split ({' or '.join(names)}). Data files there: {_named(present, folder)}.",
        hint=remedy([file.name for file in folder.iterdir()]) or "Name a file for each split in `splits`.",
        pointer=f"{POINTER}/splits/{role}",
    )


def remedy(names: Iterable[str]) -> str | None:
    """How data of a kind that is not read becomes one that is, by names of its files."""
    there = [name.lower() for name in names]
    if any(name.endswith(_SHEETS) for name in there):
        return "Spreadsheets are not read: save each sheet as CSV (UTF-8), one for each split."
    if any(name in _SAVED for name in there):
        return (
            "`save_to_disk` wrote this folder: write Parquet instead, split.to_parquet('train.parquet') for each split."
        )
    return None


def _named(files: list[Path], folder: Path) -> str:
    return list_first([str(file.relative_to(folder)) for file in files]) or "none"


def _stem(file: Path) -> str:
    shard = _SHARD.fullmatch(file.stem)
    return shard[1] if shard else file.stem
