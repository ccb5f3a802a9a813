"""Artifact: one stored file of a module."""

from datetime import datetime
from typing import Literal

from microlith.contract.base import Answer


class ArtifactFile(Answer):
    """One file inside the artifact's archive."""

    path: str
    size_bytes: int
    sha256: str


class ArtifactUrls(Answer):
    """Where the artifact's metadata and its bytes are."""

    self: str
    content: str


class Artifact(Answer):
    """A stored file: its layout, size and digest, and what it holds. Equal content has equal bytes."""

    id: str
    object: Literal["artifact"] = "artifact"
    layout: str
    media_type: str
    size_bytes: int
    sha256: str
    files: list[ArtifactFile]
    created_at: datetime
    urls: ArtifactUrls
