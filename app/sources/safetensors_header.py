"""What a safetensors header may say of its tensors: the format's own rules, and bounds for every number in it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from app.sources.json_file import is_count
from app.sources.short_texts import quote

MAX_TENSORS = 50_000
MAX_NAME = 500
MAX_SIDES = 8
MOST = 2**63 - 1
"""The largest side, offset and product of sides: what 64 bits hold."""

BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
"""Of one number of each type."""

Shapes = dict[str, tuple[int, ...]]
"""Every tensor's name and its sides."""


def shapes_in(header: Mapping[str, Any], data_bytes: int) -> Shapes:
    """The tensors of a header that `data_bytes` bytes follow.

    ValueError unless each has a plain name and a known type, and all of them fill these bytes one after the other.
    """
    _check_metadata(header.get("__metadata__", {}))
    tensors = {name: tensor for name, tensor in header.items() if name != "__metadata__"}
    if len(tensors) > MAX_TENSORS:
        raise ValueError(f"it has more than {MAX_TENSORS:,} tensors")
    shapes: Shapes = {}
    spans: list[tuple[int, int]] = []
    for name, tensor in tensors.items():
        try:
            shapes[name], span = _tensor(name, tensor)
        except ValueError as error:
            raise ValueError(f"of {quote(name)}, {error}") from error
        spans.append(span)
    _check_filled(spans, data_bytes)
    return shapes


def _tensor(name: str, tensor: object) -> tuple[tuple[int, ...], tuple[int, int]]:
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise ValueError("the name is not a plain one")
    if not isinstance(tensor, dict):
        raise ValueError("its entry is empty")
    shape, bits, span = tensor.get("shape"), _bits(tensor.get("dtype")), tensor.get("data_offsets")
    if not isinstance(shape, list) or len(shape) > MAX_SIDES or not all(is_count(side, 0, MOST) for side in shape):
        raise ValueError(f"the shape is not a list of at most {MAX_SIDES} whole numbers of 64 bits")
    if not isinstance(span, list) or len(span) != 2 or not all(is_count(offset, 0, MOST) for offset in span):
        raise ValueError("the offsets are not two whole numbers of 64 bits")
    count = math.prod(shape)
    if count > MOST or count * bits != 8 * (span[1] - span[0]):
        raise ValueError("the offsets do not fit the shape")
    return tuple(shape), (span[0], span[1])


def _check_metadata(metadata: object) -> None:
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its metadata are not texts")


def _bits(dtype: object) -> int:
    bits = BITS.get(dtype) if isinstance(dtype, str) else None
    if bits is None:
        raise ValueError(f"the type {quote(dtype)} is not known")
    return bits


def _check_filled(spans: list[tuple[int, int]], data_bytes: int) -> None:
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise ValueError("its tensors overlap, or leave bytes between them")
        at = end
    if at != data_bytes:
        raise ValueError(f"its tensors take {at:,} bytes and {data_bytes:,} are there")
