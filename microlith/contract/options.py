"""The parts of a job's specification beside the method: layers, samples, statistics, measures, files."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictInt, field_validator

from microlith.contract.base import Request
from microlith.contract.references import BoundaryReference, Pattern


class LayerPatterns(Request):
    """Substrings of dotted layer names. An excluded name wins; an empty include list takes every linear layer."""

    include: list[Pattern] = Field(default=[], max_length=100, description="A layer is taken if its name has one.")
    exclude: list[Pattern] = Field(default=[], max_length=100, description="A layer is left out if its name has one.")


class Boundary(Request):
    """How samples at the decision boundary are generated: confident examples, moved along the sign of one gradient."""

    ref: BoundaryReference | None = Field(
        None,
        description="A set made before, `upl_…` (uploaded) or `path:FILE.safetensors`, instead of generating one by "
        "the rest.",
    )
    split: Literal["train", "validation", "test"] = Field("train", description="The split they start from.")
    top: StrictInt = Field(1, ge=0, le=256, description="Most confident correct examples of each class to start from.")
    bottom: StrictInt = Field(1, ge=0, le=256, description="Least confident correct ones.")
    step: Annotated[float, Field(gt=0, le=1)] = Field(0.01, description="Distance between the ε that are tried.")
    max: Annotated[float, Field(gt=0, le=100)] = Field(10.0, description="The largest ε that is tried.")


class Sampling(Request):
    """Which examples calibrate: some of the concern (positive) and as many of the rest (negative)."""

    source: Literal["dataset", "boundary"] = Field(
        "dataset",
        description="The data as it is, or embeddings generated at the model's decision boundary (then `order` and "
        "`negatives` mean nothing).",
    )
    split: Literal["train", "validation", "test"] = Field("train", description="The split samples are drawn from.")
    per_concern: StrictInt = Field(16, ge=1, le=4096, description="Positive samples of a concern, and negative ones.")
    order: Literal["first", "random"] = Field(
        "first", description="In the order of the split, or shuffled by the seed."
    )
    negatives: Literal["even", "confusers"] = Field(
        "even", description="The rest evenly over the other classes, or in proportion to the base's confusions."
    )
    boundary: Boundary = Boundary()
    seed: StrictInt = Field(44, ge=0, le=2**31 - 1, description="Makes random order repeatable.")


class Calibration(Request):
    """How statistics of layer inputs are taken; `include` with `position` reproduces the seed system on CPU."""

    pads: Literal["exclude", "include"] = Field(
        "exclude", description="Whether padding counts; `include` pads every input to the model's maximum length."
    )
    pairing: Literal["free", "position"] = Field(
        "free", description="How concern and rest are compared: by class sums, or token by token of paired samples."
    )


class Evaluation(Request):
    """Where modules are measured: the report on `split`, exp_loss and similarity on `validation_split`."""

    split: Literal["train", "validation", "test"] = Field("test", description="The split of the report.")
    validation_split: Literal["train", "validation", "test"] = Field(
        "validation", description="The split of exp_loss and similarity."
    )
    limit: Annotated[int, Field(ge=1, strict=True)] | None = Field(
        None, description="At most this many examples of each split, spread evenly over it; null takes all."
    )
    similarity: bool = Field(True, strict=True, description="Measure how far hidden states moved from the base's.")
    similarity_layers: Literal["last", "all"] = Field(
        "last", description="Compare the last hidden states, or every layer's."
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="What the splits are answered in: `bfloat16` is faster, and counts where its predictions are those "
        "of float32 on 99.9 % of examples; `auto` tries it on CUDA alone.",
    )
    latency: bool = Field(True, strict=True, description="Time base and module, one input and a batch of 32.")


Layout = Literal["portable", "compact", "mask", "onnx"]


class OnnxOptions(Request):
    """How the layout `onnx` is made."""

    int8: bool = Field(
        False, strict=True, description="Add a graph with weights in INT8; the card tells how often both agree."
    )


class VocabularyOptions(Request):
    """Which tokens a module keeps."""

    trim: bool = Field(
        False,
        strict=True,
        description="Keep only tokens that the splits of sampling and validation use: the embedding loses the rows of "
        "the others. What it costs on the evaluation split is measured and told.",
    )
    guard: float = Field(
        0.0, ge=0, lt=1, allow_inf_nan=False, description="Tokens that make up at most this fraction go as well."
    )


class Export(Request):
    """Which file forms of each module are made, each an artifact of its own."""

    layouts: list[Layout] = Field(
        default=["portable"],
        min_length=1,
        max_length=4,
        description="`portable` opens with plain from_pretrained; `compact` is the smallest folder, opened with "
        "trust_remote_code; `mask` is data to be laid over the base; `onnx` opens with ONNX Runtime.",
    )
    onnx: OnnxOptions = OnnxOptions()
    vocabulary: VocabularyOptions = VocabularyOptions()

    @field_validator("layouts", mode="after")
    @classmethod
    def _each_once(cls, layouts: list[Layout]) -> list[Layout]:
        if len(set(layouts)) != len(layouts):
            raise ValueError("the same layout stands twice; give each once")
        return layouts
