"""Which of a repository's files are data and which split each plays: as its README states it, or by their names.

The usual layouts of the hub are known: `train.csv`, `data/train-00000-of-00001.parquet`, `train/0000.parquet`, and a
folder for each configuration.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import NoReturn

from app.domain.errors import DatasetInvalid, SourceUnavailable
from app.sources.references import Reference
from app.sources.short_texts import list_first, shorten
from app.sources.splits import FORMATS, POINTER, SplitFiles, by_role, check_carve, check_shards, how_to_name, remedy
from microlith.contract import DatasetSpec
from microlith.contract.slices import cut_name
from worker.sources.hub_configs import Configuration

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
    """`folder` is that of its configuration: without `data` and without a folder that is named as a split.

    `called` is what says which split it is of, a part of its name or a folder.
    """

    path: PurePosixPath
    folder: str
    split: str
    called: str


@dataclass(frozen=True)
class _Splits:
    """Split to its files. Where the README has `stated` them, they may lie anywhere."""

    files: dict[str, list[_DataFile]]
    stated: bool = False

    def of(self, name: str) -> list[_DataFile]:
        """The files of a split, also of one that is called by another of its usual names."""
        if name in self.files:
            return self.files[name]
        called = [file for files in self.files.values() for file in files if file.called == name]
        usual = (files for split, files in self.files.items() if _SPLITS.get(split) == _SPLITS.get(name, name))
        return called or next(usual, [])

    def find(self, role: str, name: str) -> list[str]:
        """The same by name; DatasetInvalid for none, and for files that one split cannot have together."""
        files = self.of(name)
        if not files:
            there = list_first(list(self.files), most=_LISTED) or "none"
            raise DatasetInvalid(
                f"The dataset has no split {name!r} for {role}. Splits: {there}.",
                hint=how_to_name(role),
                pointer=f"{POINTER}/splits/{role}",
            )
        paths = [str(file.path) for file in files]
        if not self.stated and len({(file.path.parent, file.path.suffix, file.called) for file in files}) > 1:
            raise DatasetInvalid(
                f"Several files could be the {role} split: {list_first(paths, most=_LISTED)}.",
                hint="Name one of them in `splits`.",
                pointer=f"{POINTER}/splits/{role}",
            )
        if not self.stated:
            check_shards(role, paths)
        return paths


def check_names(ref: Reference, names: Iterable[str], pointer: str) -> None:
    """SourceUnavailable for a name that could lead out of the repository, or that a log could not show."""
    for name in names:
        strange = "\\" in name or any(unicodedata.category(character).startswith("C") for character in name)
        if strange or any(part in ("", ".", "..") for part in name.split("/")):
            raise SourceUnavailable(
                f"{ref} has a file that cannot be fetched: {name[:200]!r} is no plain name below the repository.",
                pointer=pointer,
            )


def role_files(
    ref: Reference, names: Sequence[str], configurations: Sequence[Configuration], source: DatasetSpec, roles: list[str]
) -> dict[str, SplitFiles[str]]:
    """Role to its files, shards in order: those of the split that `splits` names, or the one file of that very name.

    Splits are those of the configuration: the one that `config` names, or the default one. DatasetInvalid with the
    splits or the configurations that there are, and for data that only a script could make.
    """
    files = [_data_file(name) for name in sorted(names) if _is_data(PurePosixPath(name))]
    exact = {str(file.path) for file in files}

    @cache
    def known() -> _Splits:
        if not files:
            _refuse_what_is_not_read(ref, names)
        return _splits_of(files, configurations, source.config)

    if cut_name(source.splits.train)[0] not in exact:
        check_carve(source, lambda name: bool(known().of(name)))
    return by_role(source, roles, lambda role, name: [name] if name in exact else known().find(role, name))


def _is_data(path: PurePosixPath) -> bool:
    hidden = any(part.startswith((".", "__")) for part in path.parts)
    return path.suffix.lower() in FORMATS and path.name not in _NO_DATA and not hidden


def _data_file(name: str) -> _DataFile:
    path = PurePosixPath(name)
    shard = _SHARD.fullmatch(path.stem)
    *above, stem = *path.parts[:-1], shard[1] if shard else path.stem
    if stem.isdecimal() and above:  # a shard, in the folder of its split
        stem = above.pop()
    folders = [part for part in above if part != "data" and part not in _SPLITS]
    called = stem if stem in _SPLITS else next((part for part in reversed(above) if part in _SPLITS), stem)
    words = {_SPLITS[word] for word in _BETWEEN.split(called.lower()) if word in _SPLITS}
    split = _SPLITS.get(called) or (next(iter(words)) if len(words) == 1 else called)
    return _DataFile(path, "/".join(folders), split, called)


def _splits_of(files: list[_DataFile], configurations: Sequence[Configuration], wanted: str | None) -> _Splits:
    """Split to its files, as the README states it for the configuration, or as the names of files say."""
    if not configurations:
        return _by_split(_in_folder(files, wanted))
    stated = _configuration(configurations, wanted)
    by_name = {str(file.path): file for file in files}
    found = stated.files(by_name)
    if found:
        return _Splits({split: [by_name[name] for name in names] for split, names in found.items()}, stated=True)
    if stated.splits and (wanted or len(configurations) > 1):
        raise DatasetInvalid(
            f"The configuration {shorten(stated.name)} names no data files that are there.",
            hint=f"Data files end in {', '.join(FORMATS)}. Name some in `splits`, or upload them.",
            pointer=f"{POINTER}/config",
        )
    below = f"{stated.folder}/" if stated.folder else ""
    return _by_split([file for file in files if str(file.path).startswith(below)])


def _configuration(configurations: Sequence[Configuration], wanted: str | None) -> Configuration:
    """The one that is wanted, or the one to take where none is named."""
    by_name = {one.name: one for one in configurations}
    if wanted is not None:
        return by_name.get(wanted) or _unknown(wanted, list(by_name))
    default = next((one for one in configurations if one.default), None) or by_name.get("default")
    if default is None and len(by_name) > 1:
        raise _several(list(by_name))
    return default or configurations[0]


def _in_folder(files: list[_DataFile], wanted: str | None) -> list[_DataFile]:
    """The files of the folder that is wanted, of the only one, of none, or of the folder `default`."""
    folders = list(dict.fromkeys(file.folder for file in files))
    if wanted is not None and wanted not in folders:
        _unknown(wanted, [folder for folder in folders if folder])
    chosen = wanted or next((folder for folder in ("", "default") if folder in folders), None)
    if chosen is None and len(folders) > 1:
        raise _several(folders)
    return [file for file in files if chosen is None or file.folder == chosen]


def _several(names: list[str]) -> DatasetInvalid:
    return DatasetInvalid(
        f"The dataset has several configurations: {list_first(names, most=_LISTED)}.",
        hint=f'Name one in the dataset object, such as "config": "{shorten(names[0])}", or files in `splits`.',
        pointer=f"{POINTER}/config",
    )


def _unknown(wanted: str, names: list[str]) -> NoReturn:
    there = f"Configurations: {list_first(names, most=_LISTED)}." if names else "It has only one, without a name."
    raise DatasetInvalid(
        f"The dataset has no configuration {shorten(wanted)}. {there}",
        hint="Name one of them, or leave `config` out." if names else "Leave `config` out.",
        pointer=f"{POINTER}/config",
    )


def _refuse_what_is_not_read(ref: Reference, names: Sequence[str]) -> None:
    """DatasetInvalid with the remedy for data that is made by a script, or is in a form that is not read."""
    scripts = [name for name in names if PurePosixPath(name).suffix == ".py" and "/" not in name]
    if scripts:
        raise DatasetInvalid(
            f"{ref} has no data files but a script ({shorten(scripts[0])}), and scripts are not run.",
            hint=f"The hub keeps most such data as Parquet too: try hub:{ref.name}@refs/convert/parquet.",
            pointer=f"{POINTER}/ref",
        )
    if hint := remedy(names):
        raise DatasetInvalid(f"{ref} has no data files that are read.", hint=hint, pointer=f"{POINTER}/ref")


def _by_split(files: list[_DataFile]) -> _Splits:
    """Split to its files. Files of one split alone, whatever it is called, are what there is to train on."""
    known: dict[str, list[_DataFile]] = {}
    for file in files:
        known.setdefault(file.split, []).append(file)
    if len(known) == 1 and not set(known) & set(_SPLITS.values()):
        known["train"] = next(iter(known.values()))
    return _Splits(known)
