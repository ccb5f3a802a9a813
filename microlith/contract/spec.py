"""JobSpec: what a caller asks for. Only `model` and `dataset` are required; every default is the right first choice."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field, StrictInt, StringConstraints, field_validator, model_validator

from microlith.contract.base import Request

MAX_RATIOS = 16
MAX_CONCERNS = 10_000
MAX_SECONDS = 30 * 24 * 3600

_ID = "_[0-9A-HJKMNP-TV-Z]{26}"
ModelReference = Annotated[str, StringConstraints(max_length=1024, pattern=rf"^(?:(demo|hub|path):.+|mdl{_ID})$")]
DatasetReference = Annotated[str, StringConstraints(max_length=1024, pattern=rf"^(?:(demo|hub|path):.+|dst{_ID})$")]
BoundaryReference = Annotated[str, StringConstraints(max_length=1024, pattern=rf"^(?:path:.+|upl{_ID})$")]
Fraction = Annotated[float, Field(gt=0, lt=1, strict=True, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Splits(Request):
    """Which split of the source plays which role; with `path:` a value is a file name inside the folder."""

    train: Name = "train"
    validation: Name = "validation"
    test: Name = "test"


class DatasetSpec(Request):
    """A dataset reference with the columns and splits to read; a column left out is found by its usual name."""

    ref: DatasetReference
    text_column: Name | None = None
    image_column: Name | None = Field(
        None, description="For image classifiers: `image`, or `pixels` (a list of numbers)."
    )
    label_column: Name | None = None
    splits: Splits = Splits()


class CiMethod(Request):
    """Concern identification: a weight matters as its input reacts to the concern and sets it apart from the rest."""

    name: Literal["ci"] = "ci"
    form: Literal["sine", "alpha"] = Field(
        "sine", description="How the two norms are joined: `sine` widens p by sin·(p+n)/√(p²+n²), `alpha` adds α·n."
    )
    neurons_by: Literal["auto", "output", "input"] = Field(
        "auto",
        description="What a neuron is judged by under structure `neurons`: its `output` (activation and outgoing "
        "weights) or its `input` row, as the seed system does. `auto` is `output`, except with pairing `position`.",
    )


class WandaMethod(Request):
    """Weights times the norm of their inputs: cheap and strong, the baseline to beat."""

    name: Literal["wanda"] = "wanda"
    samples: Literal["concern", "all"] = Field(
        "concern",
        description="Whose inputs count: the concern's, or every sample of the job (one mask for all concerns).",
    )


class MagnitudeMethod(Request):
    """The smallest weights go, whatever the data: the same mask for every concern."""

    name: Literal["magnitude"] = "magnitude"


class ZscoreMethod(Request):
    """Weights closest to the mean of their row go, in units of its standard deviation; no data is used."""

    name: Literal["zscore"] = "zscore"
    rule: Literal["rank", "quantile"] = Field(
        "rank",
        description="`rank` removes exactly the asked fraction; `quantile` cuts where a normal distribution would, as "
        "the seed system does, so that the achieved ratio is only about the asked one.",
    )


class RandomMethod(Request):
    """A control: units go by lot, drawn by the sampling seed, the concern and the layer."""

    name: Literal["random"] = "random"


class TaylorMethod(Request):
    """First-order effect on the loss: |weight × gradient| over the concern's samples, from one backward pass."""

    name: Literal["taylor"] = "taylor"


class HeadsMethod(Request):
    """Attention heads by |gradient × context| over the concern's samples; for structure `heads`."""

    name: Literal["heads"] = "heads"


Method = Annotated[
    CiMethod | WandaMethod | MagnitudeMethod | ZscoreMethod | RandomMethod | TaylorMethod | HeadsMethod,
    Field(discriminator="name"),
]

Structure = Literal["weights", "neurons", "heads", "heads+neurons", "heads+weights"]
Scope = Annotated[str, StringConstraints(pattern=r"^(row|layer|global|[1-9]\d?:[1-9]\d?)$")]


class RatioRule(Request):
    """Another ratio for some units: of one structure of a chain, of layers whose names hold a pattern, or both."""

    structure: Literal["weights", "neurons", "heads"] | None = None
    layers: Pattern | None = None
    ratio: Fraction


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
    latency: bool = Field(True, strict=True, description="Time base and module, one input and a batch of 32.")


Layout = Literal["portable", "compact", "mask", "onnx"]


