"""Stored files to disk: taken up where they broke, and never under their own name before their digest is right."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Callable
from pathlib import Path

import httpx

from microlith.client.connection import Connection
from microlith.contract import Artifact, Module
from microlith.errors import DigestMismatch, NoSuchLayout, TargetOccupied, UnexpectedAnswer
from microlith.file_names import safe_name
from microlith.unpacking import sha256_of

OnBytes = Callable[[int, int], object]
"""Hears how many bytes are there, of how many."""


async def fetch(server: Connection, artifact: Artifact, target: Path, on_bytes: OnBytes | None = None) -> Path:
    """Bring the artifact to `target`; what is there already, whole, is left alone.

    Raises DigestMismatch, with nothing left behind, when other bytes arrive, and TargetOccupied rather than overwrite.
    """
    if target.exists():
        if target.is_file() and await server.aside(sha256_of, target) == artifact.sha256:
            return target
        raise TargetOccupied(target)
    partial = target.with_name(target.name + ".part")
    tries = 2 if partial.exists() else 1  # what an earlier call left may belong to something else of that name
    for _ in range(tries):
        await _complete(server, artifact, partial, on_bytes or (lambda _done, _total: None))
        actual = await server.aside(sha256_of, partial)
        if actual == artifact.sha256:
            return partial.replace(target)
        partial.unlink()
    raise DigestMismatch(target, artifact.sha256, actual)


def layout_of(module: Module, layout: str) -> Artifact:
    """The module's file in this layout. Raises NoSuchLayout with those it has."""
    for artifact in module.artifacts:
        if artifact.layout == layout:
            return artifact
    raise NoSuchLayout(module, layout)


def module_name(module: Module, layout: str) -> str:
    """A file name that tells concern and ratio, e.g. `animal-0.5`; an odd label is tamed and followed by its id."""
    label = module.concern.label
    tame = safe_name(label, "_", signs="_-")
    name = label if label and tame == label else f"{tame}-{module.concern.id}".lstrip("-")
    return f"{name}-{module.ratio.requested:g}" + ("" if layout == "portable" else f"-{layout}")


def file_for(artifact: Artifact, to: str | Path) -> Path:
    """Where an artifact goes: under its id inside a folder, or to the file name given."""
    path = Path(to)
    if path.is_dir() or str(to).endswith(("/", os.sep)):
        path.mkdir(parents=True, exist_ok=True)
        return path / f"{artifact.id}{extension(artifact)}"
    return path


def extension(artifact: Artifact) -> str:
    """`.zip` for a zip, and so on; empty where the media type has none."""
    return mimetypes.guess_extension(artifact.media_type) or ""


async def _complete(server: Connection, artifact: Artifact, partial: Path, on_bytes: OnBytes) -> None:
    """Append to `partial` until it is as long as the artifact, or until the server has no more to say."""
    fruitless = 0
    while (before := _size(partial)) < artifact.size_bytes or not partial.exists():
        try:
            await _append(server, artifact, partial, on_bytes)
        except httpx.TransportError as cut:
            fruitless = fruitless + 1 if _size(partial) <= before else 0
            if fruitless == server.retry.attempts:
                raise server.unreachable(cut) from cut
            await server.pause(server.retry.pause(fruitless + 1))
        else:
            return


async def _append(server: Connection, artifact: Artifact, partial: Path, on_bytes: OnBytes) -> None:
    start = _size(partial)
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": f'"{artifact.sha256}"'}
    async with server.stream(f"/v1/artifacts/{artifact.id}/content", headers) as answer:
        resumed = answer.status_code == 206
        if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise UnexpectedAnswer(str(answer.url), "it sent another range than requested")
        done = start if resumed else 0
        with partial.open("ab" if resumed else "wb") as file:
            async for chunk in server.pieces(answer, raw=True):
                file.write(chunk)
                done += len(chunk)
                on_bytes(done, artifact.size_bytes)
                if done > artifact.size_bytes:
                    return


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
