"""Combination: modules become one classifier again, of one base (`class_set`) or of several (`recompose`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictInt, StringConstraints, model_validator

from microlith.contract.base import Answer, Body, Request
from microlith.contract.footprint import Latency, Size
from microlith.contract.options import Export
from microlith.contract.references import DatasetReference, DatasetSpec

MAX_PARTS = 256

ModuleId = Annotated[str, StringConstraints(pattern=r"^mod_[0-9A-HJKMNP-TV-Z]{26}$")]
Scaling = Literal["joint", "platt", "temperature", "none"]
Decision = Literal["argmax", "threshold"]
UnionRecovery = Literal["none", "bias", "refit"]


class Bootstrap(Request):
    """How intervals are taken: examples are drawn again, with replacement, the same ones for both classifiers."""

    resamples: StrictInt = Field(1000, ge=100, le=10_000, description="How often the examples are drawn again.")
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = Field(0.95, description="Of the percentile intervals.")
    seed: StrictInt = Field(44, ge=0, le=2**31 - 1, description="Makes the draws repeatable.")


class CombineEvaluation(Request):
    """Where the combined classifier is measured, and where it is calibrated."""

    split: Literal["train", "validation", "test"] = Field("test", description="The split of the comparison.")
    validation_split: Literal["train", "validation", "test"] = Field(
        "validation", description="The split that calibrates and sets thresholds."
    )
    limit: Annotated[int, Field(ge=1, strict=True)] | None = Field(
        None, description="At most this many examples of each split, spread evenly over it; null takes all."
    )
    latency: bool = Field(True, strict=True, description="Time a class set and its base, in every layout.")
    bootstrap: Bootstrap = Bootstrap()


class CombineSpec(Body):
    """Which modules become one classifier, and how. Each brings its own concern; a concern can come once only."""

    mode: Literal["class_set", "recompose"] = Field(
        description="`class_set`: one ordinary model of what any of the modules keeps, all of one base, its head cut "
        "to their concerns. `recompose`: every module scores its own concern; they may be of different models."
    )
    modules: list[ModuleId] = Field(min_length=2, max_length=MAX_PARTS, description="One for each concern.")
    dataset: DatasetReference | DatasetSpec = Field(description="What calibrates and measures the combination.")
    calibration: Scaling = Field(
        "joint",
        description="How scores of different modules are made comparable, on validation data: a slope and an "
        "intercept for each, fitted together by the loss of the decision (`joint`) or each alone (`platt`); a slope "
        "for each (`temperature`); or as they are (`none`). For `recompose`.",
    )
    decision: Decision = Field(
        "argmax",
        description="The highest score, or every concern whose score reaches its threshold. For `recompose`.",
    )
    recovery: UnionRecovery | None = Field(
        None,
        description="What is mended in a class set, whose union has lost less than each of its modules: `bias` or "
        "`refit`, taken anew over validation examples of its classes. Null is the modules' own, where they agree.",
    )
    export: Export | None = Field(
        None,
        description="The file forms of a class set, as a job has them; null is `portable`. A recomposed classifier is "
        "one ONNX graph with what runs it, and takes no choice.",
    )
    evaluation: CombineEvaluation = CombineEvaluation()

    @model_validator(mode="after")
    def _each_module_once(self) -> CombineSpec:
        if len(set(self.modules)) != len(self.modules):
            raise ValueError("the same module stands twice in `modules`; give each once")
        return self


class Interval(Answer):
    """A measure and the bootstrap percentile interval around it."""

    value: float
    low: float
    high: float


class Compared(Answer):
    """One measure of the combined classifier and of the original on the same examples, and their difference.

    The difference's interval is of paired resamples: it says more than whether the other two overlap.
    """

    combined: Interval
    reference: Interval
    difference: Interval


class ConcernCompared(Answer):
    """One concern's F1; `model` is what its module was made of, `module` its id where it has one."""

    label: str
    model: str
    module: str | None = None
    support: int
    f1: Compared


class Comparisons(Answer):
    """The combined classifier beside the original, which is asked about the same labels only."""

    reference: str
    rows: int
    accuracy: Compared
    macro_f1: Compared
    concerns: list[ConcernCompared]
    resamples: int
    confidence: float
    seed: int


class LabelScaling(Answer):
    """What makes a concern's score comparable: slope · score + intercept; `threshold` decides where that is asked."""

    label: str
    slope: float
    intercept: float
    threshold: float


class Combination(Answer):
    """What came of it. `cross_validated` is the macro-F1 of every calibration on the validation split, each example

    calibrated by others; `size` and `latencies` are a class set's, the latter by layout; `notes` tell what was decided
    on the way and is worth knowing.
    """

    mode: Literal["class_set", "recompose"]
    labels: list[str]
    decision: Decision
    calibration: Scaling
    scaling: list[LabelScaling] = []
    cross_validated: dict[Scaling, float] = {}
    recovery: UnionRecovery = "none"
    comparison: Comparisons
    size: Size | None = None
    latencies: list[Latency] = []
    notes: list[str] = []
