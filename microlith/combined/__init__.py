"""Recomposed classifiers: modules of one or several models that answer together.

from microlith.combined import load

combined = load("folder")
combined.predict(["a small domesticated carnivorous mammal"])    # ["animal"]

Needs numpy, onnxruntime, tokenizers and, for image files, Pillow: `pip install "microlith[combined]"`. Nothing here
runs code that a folder brings along; its `run.py` is for where Microlith is not installed.
"""

from __future__ import annotations

from pathlib import Path

from microlith.combined import runner
from microlith.combined.runner import Combined
from microlith.errors import InvalidCombination
from microlith.unpacking import SUMS, sha256_of

__all__ = ["Combined", "load"]


def load(folder: str | Path) -> Combined:
    """Return the classifier in a folder, after checking every file against SHA256SUMS. Raises InvalidCombination."""
    path = Path(folder)
    if path.is_file():
        raise InvalidCombination(path.name, "it is a file; unzip it, and name the folder")
    try:
        for line in (path / SUMS).read_text(encoding="utf-8").splitlines():
            digest, name = line[:64], line[66:]
            if sha256_of(path / name) != digest:
                raise ValueError(f"{name} is not the file that {SUMS} names")
        return runner.load(path)
    except (OSError, ValueError) as error:
        raise InvalidCombination(path.name, str(error).rstrip(".")) from error
