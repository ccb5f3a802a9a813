"""A stranger's tokenizer is tried on odd texts by a confined process, before a worker opens it.

It can hold a regular expression that never ends, or a rule that makes a gigabyte of a line.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import tokenizers
import transformers

from app import confined
from app.domain.errors import UnsupportedModel
from app.sources.cache import Cache
from app.sources.reference_files import sha256, stamp
from worker.sources.library_errors import POINTER

LIMITS = confined.Limits(memory_bytes=2_000_000_000, cpu_seconds=60, wall_seconds=180.0)
_WEIGHTS = ".safetensors"


def probe(folder: Path, cache: Cache | None) -> None:
    """Raise UnsupportedModel for a tokenizer that cannot be used, ResourceLimit for one that takes too much.

    With a cache, a tokenizer that passed is not tried again for as long as its files are the same.
    """
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.suffix != _WEIGHTS)

    def attempt(_: Path | None = None) -> None:
        asked = confined.Reading(
            "worker.sources.tokenizer_trial_child",
            str(folder.absolute()),
            blames=UnsupportedModel,
            pointer=POINTER,
            reads=[folder, *files],
            limits=LIMITS,
        )
        confined.run(asked)

    if cache is None:
        attempt()
        return
    with cache.held(f"tokenizer-{_identity(files)}", attempt):
        pass


def _identity(files: list[Path]) -> str:
    """The sha256 of all that decides what a tokenizer does."""
    about = [
        transformers.__version__,
        tokenizers.__version__,
        *(f"{file.name} {sha256(stamp(file))}" for file in files),
    ]
    return hashlib.sha256("\n".join(about).encode()).hexdigest()
