"""The file forms of a module: which options go together, and about how large each is."""

from __future__ import annotations

from collections.abc import Collection

from app.domain.errors import InvalidInput
from microlith.contract import Export, JobSpec, LayoutRequest
from microlith.contract.options import NumberType

MASK = "mask"
"""The layout that every module has, asked for or not: all others can be made of it and the base.

It is small, and says little beside its data."""

SHARES = {"portable": 1.0, "compact": 1.0, "mask": 1 / 32, "onnx": 1.0}
"""Of the base's bytes, at most: a mask has one bit for a float32."""

BYTES: dict[NumberType, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Of one number."""

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


def number_type_of(export: Export, checkpoint: NumberType | None) -> NumberType:
    """The type that weights are stored in, of a model whose checkpoint came in this one."""
    return (checkpoint or "float32") if export.dtype == "auto" else export.dtype


def check_number_type(export: Export, checkpoint: NumberType | None) -> None:
    """Raises InvalidInput for a mask where weights are rounded: what it makes of the base is not."""
    chosen = number_type_of(export, checkpoint)
    if MASK in export.layouts and chosen not in ("float32", checkpoint):
        raise InvalidInput(
            f"A mask makes the module in the base's own numbers, {checkpoint or 'float32'}, so it cannot have weights "
            f"in {chosen}.",
            hint="Leave `mask` out of the layouts, or `dtype` out.",
            pointer="/export/dtype",
        )


def holds(files: Collection[str], request: LayoutRequest) -> bool:
    """Whether a file of the layout wanted, which holds `files`, has all that was wanted of it."""
    return INT8_GRAPH in files or not request.onnx.int8


def counted_splits(spec: JobSpec) -> list[str]:
    """The splits whose tokens a trimmed vocabulary keeps."""
    sampled = spec.sampling.boundary.split if spec.sampling.source == "boundary" else spec.sampling.split
    return sorted({sampled, spec.evaluation.validation_split})


def share_of_base(spec: JobSpec, checkpoint: NumberType | None = None) -> float:
    """About how many times the size of the base's checkpoint a module takes, all its layouts together."""
    own = BYTES[checkpoint or "float32"]
    stored = BYTES[number_type_of(spec.export, checkpoint)]
    numbers = {"portable": stored, "compact": stored, "mask": own, "onnx": BYTES["float32"]}
    quantised = INT8_SHARE * BYTES["float32"] if spec.export.onnx.int8 else 0.0
    return (sum(SHARES[layout] * numbers[layout] for layout in spec.export.layouts) + quantised) / own
