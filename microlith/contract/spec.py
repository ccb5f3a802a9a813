"""JobSpec: the request for a job. Only `model` and `dataset` are required, and every default is a good first choice."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field, StrictInt, field_validator, model_validator

from microlith.contract.base import Body
from microlith.contract.methods import CiMethod, HeadsMethod, Method, RatioRule, Scope, Structure
from microlith.contract.options import Calibration, Distillation, Evaluation, Export, LayerPatterns, Sampling
from microlith.contract.references import DatasetReference, DatasetSpec, Fraction, ModelReference, Name

MAX_RATIOS = 16
MAX_CONCERNS = 10_000
MAX_SECONDS = 30 * 24 * 3600
MAX_WORKERS = 64

BOOKKEEPING = ("priority", "workers", "deadline_seconds", "reuse", "labels")
"""The fields that decide when a job runs and on which worker. They do not change its result."""

JobLabels = Annotated[
    dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,63}$")], Annotated[str, Field(max_length=255)]],
    Field(max_length=32),
]
"""A caller's own labels."""


class JobSpec(Body):
    """One decomposition: which model, on which data, which concerns, how much to remove and which files to make."""

    model: ModelReference = Field(
        description="`demo:NAME`, `hub:ORG/NAME[@REVISION]`, `mdl_…` (registered) or, embedded only, `path:FOLDER`."
    )
    dataset: DatasetReference | DatasetSpec = Field(
        description="The same kinds of reference (`dst_…` if registered), or an object with columns and splits."
    )
    concerns: Literal["all"] | Annotated[list[StrictInt | Name], Field(min_length=1, max_length=MAX_CONCERNS)] = Field(
        "all", description="The classes to make modules of: `all`, or label names and ids."
    )
    method: Method = CiMethod()
    structure: Structure = Field(
        "weights",
        description="What is removed: single weights, feed-forward neurons, attention heads, whole layers, or several "
        "of these in turn.",
    )
    scope: Scope | None = Field(
        None,
        description="The pool in which the lowest scores are removed: `row` (each output row), `layer`, `global`, or "
        "N:M (N of every M inputs are removed). Null uses the method's default: `layer` for magnitude, "
        "`row` for the other methods.",
    )
    ratio: Fraction | Annotated[list[Fraction], Field(min_length=1, max_length=MAX_RATIOS)] = Field(
        0.5, description="The fraction REMOVED, between 0 and 1; a list is a sweep."
    )
    ratio_rules: list[RatioRule] = Field(
        default=[],
        max_length=64,
        description="Other ratios for some structures or layers. The first matching rule applies.",
    )
    recovery: Literal["none", "ti", "bias", "refit", "distil"] = Field(
        "none",
        description="How modules are repaired after pruning. `ti` restores the weights that separate the concern "
        "from the rest. `bias` adds the mean of what was removed to the following bias. `refit` solves "
        "what is left of each pruned layer again by least squares, so that it writes what the base's layer writes. "
        "`distil` makes one smaller model for all concerns, which learns to answer as the base does.",
    )
    distil: Distillation = Distillation()
    head: Literal["multiclass", "binary"] = Field(
        "multiclass",
        description="What a module answers: every class, or the concern against the rest at a threshold chosen on the "
        "validation split.",
    )
    layers: LayerPatterns | None = Field(None, description="Null means the feed-forward layers of the model's family.")
    sampling: Sampling = Sampling()
    calibration: Calibration = Calibration()
    evaluation: Evaluation = Evaluation()
    export: Export = Export()
    priority: Literal["low", "normal", "high"] = Field("normal", description="Which waiting job goes first.")
    workers: Annotated[int, Field(ge=1, le=MAX_WORKERS, strict=True)] = Field(
        1, description="How many workers may share the concerns. The modules stay the same."
    )
    deadline_seconds: Annotated[int, Field(ge=1, le=MAX_SECONDS, strict=True)] | None = Field(
        None, description="Seconds from submission within which the job must finish. Null sets no limit."
    )
    reuse: bool = Field(
        True, strict=True, description="If you have an identical finished job, return it instead of a new one."
    )
    labels: JobLabels = Field(default={}, description="Your own labels, to filter lists by.")

    @model_validator(mode="before")
    @classmethod
    def _defaults_that_follow(cls, spec: Any) -> Any:
        """Structures of heads alone default to the method `heads`, and a scope N:M to its ratio."""
        if not isinstance(spec, dict):
            return spec
        follows: dict[str, Any] = {}
        if spec.get("structure") in HeadsMethod.structures:
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
            raise ValueError("the list contains the same value twice; give each value once")
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
        """The sha256 of everything that decides the result: the spec without scheduling fields and labels, and
        `content`. `content` names what the references pointed to (revisions, versions), so changed files make a new
        job.
        """
        canonical = self.model_dump(mode="json", exclude={*BOOKKEEPING, "dataset"})
        canonical["dataset"] = self.source.model_dump(mode="json")
        canonical["ratio"] = self.ratios
        text = json.dumps([canonical, *content], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()
