"""Which files of a dataset folder play which role: by the names people give them, or by the names the spec gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from app.domain.errors import DatasetInvalid
from app.sources import size_limits
from app.sources.short_texts import list_first, shorten
from microlith.contract import DataForm
from microlith.contract.slices import Slice, cut_name

POINTER = size_limits.POINTER
FORMATS = {
    **{".parquet": "parquet", ".arrow": "arrow", ".csv": "csv", ".tsv": "csv"},
    **dict.fromkeys((".jsonl", ".json", ".ndjson"), "json"),
}
ROLES = ("train", "validation", "test")
_SHEETS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
_ARROW = ".arrow"
_SAVED = ("dataset_dict.json", "state.json", "dataset_info.json")
_ALIASES = {"train": ("train", "training"), "validation": ("validation", "valid", "val", "dev"), "test": ("test",)}
_SHARD = re.compile(r"(.+)-\d{5}-of-\d{5}")
_COUNTED = re.compile(r"-(\d{5})-of-(\d{5})(?:-[0-9a-f]{8,64})?$")

File = TypeVar("File", Path, str)


@dataclass(frozen=True)
class SplitFiles(Generic[File]):
    """What plays a role: files in order, of whose rows together those of a slice are meant, or all."""

    files: list[File]
    slice: Slice | None = None


def split_files(place: Path, source: DataForm, roles: Iterable[str]) -> dict[str, SplitFiles[Path]]:
    """Role to its files, shards in order. A single file plays every role. DatasetInvalid names what is there.

    A role that `carve` makes has the files of `train`.
    """
    if source.config is not None:
        raise DatasetInvalid(
            "`config` is for datasets on the hub.",
            hint="Name the folder of the configuration itself in `ref`, or its files in `splits`.",
            pointer=f"{POINTER}/config",
        )
    alone = lone_files(place)
    present = [] if alone else data_files(place)
    check_carve(source, lambda name: bool(_matching(place, present, name)))
    if alone:
        return by_role(source, roles, lambda role, name: _check_lone(place, alone, role, name))
    return by_role(source, roles, lambda role, name: _find(place, present, role, name))


def by_role(
    source: DataForm, roles: Iterable[str], find: Callable[[str, str], list[File]]
) -> dict[str, SplitFiles[File]]:
    """What plays each role, by what `find` says of a role and its split's name; `train` too, where it is carved."""
    carved = source.carve.shares if source.carve else {}
    found = {}
    for role in dict.fromkeys([*roles, "train"] if carved else roles):
        name, rows = cut_name(getattr(source.splits, "train" if role in carved else role))
        found[role] = SplitFiles(find("train" if role in carved else role, name), rows)
    return found


def check_carve(source: DataForm, is_there: Callable[[str], bool]) -> None:
    """DatasetInvalid where a split is to be carved that the data has, or that `splits` names."""
    for role in source.carve.shares if source.carve else {}:
        name = getattr(source.splits, role)
        if name != role or is_there(role):
            raise DatasetInvalid(
                f"`carve` is to make a {role} split, and there is one"
                + (f" ({shorten(name)} in `splits`)." if name != role else "."),
                hint=f"Leave `{role}` out of `carve`. Or cut both with slices: "
                f'"splits": {{"train": "train[:80%]", "{role}": "train[80%:]"}}.',
                pointer=f"{POINTER}/carve/{role}",
            )


def name_splits(source: DataForm, names: Mapping[str, str]) -> dict[str, str]:
    """What each split is called: `names` say it by role, and of one that is carved its fraction of `train`."""
    carved = source.carve.shares if source.carve else {}
    return {role: f"{carved[role]:g} of {names['train']}" if role in carved else name for role, name in names.items()}


def lone_files(place: Path) -> list[Path]:
    """The files that serve as every split: a file, or those of a folder that `save_to_disk` wrote of one split."""
    if place.is_file():
        return [place]
    saved = (place / "state.json").is_file()
    return [file for file in data_files(place) if file.suffix == _ARROW] if saved else []


def data_files(folder: Path) -> list[Path]:
    """The data files of a folder and of `data/` below it, by name; of `save_to_disk`, of each split's folder."""
    saved = folder.iterdir() if (folder / "dataset_dict.json").is_file() else ()
    places = dict.fromkeys([folder, folder / "data", *saved])
    files = [file for place in places if place.is_dir() for file in place.iterdir()]
    return sorted(file for file in files if file.suffix.lower() in FORMATS and file.is_file() and not _is_beside(file))


