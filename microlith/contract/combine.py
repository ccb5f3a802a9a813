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
    """How intervals are computed: examples are resampled with replacement, the same ones for both classifiers."""

    resamples: StrictInt = Field(1000, ge=100, le=10_000, description="The number of resamples.")
    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = Field(
        0.95, description="The confidence level of the percentile intervals."
    )
    seed: StrictInt = Field(44, ge=0, le=2**31 - 1, description="Makes the resamples repeatable.")


class CombineEvaluation(Request):
    """Where the combined classifier is measured, and where it is calibrated."""

    split: Literal["train", "validation", "test"] = Field("test", description="The split of the comparison.")
    validation_split: Literal["train", "validation", "test"] = Field(
        "validation", description="The split used for calibration and thresholds."
    )
    limit: Annotated[int, Field(ge=1, strict=True)] | None = Field(
        None, description="At most this many examples of each split, spread evenly over it. Null uses all."
    )
    latency: bool = Field(
        True, strict=True, description="Measure the latency of a class set and its base, in every layout."
    )
    bootstrap: Bootstrap = Bootstrap()


class CombineSpec(Body):
    """Which modules become one classifier, and how. Each module contributes its own concern, and every concern may
    occur only once.
    """

    mode: Literal["class_set", "recompose"] = Field(
        description="`class_set`: one ordinary model that keeps whatever any of the modules keeps. All modules must "
        "have the same base, and the head has only their concerns. `recompose`: every module scores its "
        "own concern. The modules may come from different models."
    )
    modules: list[ModuleId] = Field(min_length=2, max_length=MAX_PARTS, description="One for each concern.")
    dataset: DatasetReference | DatasetSpec = Field(description="The data to calibrate and measure the combination on.")
    calibration: Scaling = Field(
        "joint",
        description="How scores of different modules are made comparable, on validation data. `joint` fits a slope "
        "and an intercept for each module, all together by the loss of the decision. `platt` fits them "
        "for each module alone. `temperature` fits only a slope for each. `none` leaves the scores as "
        "they are. Only for `recompose`.",
    )
    decision: Decision = Field(
        "argmax",
        description="`argmax` answers the concern with the highest score, `threshold` every concern whose score "
        "reaches its threshold. Only for `recompose`.",
    )
    recovery: UnionRecovery | None = Field(
        None,
        description="How a class set is repaired: `bias` or `refit`, computed again over validation examples of its "
        "classes, because the set keeps more than each of its modules. Null uses the recovery of the "
        "modules, if they agree.",
    )
    export: Export | None = Field(
        None,
        description="The file forms of a class set, as in a job. Null means `portable`. A recomposed classifier is "
        "always one ONNX graph with a program that runs it.",
    )
    evaluation: CombineEvaluation = CombineEvaluation()

    @model_validator(mode="after")
    def _each_module_once(self) -> CombineSpec:
        if len(set(self.modules)) != len(self.modules):
            raise ValueError("`modules` contains the same module twice; give each module once")
        return self


class Interval(Answer):
    """A measure and the bootstrap percentile interval around it."""

    value: float
    low: float
    high: float


class Compared(Answer):
    """One measure of the combined classifier and of the original on the same examples, and their difference. The
    interval of the difference comes from paired resamples. Trust it more than whether the other two intervals overlap.
    """

    combined: Interval
    reference: Interval
    difference: Interval


class ConcernCompared(Answer):
    """One concern's F1. `model` is the model its module was made from, `module` is the module's id if it has one."""

    label: str
    model: str
    module: str | None = None
    support: int
    f1: Compared


class Comparisons(Answer):
    """The combined classifier beside the original, which chooses among the same labels only."""

    reference: str
    rows: int
    accuracy: Compared
    macro_f1: Compared
    concerns: list[ConcernCompared]
    resamples: int
    confidence: float
    seed: int


class LabelScaling(Answer):
    """How a concern's score is made comparable: slope · score + intercept. `threshold` is used if the decision is by
    threshold.
    """

    label: str
    slope: float
    intercept: float
    threshold: float


class Combination(Answer):
    """The result of a combination. `cross_validated` is the macro-F1 of every calibration on the validation split,
    where other examples calibrate each example. Only a class set has `size` and `latencies`; the latter are by layout.
    `notes` explain decisions that the job made.
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
