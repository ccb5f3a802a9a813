"""Files on their way to the server: packed so that equal content has equal bytes, sent whole, checked by digest."""

from __future__ import annotations

import fnmatch
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from microlith.client.answers import path_of, read
from microlith.client.connection import Connection
from microlith.client.download import OnBytes
from microlith.client.transport import CHUNK_BYTES, FileBody
from microlith.contract import BeginUpload, DatasetInfo, ModelInfo, Upload
from microlith.contract.uploads import DATA_FILES, MODEL_FILES, UploadKind
from microlith.errors import NotUploadable, Unreachable
from microlith.unpacking import sha256_of

CHECK_SECONDS = 1800.0
"""How long the server may hash and unpack several gigabytes."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = 0o100644 << 16
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_DATA = tuple(pattern for pattern in DATA_FILES if pattern.startswith("*."))


@dataclass(frozen=True)
class Parcel:
    """A file as it will be sent."""

    kind: UploadKind
    path: Path
    filename: str

    def announce(self) -> BeginUpload:
        """What the server is told before the file travels."""
        size = self.path.stat().st_size
        if size == 0:
            raise NotUploadable(f"{self.path} is empty.")
        return BeginUpload(kind=self.kind, filename=self.filename, size_bytes=size, sha256=sha256_of(self.path))


@contextmanager
def pack(source: str | Path, kind: UploadKind) -> Iterator[Parcel]:
    """A file as it is, a folder as a zip of what the server uses of it; the zip is gone when the block ends.

    Raises NotUploadable for a folder that holds nothing of use.
    """
    path = Path(source).expanduser()
    if not path.is_dir():
        if not path.is_file():
            raise NotUploadable(f"There is nothing at {path}.")
        yield Parcel(kind, path, _plain(path.name))
        return
    files = _model_files(path) if kind == "model" else _data_files(path)
    with tempfile.TemporaryDirectory(prefix="microlith-upload-") as scratch:
        yield Parcel(kind, _zip(path, files, Path(scratch) / "upload.zip"), f"{_plain(path.resolve().name)}.zip")


async def upload(server: Connection, source: str | Path, kind: UploadKind, on_bytes: OnBytes | None) -> Upload:
    """Bring a file or folder to the server, which checks it. What it has already is not sent again."""
    with ExitStack() as stack:
        parcel = await server.aside(stack.enter_context, pack(source, kind))
        announcement = await server.aside(parcel.announce)
        body = announcement.model_dump(mode="json")
        opened = read(Upload, await server.send("POST", "/v1/uploads", json=body, repeatable=True))
        if opened.target is None:
            return opened
        await _put(server, opened, opened.target.url, FileBody(parcel.path, announcement.size_bytes, on_bytes))
    sealed = await _ask(server, path_of("uploads", opened.id, "complete"), {"sha256": announcement.sha256})
    return read(Upload, sealed)


async def register_model(server: Connection, source: str | Path, on_bytes: OnBytes | None) -> ModelInfo:
    """Upload a model and give it an id."""
    arrived = await upload(server, source, "model", on_bytes)
    return read(ModelInfo, await _ask(server, path_of("models"), {"upload": arrived.id}))


async def register_dataset(
    server: Connection, source: str | Path, form: dict[str, Any], on_bytes: OnBytes | None
) -> DatasetInfo:
    """Upload data and give it an id."""
    arrived = await upload(server, source, "dataset", on_bytes)
    return read(DatasetInfo, await _ask(server, path_of("datasets"), {"upload": arrived.id} | form))


async def _put(server: Connection, opened: Upload, url: str, body: FileBody) -> None:
    """To the object store's link; where that cannot be reached from here, through the server."""
    try:
        await server.put_file(url, body, CHECK_SECONDS)
    except Unreachable:
        if url == opened.urls.content:
            raise
        await server.put_file(opened.urls.content, body, CHECK_SECONDS)


async def _ask(server: Connection, path: str, body: dict[str, Any]) -> httpx.Response:
    """A request that takes the server long and may be made again: it answers what is there already."""
    return await server.send("POST", path, json=body, repeatable=True, timeout=CHECK_SECONDS)


def _model_files(folder: Path) -> list[Path]:
    files = _matching(folder, MODEL_FILES)
    names = [path.name for path in files]
    if "config.json" not in names:
        raise NotUploadable(f"{folder} is not a model folder: it has no config.json.")
    if not fnmatch.filter(names, "*.safetensors"):
        pickled = bool(_matching(folder, _PICKLED))
        why = "its weights are pickled, and opening a pickle can run code" if pickled else "it has no weights"
        raise NotUploadable(f"{folder}: {why}. Load the model where you trust it and call save_pretrained.")
    return files


def _data_files(folder: Path) -> list[Path]:
    files = _matching(folder, DATA_FILES) + _matching(folder / "data", DATA_FILES)
    if (folder / "dataset_dict.json").is_file():  # `save_to_disk` wrote a folder for each split
        files += [path for split in sorted(folder.iterdir()) for path in _matching(split, ("data*.arrow",))]
    if not any(fnmatch.fnmatchcase(path.name.lower(), pattern) for path in files for pattern in _DATA):
        raise NotUploadable(f"{folder} has no data files: none ends in {', '.join(p[1:] for p in _DATA)}.")
    return list(dict.fromkeys(files))


def _matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return [path for path in files if any(fnmatch.fnmatchcase(path.name, pattern) for pattern in patterns)]


def _zip(folder: Path, files: Sequence[Path], target: Path) -> Path:
    """Stored, not compressed: weights do not shrink, and the bytes are the same on every machine."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in files:
            info = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            info.external_attr, info.file_size = _PLAIN_FILE, path.stat().st_size
            with path.open("rb") as reader, archive.open(info, "w") as writer:
                shutil.copyfileobj(reader, writer, CHUNK_BYTES)
    return target


def _plain(name: str) -> str:
    """A file name that the server takes."""
    return re.sub(r"^\.|[\x00-\x1f\x7f/\\]", "_", name)[-200:] or "upload"
