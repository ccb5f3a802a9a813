"""The parts of a job's specification besides the method: layers, samples, statistics, measures, files."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictInt, field_validator

from microlith.contract.base import Request
from microlith.contract.references import BoundaryReference, Pattern


class LayerPatterns(Request):
    """Substrings of dotted layer names. `exclude` wins over `include`. An empty include list means every linear
    layer.
    """

    include: list[Pattern] = Field(
        default=[], max_length=100, description="A layer is included if its name contains one of these."
    )
    exclude: list[Pattern] = Field(
        default=[], max_length=100, description="A layer is excluded if its name contains one of these."
    )


class Boundary(Request):
    """How samples at the decision boundary are generated: confident examples are moved along the sign of one
    gradient.
    """

    ref: BoundaryReference | None = Field(
        None,
        description="An existing set, `upl_…` (uploaded) or `path:FILE.safetensors`. If it is given, no samples are "
        "generated and the other options do not apply.",
    )
    split: Literal["train", "validation", "test"] = Field(
        "train", description="The split with the examples to start from."
    )
    top: StrictInt = Field(
        1, ge=0, le=256, description="The number of most confident correct examples of each class to start from."
    )
    bottom: StrictInt = Field(
        1, ge=0, le=256, description="The number of least confident correct examples of each class to start from."
    )
    step: Annotated[float, Field(gt=0, le=1)] = Field(
        0.01, description="The distance between the values of ε that are tried."
    )
    max: Annotated[float, Field(gt=0, le=100)] = Field(10.0, description="The largest ε that is tried.")


class Sampling(Request):
    """The examples used for calibration: some of the concern (positive) and the same number of the rest (negative)."""

    source: Literal["dataset", "boundary"] = Field(
        "dataset",
        description="Use examples of the data, or generate embeddings at the model's decision boundary. `boundary` "
        "ignores `order` and `negatives`.",
    )
    split: Literal["train", "validation", "test"] = Field("train", description="The split that samples are drawn from.")
    per_concern: StrictInt = Field(
        16, ge=1, le=4096, description="The number of positive samples of each concern, and of negative ones."
    )
    order: Literal["first", "random"] = Field(
        "first", description="Take samples in the order of the split, or shuffled by the seed."
    )
    negatives: Literal["even", "confusers"] = Field(
        "even",
        description="Spread the negative samples evenly over the other classes, or in proportion to the base's "
        "confusions.",
    )
    boundary: Boundary = Boundary()
    seed: StrictInt = Field(44, ge=0, le=2**31 - 1, description="Makes the random order repeatable.")


class Calibration(Request):
    """How statistics of layer inputs are computed. `include` with `position` reproduces the research notebook on a
    CPU.
    """

    pads: Literal["exclude", "include"] = Field(
        "exclude", description="Whether padding counts. `include` pads every input to the model's maximum length."
    )
    pairing: Literal["free", "position"] = Field(
        "free", description="How concern and rest are compared: by class sums, or token by token of paired samples."
    )


class Evaluation(Request):
    """How modules are measured: the report on `split`, exp_loss and similarity on `validation_split`."""

    split: Literal["train", "validation", "test"] = Field("test", description="The split for the report.")
    validation_split: Literal["train", "validation", "test"] = Field(
        "validation", description="The split for exp_loss and similarity."
    )
    limit: Annotated[int, Field(ge=1, strict=True)] | None = Field(
        None, description="At most this many examples of each split, spread evenly over it. Null uses all."
    )
    similarity: bool = Field(True, strict=True, description="Measure how far the hidden states moved from the base's.")
    similarity_layers: Literal["last", "all"] = Field(
        "last", description="Compare the last hidden states, or every layer's."
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="The number type for answers on the splits. `bfloat16` is faster. It is used only if it predicts "
        "the same as float32 on at least 99.9 % of examples. `auto` tries it only on CUDA.",
    )
    latency: bool = Field(
        True, strict=True, description="Measure the latency of base and module, for one input and a batch of 32."
    )


class Distillation(Request):
    """How recovery `distil` learns. What is null is chosen for you."""

    minutes: float | None = Field(
        None,
        gt=0,
        le=24 * 60,
        allow_inf_nan=False,
        description="At most so many minutes for each ratio. Null sets no limit.",
    )
    epochs: int | None = Field(
        None,
        ge=1,
        le=1000,
        strict=True,
        description="How often every text is learned from. Null means 4, and more often where there are fewer than "
        "27,000 texts.",
    )
    learning_rate: float | None = Field(
        None,
        gt=0,
        le=0.1,
        allow_inf_nan=False,
        description="The rate of the first step, from which it falls to 0. Null means 0.0004.",
    )
    texts: Literal["train", "validation", "test"] = Field("train", description="The split that is learned from.")
    temperature: float = Field(
        2.0,
        ge=0.1,
        le=100,
        allow_inf_nan=False,
        description="Divides the logits of base and module when they are compared.",
    )


Layout = Literal["portable", "compact", "mask", "onnx"]
NumberType = Literal["float32", "bfloat16", "float16"]


class OnnxOptions(Request):
    """How the layout `onnx` is made."""

    int8: bool = Field(
        False,
        strict=True,
        description="Add a graph with weights in INT8. The model card says how often both graphs agree.",
    )


class VocabularyOptions(Request):
    """The tokens that a module keeps."""

    trim: bool = Field(
        False,
        strict=True,
        description="Keep only the tokens that the sampling and validation splits use, and remove the others from "
        "the embedding. The job measures the cost on the evaluation split and reports it.",
    )
    guard: float = Field(
        0.0,
        ge=0,
        lt=1,
        allow_inf_nan=False,
        description="Also remove each token that makes up at most this fraction of all tokens of these splits.",
    )


class Export(Request):
    """The file forms to make of each module, each an artifact of its own."""

    layouts: list[Layout] = Field(
        default=["portable"],
        min_length=1,
        max_length=4,
        description="`portable` opens with plain from_pretrained. `compact` is the smallest folder and opens with "
        "trust_remote_code. `mask` is data to apply to the base. `onnx` opens with ONNX Runtime.",
    )
    onnx: OnnxOptions = OnnxOptions()
    vocabulary: VocabularyOptions = VocabularyOptions()
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto",
        description="The number type of stored weights. `auto` is that of the checkpoint. Scores are those of the "
        "rounded weights. `onnx` and `mask` always hold float32.",
    )

    @field_validator("layouts", mode="after")
    @classmethod
    def _each_once(cls, layouts: list[Layout]) -> list[Layout]:
        if len(set(layouts)) != len(layouts):
            raise ValueError("the list contains the same layout twice; give each layout once")
        return layouts
