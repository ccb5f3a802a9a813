"""Folders of models as nobody should bring them: each file of a small one can be changed, or written by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

CONFIG: dict[str, Any] = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "id2label": {"0": "no", "1": "yes", "2": "maybe"},
    "max_position_embeddings": 64,
}
SHAPES = {
    "bert.embeddings.word_embeddings.weight": [50, 8],
    "bert.embeddings.position_embeddings.weight": [64, 8],
    "bert.encoder.layer.0.intermediate.dense.weight": [16, 8],
    "bert.encoder.layer.0.output.dense.weight": [8, 16],
    "classifier.weight": [3, 8],
}
IMAGES = {
    "architectures": ["ViTForImageClassification"],
    "model_type": "vit",
    "image_size": 8,
    "num_channels": 1,
}
INDEX = "model.safetensors.index.json"


def header_of(shapes: Mapping[str, list[int]]) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file of float32, by the format's description, and how many bytes follow it."""
    header: dict[str, Any] = {}
    offset = 0
    for name, shape in shapes.items():
        size = 4
        for side in shape:
            size *= side
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    return header, offset


def safetensors(header: bytes | Mapping[str, Any], data_bytes: int, length: int | None = None) -> bytes:
    """A file with this header, and zeros behind it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + bytes(data_bytes)


def weights(change: Callable[[dict[str, Any]], object] = lambda _header: None, **shapes: list[int]) -> bytes:
    """The small model's weights, with more tensors or a changed header."""
    header, size = header_of(SHAPES | shapes)
    change(header)
    return safetensors(header, size)


def written(text: str, **of_first: str) -> bytes:
    """The weights with a part of the header written by hand: `text` for a place that is marked by its name."""
    header, size = header_of(SHAPES)
    next(iter(header.values())).update(of_first)
    for mark in of_first.values():
        return safetensors(json.dumps(header).replace(json.dumps(mark), text).encode(), size)
    return safetensors(header, size)


def folder_at(place: Path, files: Mapping[str, bytes | Mapping[str, Any]]) -> Path:
    """The small model in `place`, with these files beside or in place of its own."""
    whole: dict[str, bytes | Mapping[str, Any]] = {
        "config.json": CONFIG,
        "model.safetensors": weights(),
        "vocab.txt": b"[UNK]\n",
    }
    place.mkdir(parents=True, exist_ok=True)
    for name, content in (whole | dict(files)).items():
        (place / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    if INDEX in files:
        (place / "model.safetensors").unlink()
    return place
