"""The file forms of a module: which options go together, and about how large each is."""

from __future__ import annotations

from collections.abc import Collection

from app.domain.errors import InvalidInput
from microlith.contract import Export, JobSpec, LayoutRequest

MASK = "mask"
"""The layout that every module has, asked for or not: all others can be made of it and the base.

It is small, and says little beside its data."""

SHARES = {"portable": 1.0, "compact": 1.0, "mask": 1 / 32, "onnx": 1.0}
"""Of the base's bytes, at most: a mask has one bit for a float32."""

INT8_SHARE = 0.3
INT8_GRAPH = "model.int8.onnx"
"""The file that the layout `onnx` has where INT8 was asked for."""


def check_export(export: Export) -> None:
    """Raises InvalidInput where an option is for a layout that is not asked for."""
    if export.onnx.int8 and "onnx" not in export.layouts:
        raise InvalidInput(
            "INT8 is a form of the layout `onnx`, which is not in `layouts`.",
            hint=f"Use `layouts: {[*export.layouts, 'onnx']}`, or leave `onnx` out.".replace("'", '"'),
            pointer="/export/onnx/int8",
        )
    if export.vocabulary.trim and "mask" in export.layouts:
        raise InvalidInput(
            "A mask applies to the whole base, so it cannot have a trimmed vocabulary.",
            hint="Leave `mask` out of the layouts, or `vocabulary` out.",
            pointer="/export/vocabulary/trim",
        )


def holds(files: Collection[str], wanted: LayoutRequest) -> bool:
    """Whether a file of the layout wanted, which holds `files`, has all that was wanted of it."""
    return INT8_GRAPH in files or not wanted.onnx.int8


def counted_splits(spec: JobSpec) -> list[str]:
    """The splits whose tokens a trimmed vocabulary keeps."""
    sampled = spec.sampling.boundary.split if spec.sampling.source == "boundary" else spec.sampling.split
    return sorted({sampled, spec.evaluation.validation_split})


def share_of_base(spec: JobSpec) -> float:
    """About how many times the base's size a module takes, all its layouts together."""
    quantised = INT8_SHARE if spec.export.onnx.int8 else 0.0
    return sum(SHARES[layout] for layout in spec.export.layouts) + quantised
