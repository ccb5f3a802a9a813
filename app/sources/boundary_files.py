"""Files of boundary samples, known by the header of their safetensors: enough to refuse what is something else."""

from __future__ import annotations

from app.domain.errors import DatasetInvalid
from app.sources.json_file import parse_object

FORMAT = "microlith.boundary"
"""The entry of the header's metadata that says what the file is."""


def check_boundary(beginning: bytes) -> None:
    """DatasetInvalid unless a file that begins so says that it holds boundary samples. Its values a worker checks."""
    length = int.from_bytes(beginning[:8], "little")
    try:
        stated = parse_object(beginning[8 : 8 + length])["__metadata__"][FORMAT]
    except (ValueError, KeyError, TypeError):
        stated = None
    if not isinstance(stated, str):
        raise DatasetInvalid(
            f"This is not a file of boundary samples. Such a file is safetensors, and its metadata says `{FORMAT}`.",
            hint="Upload a set that a job has made, or one in the same format.",
        )