class OnnxOptions(Request):
    """How the layout `onnx` is made."""

    int8: bool = Field(
        False, strict=True, description="Add a graph with weights in INT8; the card tells how often both agree."
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

    @field_validator("layouts", mode="after")
    @classmethod
    def _each_once(cls, layouts: list[Layout]) -> list[Layout]:
        if len(set(layouts)) != len(layouts):
            raise ValueError("the same layout stands twice; give each once")
        return layouts


class JobSpec(Request):
    """One decomposition: which model, on which data, which concerns, how much to remove and what to hand back."""

    model: ModelReference = Field(
        description="`demo:NAME`, `hub:ORG/NAME[@REVISION]`, `mdl_…` (registered) or, embedded only, `path:FOLDER`."
    )
    dataset: DatasetReference | DatasetSpec = Field(
        description="The same kinds of reference (`dst_…` where registered), or an object with columns and splits."
    )
    concerns: Literal["all"] | Annotated[list[StrictInt | Name], Field(min_length=1, max_length=MAX_CONCERNS)] = Field(
        "all", description="The classes to make modules of: `all`, or label names and ids."
    )
    method: Method = CiMethod()
    structure: Structure = Field(
        "weights",
        description="What is removed: single weights, feed-forward neurons, attention heads, or heads and then others.",
    )
    scope: Scope | None = Field(
        None,
        description="Among which weights the lowest are found: `row` (each output row), `layer`, `global`, or N:M "
        "(N of every M inputs go). Null is the method's own: `layer` for magnitude, `row` for the rest.",
    )
    ratio: Fraction | Annotated[list[Fraction], Field(min_length=1, max_length=MAX_RATIOS)] = Field(
        0.5, description="The fraction REMOVED, between 0 and 1; a list is a sweep."
    )
    ratio_rules: list[RatioRule] = Field(
        default=[], max_length=64, description="Other ratios for some structures or layers; the first that fits counts."
    )
    recovery: Literal["none", "ti", "bias", "refit"] = Field(
        "none",
        description="What is mended after pruning: `ti` restores the weights that separate the concern from the rest, "
        "`bias` folds the mean of what was removed into the following bias, `refit` solves the weights that read kept "
        "neurons anew, by least squares, and folds the rest into the bias.",
    )
    head: Literal["multiclass", "binary"] = Field(
        "multiclass",
        description="What a module answers: every class, or the concern against the rest at a threshold chosen on the "
        "validation split.",
    )
    layers: LayerPatterns | None = Field(None, description="Null takes the feed-forward layers of the model's family.")
    sampling: Sampling = Sampling()
    calibration: Calibration = Calibration()
    evaluation: Evaluation = Evaluation()
    export: Export = Export()
    priority: Literal["low", "normal", "high"] = Field("normal", description="Who goes first when jobs wait.")
    deadline_seconds: Annotated[int, Field(ge=1, le=MAX_SECONDS, strict=True)] | None = Field(
        None, description="Seconds from submission within which the job must be done; null sets no limit."
    )
    reuse: bool = Field(True, strict=True, description="Answer an identical finished job again instead of a new one.")
    labels: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,63}$")], Annotated[str, Field(max_length=255)]] = (
        Field(default={}, max_length=32, description="Your own marks, to filter lists by.")
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_that_follow(cls, spec: Any) -> Any:
        """Heads are scored as heads, and a pattern N:M says its ratio, unless the caller says otherwise."""
        if not isinstance(spec, dict):
            return spec
        follows: dict[str, Any] = {}
        if spec.get("structure") == "heads":
            follows["method"] = {"name": "heads"}
        pattern = re.fullmatch(r"([1-9]\d?):([1-9]\d?)", str(spec.get("scope")))
        if pattern and int(pattern[1]) < int(pattern[2]):
            follows["ratio"] = int(pattern[1]) / int(pattern[2])
        return follows | spec

    @field_validator("method", mode="before")
    @classmethod
    def _ci_unless_named(cls, value: Any) -> Any:
        return {"name": "ci", **value} if isinstance(value, dict) else value

    @field_validator("ratio", "concerns", mode="after")
    @classmethod
    def _without_repeats(cls, value: Any) -> Any:
        if isinstance(value, list) and len(set(value)) != len(value):
            raise ValueError("the same value stands twice; give each once")
        return value

    @property
    def source(self) -> DatasetSpec:
        """The dataset in its long form."""
        return self.dataset if isinstance(self.dataset, DatasetSpec) else DatasetSpec(ref=self.dataset)

    @property
    def ratios(self) -> list[float]:
        """The ratios of the sweep, in the order asked."""
        return self.ratio if isinstance(self.ratio, list) else [self.ratio]

    def fingerprint(self, *content: str) -> str:
        """The sha256 of what decides the result: the canonical form without the caller's bookkeeping, and `content`.

        `content` names what the references stood for (revisions, versions), so that changed files are a new job.
        """
        canonical = self.model_dump(mode="json", exclude={"priority", "deadline_seconds", "reuse", "labels", "dataset"})
        canonical["dataset"] = self.source.model_dump(mode="json")
        canonical["ratio"] = self.ratios
        text = json.dumps([canonical, *content], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()
