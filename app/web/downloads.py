"""Answers that a browser keeps as files."""

from __future__ import annotations

from microlith.file_names import attachment


def attach(name: str) -> dict[str, str]:
    """The header that names the file."""
    return {"Content-Disposition": attachment(name)}
