"""What an image classifier takes, told from its folder: channels and size, by its config or its preprocessor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.domain.errors import UnsafeModel, UnsupportedModel
from app.sources.json_file import is_count, read_object
from app.sources.short_texts import list_first, quote
from microlith.contract.catalog import Task

PREPROCESSOR = "preprocessor_config.json"
_ARCHITECTURE = "ForImageClassification"
MAX_BYTES = 1024 * 1024
MAX_CHANNELS, MAX_SIDE, MAX_NUMBERS = 64, 4096, 2**24
"""Of an image that a model reads; the last is all its numbers."""

_CHANNELS, _SIDE = 3, 224
"""What transformers takes where neither file says anything."""


def task_of(architecture: str | None) -> Task:
    """What a classifier of this class reads."""
    return "image" if architecture and architecture.endswith(_ARCHITECTURE) else "text"


def image_shape(folder: Path, config: Mapping[str, Any], *, pointer: str) -> list[int]:
    """[channels, height, width] of the model's input.

    Raises UnsupportedModel where they are no sizes, and UnsafeModel where the preprocessor names code (`auto_map`).
    """
    preprocessor = _preprocessor(folder, pointer)
    sizes = (config.get("image_size"), preprocessor.get("crop_size"), preprocessor.get("size"))
    height, width = next((sides for size in sizes if (sides := _sides(size))), (_SIDE, _SIDE))
    shape = [config.get("num_channels", _CHANNELS), height, width]
    most = (MAX_CHANNELS, MAX_SIDE, MAX_SIDE)
    fits = all(is_count(side, 1, bound) for side, bound in zip(shape, most, strict=True))
    if not fits or math.prod(shape) > MAX_NUMBERS:
        raise UnsupportedModel(
            f"The model's images would be [{list_first(shape, quote)}], channels by height by width; at most "
            f"{MAX_CHANNELS} by {MAX_SIDE} by {MAX_SIDE}, and {MAX_NUMBERS:,} numbers, can be read.",
            pointer=pointer,
        )
    return shape


def _sides(size: Any) -> tuple[Any, Any] | None:
    """Height and width, in any of the ways configs write them; None where `size` does not fix both."""
    match size:
        case {"height": height, "width": width}:
            return height, width
        case [height, width]:
            return height, width
        case int():
            return size, size
    return None


def _preprocessor(folder: Path, pointer: str) -> dict[str, Any]:
    file = folder / PREPROCESSOR
    if not file.is_file():
        return {}
    try:
        content = read_object(file, MAX_BYTES)
    except ValueError as error:
        raise UnsupportedModel(f"{PREPROCESSOR} cannot be read: {error}.", pointer=pointer) from error
    if "auto_map" in content:
        raise UnsafeModel(
            f"{PREPROCESSOR} contains code of its own (auto_map), which Microlith never runs.",
            hint="Use a model whose image processor is part of transformers.",
            pointer=pointer,
        )
    return content
