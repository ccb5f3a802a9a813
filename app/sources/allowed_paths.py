"""Where `path:` references may lead, whatever links, dots and other file systems lie on the way."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.domain.errors import InvalidInput, ResourceLimit

MOST_ENTRIES = 20_000
"""Of a folder that is named: every one is looked at."""


@dataclass(frozen=True)
class Folders:
    """Everything below `folders`, on their own disks, and nothing in `closed`. Both are real paths."""

    folders: Sequence[Path] = ()
    closed: Sequence[Path] = ()

    def __bool__(self) -> bool:
        return bool(self.folders)

    def hold(self, place: Path) -> bool:
        """Whether a real path is among them; that there is anything at it is not asked."""
        if any(place.is_relative_to(folder) for folder in self.closed):
            return False
        return any(place.is_relative_to(folder) and _same_disk(folder, place) for folder in self.folders)


Allowed = bool | Folders
"""True is everywhere: for programs that read the files of who runs them."""


def real_place(name: str, allowed: Allowed, *, pointer: str) -> Path:
    """The file or folder at `name`, as a path without links.

    InvalidInput at `pointer` when it, or a link somewhere in it, leads out of what is allowed, whether there is
    anything or not; and when there is nothing, or a thing that is neither file nor folder.
    """
    try:
        place = Path(os.path.realpath(Path(name).expanduser()))
        kept = allowed is True or (isinstance(allowed, Folders) and allowed.hold(place))
        there = kept and _is_plain(place.stat())
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, an unknown user's home, out of our reach
        kept, there = True, False
    if not kept:
        raise _outside(f"{name!r} is outside the folders that this server may read.", pointer)
    if not there:
        raise InvalidInput(f"There is no file or folder at {name!r} on the server.", pointer=pointer)
    if isinstance(allowed, Folders) and place.is_dir():
        _check_inside(name, place, allowed, pointer)
    return place


def _check_inside(name: str, folder: Path, allowed: Folders, pointer: str) -> None:
    """Every entry of the folder is a plain file or folder, or a link to one that is allowed as well."""
    for seen, entry in enumerate(_entries(folder, allowed.closed)):
        if seen >= MOST_ENTRIES:
            raise ResourceLimit(f"{name!r} contains more than {MOST_ENTRIES:,} files.", pointer=pointer)
        place = Path(os.path.realpath(entry)) if entry.is_symlink() else Path(entry)
        if not allowed.hold(place):
            raise _outside(f"{entry.name!r} in {name!r} leads out of the folders that this server may read.", pointer)
        found = _found(place)
        if found and not _is_plain(found):
            raise InvalidInput(f"{entry.name!r} in {name!r} is neither a file nor a folder.", pointer=pointer)


def _entries(folder: Path, closed: Sequence[Path]) -> Iterator[os.DirEntry[str]]:
    """All that is below and that we can see, once; behind a link to a folder as well, and not what is closed."""
    waiting, known = [str(folder)], {str(folder), *map(str, closed)}
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as found:
            for entry in found:
                real = os.path.realpath(entry) if entry.is_symlink() else entry.path
                if real not in known or entry.is_symlink():
                    yield entry
                if entry.is_dir() and real not in known:
                    known.add(real)
                    waiting.append(real)


def _found(place: Path) -> os.stat_result | None:
    """None where there is nothing, or nothing for us."""
    with suppress(OSError):
        return place.stat()
    return None


def _is_plain(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)


def _same_disk(folder: Path, place: Path) -> bool:
    """Another file system below a folder was not meant by who named the folder: it may be another machine's."""
    above, found = _found(folder), _found(place)
    return above is None or found is None or found.st_dev == above.st_dev


def _outside(detail: str, pointer: str) -> InvalidInput:
    hint = "Start the server with `microlith-server serve --allow-path DIR` to allow a folder, or upload the files."
    return InvalidInput(detail, hint=hint, pointer=pointer)
