"""Where a child lives: the account it runs as, and folders and binaries that this account can reach.

As an ordinary user a child runs as that user and keeps its files in the data folder. PostgreSQL refuses to run as root,
so under root the children run as `postgres` or `nobody`, who may be unable to enter the data folder or the Python
environment (both are often below a home of mode 0700). Then the child's folder, and a copy of its binaries, are placed
outside, and the data folder remembers where in `NAME.folder`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from app.embedded.binaries import Binary

SERVICE_ACCOUNTS = ("postgres", "nobody")
KEPT = ("objects", "cache", "logs", "demo", "lock", "server.json", "*.password", "*.folder")
"""What we put into a data folder, besides the folders of children."""
OUTSIDE = (Path("/var/lib/microlith"), Path("/var/tmp/microlith"))


@dataclass(frozen=True)
class Account:
    """A user of the machine that children run as."""

    name: str
    uid: int
    gid: int


def child_account() -> Account | None:
    """The account children run as: None means as ourselves; root steps down to `postgres`, else `nobody`."""
    if os.geteuid() != 0:
        return None
    for name in SERVICE_ACCOUNTS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise OSError(
        f"PostgreSQL does not run as root and there is no user {' or '.join(SERVICE_ACCOUNTS)} on this machine."
    )


def closed_folder(data_dir: Path) -> Path:
    """The data folder, made if missing, with what we keep in it closed to everybody else, whatever it was before.

    The folder itself can be passed through, and not looked into, where children run as somebody else.
    """
    passable = 0o711 if child_account() else 0o700
    if not data_dir.exists():
        data_dir.mkdir(parents=True)
        data_dir.chmod(passable)
    _narrow(data_dir, passable)
    for name in KEPT:
        for entry in data_dir.glob(name):
            _narrow(entry, 0o700)
    return data_dir


def _narrow(path: Path, most: int) -> None:
    """Takes every right away that is not in `most`, where the file is ours and no link."""
    status = path.lstat()
    if not stat.S_ISLNK(status.st_mode) and status.st_uid == os.geteuid():
        path.chmod(stat.S_IMODE(status.st_mode) & most)


def private_folder(data_dir: Path, name: str, account: Account | None) -> Path:
    """The folder of child `name`, made if missing: mode 0700, owned by the account, the same one at every call."""
    folder = _remembered(data_dir, name)
    if folder is None:
        folder = data_dir / name
        if account and not folder.exists() and not can_enter(data_dir, account):
            folder = _settle_outside(data_dir, name)
    folder.mkdir(mode=0o700, exist_ok=True)
    give(folder, account)
    return folder


def give(path: Path, account: Account | None) -> None:
    """Hands a file or folder over to the account."""
    if account:
        os.chown(path, account.uid, account.gid)


def reachable_binary(binary: Binary, account: Account | None) -> Path:
    """The program itself where the account can run it, else the same file in a copy that it can reach."""
    if account is None or can_enter(binary.path.parent, account):
        return binary.path
    with binary.path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    copy = _outside("binaries") / f"{binary.path.name}-{digest[:16]}"
    if not copy.exists():
        _copy_readable(binary, copy)
    return copy / binary.path.relative_to(binary.base)


def can_enter(folder: Path, account: Account) -> bool:
    """Whether the account may pass through the folder and everything above it, by mode bits."""
    folder = folder.resolve()
    return all(_grants_passage(step.stat(), account) for step in [folder, *folder.parents])


def _grants_passage(entry: os.stat_result, account: Account) -> bool:
    if entry.st_uid == account.uid:
        return bool(entry.st_mode & stat.S_IXUSR)
    if entry.st_gid == account.gid:
        return bool(entry.st_mode & stat.S_IXGRP)
    return bool(entry.st_mode & stat.S_IXOTH)


def _remembered(data_dir: Path, name: str) -> Path | None:
    """The folder outside that this data folder uses; raises when it was taken away, rather than begin anew unasked."""
    note = data_dir / f"{name}.folder"
    if not note.exists():
        return None
    folder = Path(note.read_text().strip())
    if not folder.is_dir():
        raise OSError(f"The data of {name} was in {folder}, which is gone. Delete {note} to begin with empty data.")
    return folder


def _settle_outside(data_dir: Path, name: str) -> Path:
    """A new folder outside, named after the data folder. One left there by a deleted data folder is moved aside."""
    digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
    folder = _outside("data") / f"{name}-{digest}"
    if folder.exists():
        previous = folder.with_suffix(".previous")
        shutil.rmtree(previous, ignore_errors=True)
        folder.rename(previous)
    folder.mkdir(mode=0o700)
    (data_dir / f"{name}.folder").write_text(f"{folder}\n")
    return folder


def _outside(purpose: str) -> Path:
    """A folder that every account can enter and only we can write to."""
    for base in OUTSIDE:
        with contextlib.suppress(OSError):
            folder = base / purpose
            folder.mkdir(parents=True, exist_ok=True)
            if all(_ours_alone(step) for step in (base, folder)):
                return folder
    raise OSError(f"None of {', '.join(map(str, OUTSIDE))} can be used to keep data that a child can reach.")


def _ours_alone(folder: Path) -> bool:
    """Opens the folder to readers; False when somebody else owns it or it is a link."""
    entry = folder.lstat()
    if not stat.S_ISDIR(entry.st_mode) or entry.st_uid != os.geteuid():
        return False
    folder.chmod(0o755)
    return True


def _copy_readable(binary: Binary, copy: Path) -> None:
    """Copies the program's folders so that everyone can read them; nobody sees half a copy."""
    with tempfile.TemporaryDirectory(dir=copy.parent) as scratch:
        fresh = Path(scratch) / "tree"
        for folder in filter(Path.is_dir, (binary.base / name for name in binary.folders)):
            target = fresh / folder.relative_to(binary.base)
            shutil.copytree(folder, target, symlinks=True, ignore=shutil.ignore_patterns("include"), dirs_exist_ok=True)
        for path in [fresh, *fresh.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        with contextlib.suppress(FileExistsError, OSError):  # somebody else made the same copy meanwhile
            fresh.rename(copy)