def _is_beside(file: Path) -> bool:
    """Whether it is no data, but a note or a cache of `datasets`."""
    return file.name in _SAVED or (file.suffix == _ARROW and file.name.startswith("cache-"))


def roles_in(folder: Path, source: DataForm) -> list[str]:
    """The roles that a file of the folder has the name for, or that are carved. DatasetInvalid where none has."""
    present, carved = data_files(folder), source.carve.shares if source.carve else {}
    names = {role: cut_name(getattr(source.splits, role))[0] for role in ROLES}
    roles = [role for role in ROLES if role in carved or _matching(folder, present, names[role])]
    if not roles:
        _find(folder, present, ROLES[0], names[ROLES[0]])
    return roles


def _check_lone(place: Path, files: list[Path], role: str, name: str) -> list[Path]:
    """The files, which serve as every split. DatasetInvalid for no data file, and for a split of another name."""
    if files[0].suffix.lower() not in FORMATS:
        raise DatasetInvalid(
            f"{place.name} is not a data file. Data files end in {', '.join(FORMATS)}.",
            hint=remedy([place.name]),
            pointer=f"{POINTER}/ref",
        )
    if name not in (*ROLES, place.name):
        raise DatasetInvalid(
            f"{place.name} is a single file and serves as every split; it has no split {name!r}.",
            pointer=f"{POINTER}/splits/{role}",
        )
    if not place.is_file():
        check_shards(role, [file.name for file in files])
    return files


def _find(folder: Path, present: list[Path], role: str, name: str) -> list[Path]:
    matching = _matching(folder, present, name)
    if not matching:
        names = _ALIASES.get(name, (name,))
        raise DatasetInvalid(
            f"There is no file for the {role} split ({' or '.join(map(shorten, names))}). "
            f"Data files there: {_named(present, folder)}.",
            hint=remedy([file.name for file in folder.iterdir()]) or how_to_name(role),
            pointer=f"{POINTER}/splits/{role}",
        )
    if len({(file.suffix, file.parent) for file in matching}) > 1:
        raise DatasetInvalid(
            f"Several files could be the {role} split: {_named(matching, folder)}.",
            hint="Name one of them in `splits`.",
            pointer=f"{POINTER}/splits/{role}",
        )
    if name not in [str(file.relative_to(folder)) for file in matching]:
        check_shards(role, [file.name for file in matching])
    return matching


def check_shards(role: str, names: Iterable[str]) -> None:
    """DatasetInvalid where files count themselves (`-00000-of-00003`) and some are missing."""
    counted = [found.groups() for name in names if (found := _COUNTED.search(Path(name).stem))]
    for total in {of for _, of in counted}:
        there = {int(number) for number, of in counted if of == total}
        missing = [f"{number:05d}" for number in range(int(total)) if number not in there]
        if missing:
            raise DatasetInvalid(
                f"The {role} split has {len(there):,} of its {int(total):,} files. Missing: {list_first(missing)}.",
                hint="Bring all of them, or name single files in `splits`.",
                pointer=f"{POINTER}/splits/{role}",
            )


def _matching(folder: Path, present: list[Path], name: str) -> list[Path]:
    """The files that a name of a split stands for: the one of that very name, or those of the usual names."""
    for stem in _ALIASES.get(name, (name,)):
        exact = [file for file in present if str(file.relative_to(folder)) == stem]
        if matching := exact or [file for file in present if _stem(file) == stem]:
            return matching
    return []


def how_to_name(role: str) -> str:
    """What to do where there is no file for a role."""
    carve = "" if role == "train" else f', or cut it out of `train` with "carve": {{"{role}": 0.2}}'
    return f"Name a file for each split in `splits`{carve}."


def remedy(names: Iterable[str]) -> str | None:
    """How data of a kind that is not read becomes one that is, by names of its files."""
    there = [name.lower() for name in names]
    if any(name.endswith(_SHEETS) for name in there):
        return "Spreadsheets are not read: save each sheet as CSV (UTF-8), one for each split."
    if any(name in _SAVED for name in there):
        return (
            "`save_to_disk` wrote this, and its Arrow files are not there: bring them along, or write Parquet instead, "
            "split.to_parquet('train.parquet') for each split."
        )
    return None


def _named(files: list[Path], folder: Path) -> str:
    return list_first([str(file.relative_to(folder)) for file in files]) or "none"


def _stem(file: Path) -> str:
    if file.suffix == _ARROW:
        return file.parent.name
    shard = _SHARD.fullmatch(file.stem)
    return shard[1] if shard else file.stem
