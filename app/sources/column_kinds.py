"""What kinds of values a column holds, by its Arrow type."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def is_binary(kind: pa.DataType) -> bool:
    """Whether values of this type are bytes."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def is_text(kind: pa.DataType) -> bool:
    """Whether values of this type are texts, each stored or all different ones once."""
    inner = kind.value_type if isinstance(kind, pa.DictionaryType) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner))


def is_list(kind: pa.DataType) -> bool:
    """Whether each value of this type is a list."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def widest_bytes(texts: pa.Array) -> int:
    """Bytes of the longest."""
    values = texts.dictionary if isinstance(texts, pa.DictionaryArray) else texts
    return pc.max(pc.binary_length(values)).as_py() or 0
