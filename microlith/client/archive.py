"""A module's archive, fetched as it is or to a folder of its own."""

from __future__ import annotations

from pathlib import Path

from microlith.client.connection import Connection
from microlith.client.download import OnBytes, extension, fetch
from microlith.contract import Artifact
from microlith.errors import TargetOccupied
from microlith.unpacking import check_sums, sha256_of, unpack

__all__ = ["check_sums", "fetch_archive", "fetch_module", "holds", "unpack"]


async def fetch_archive(server: Connection, artifact: Artifact, target: Path, on_bytes: OnBytes | None) -> Path:
    """Bring a module's file home as it is, named like `target` with the ending of its kind."""
    return await fetch(server, artifact, target.with_name(target.name + extension(artifact)), on_bytes)


async def fetch_module(server: Connection, artifact: Artifact, target: Path, on_bytes: OnBytes | None) -> Path:
    """Bring a module's file to the folder `target`; what is there already, whole, is left alone."""
    if artifact.media_type != "application/zip":
        return await fetch_archive(server, artifact, target, on_bytes)
    if target.exists():
        if await server.aside(holds, target, artifact):
            return target
        raise TargetOccupied(target)
    archive_is_kept = target.with_name(target.name + extension(artifact)).exists()
    archive = await fetch_archive(server, artifact, target, on_bytes)
    await server.aside(unpack, archive, target)
    if not archive_is_kept:
        archive.unlink()
    return target


def holds(folder: Path, artifact: Artifact) -> bool:
    """Whether every file of the artifact is in the folder, unchanged."""
    return bool(artifact.files) and all(
        (folder / file.path).is_file() and sha256_of(folder / file.path) == file.sha256 for file in artifact.files
    )
