"""What an image classifier takes, told from its folder: channels and size, by its config or its preprocessor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.domain.errors import UnsafeModel, UnsupportedModel
from microlith.contract.catalog import Task

PREPROCESSOR = "preprocessor_config.json"
_ARCHITECTURE = "ForImageClassification"
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
    if not all(isinstance(side, int) and side > 0 for side in shape):
        raise UnsupportedModel(f"The model's images would be {shape}, channels by height by width.", pointer=pointer)
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
        content = json.loads(file.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError, RecursionError) as error:
        raise UnsupportedModel(f"{PREPROCESSOR} cannot be read: {error}.", pointer=pointer) from error
    if "auto_map" in content:
        raise UnsafeModel(
            f"{PREPROCESSOR} brings code of its own (auto_map), which is never run here.",
            hint="Use a model whose image processor is part of transformers.",
            pointer=pointer,
        )
    return content
