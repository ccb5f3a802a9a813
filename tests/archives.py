"""Archives as callers send them, and as nobody should."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from app.sources import demo

MODEL, DATA = demo.FOLDER / "bert-tiny-wordnet", demo.FOLDER / "wordnet-supersense"


def files_of(folder: Path) -> dict[str, bytes]:
    """Name to content of the files of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def zipped(files: Mapping[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of these files."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return whole.getvalue()


def tarred(files: Mapping[str, bytes], *more: tarfile.TarInfo, mode: str = "w:gz") -> bytes:
    """A tar of these files, and of further members without content."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in more:
            archive.addfile(member)
    return whole.getvalue()


def boundary_header(**metadata: str) -> bytes:
    """The beginning of a safetensors file that says it holds boundary samples."""
    header = json.dumps({"__metadata__": {"microlith.boundary": "{}"} | metadata}).encode()
    return len(header).to_bytes(8, "little") + header


def begin(api: TestClient, kind: str, filename: str, content: bytes, **more: Any) -> dict[str, Any]:
    """An open upload for this content."""
    body = {"kind": kind, "filename": filename, "size_bytes": len(content)} | more
    answer = api.post("/v1/uploads", json=body)
    assert answer.status_code == 201, answer.text
    upload: dict[str, Any] = answer.json()
    return upload


def upload(api: TestClient, kind: str, filename: str, content: bytes) -> str:
    """The id of a complete upload, sent through the server."""
    opened = begin(api, kind, filename, content)
    sent = api.put(opened["urls"]["content"], content=content)
    assert sent.status_code == 200, sent.text
    digest = hashlib.sha256(content).hexdigest()
    answer = api.post(opened["urls"]["complete"], json={"sha256": digest})
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "complete"
    return str(opened["id"])


def register(api: TestClient, kind: str, filename: str, content: bytes, **more: Any) -> dict[str, Any]:
    """A registered model or dataset."""
    answer = api.post(f"/v1/{kind}s", json={"upload": upload(api, kind, filename, content)} | more)
    assert answer.status_code == 201, answer.text
    registered: dict[str, Any] = answer.json()
    return registered
