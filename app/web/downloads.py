"""Answers that a browser keeps as files."""

from __future__ import annotations


def attach(name: str) -> dict[str, str]:
    """The header that names the file; `name` is one of ours."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}
