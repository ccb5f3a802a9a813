"""What a model is known by: every file that decides what it answers, by name and content."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePath

from app.sources.reference_files import sha256, stamp
from app.sources.weights import weight_files

READ = frozenset({".json", ".txt", ".model", ".codes", ".spm", ".vocab", ".jinja", ".tokenizer"})
"""Endings of the files that configure a model or its tokenizer, whatever a library calls them."""

RESULTS = frozenset(
    {"metrics.json", "trainer_state.json", "all_results.json", "train_results.json", "eval_results.json"}
)
"""What a training leaves behind, which nothing opens."""


def is_read(name: str) -> bool:
    """Whether a file of this name, beside the weights, can decide what a model answers."""
    return PurePath(name).suffix.lower() in READ and name not in RESULTS


def content_sha256(folder: Path, *, pointer: str) -> str:
    """The sha256 of the names and digests of a model's files: its weights, config, tokenizer and preprocessor.

    Notices and files of other kinds are left out. Raises what `weight_files` raises.
    """
    beside = [file for file in folder.iterdir() if is_read(file.name) and file.is_file()]
    told = [f"{sha256(stamp(file))} {file.name}" for file in {*weight_files(folder, pointer=pointer), *beside}]
    return hashlib.sha256("\n".join(sorted(told)).encode(errors="surrogateescape")).hexdigest()
