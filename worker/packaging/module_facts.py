"""What a module's package says of it: the facts of a run, without times, hosts or ids, so equal runs are equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from app.sources.demo import Licence
from microlith.contract import (
    Baselines,
    BinaryScore,
    Concern,
    Cost,
    DeliveredScore,
    Interval,
    JobSpec,
    Numerics,
    OwnScore,
    Ratio,
    Report,
    Resolved,
    Similarity,
    Size,
    Sparsity,
    TrimmedVocabulary,
)
from microlith.contract.spec import BOOKKEEPING
from worker.evaluation.meaning import SINGLE_LABEL, Meaning, meaning_of


class Made(Protocol):
    """What every layout has to know of a model that was made of a base by a mask: a module, or a class set."""

    @property
    def spec(self) -> JobSpec:
        """What was asked."""

    @property
    def resolved(self) -> Resolved:
        """What the base's reference stood for."""

    @property
    def concerns(self) -> list[Concern]:
        """What it is for."""

    @property
    def ratio(self) -> Ratio:
        """What of the prunable units is gone."""

    @property
    def size(self) -> Size:
        """Its parameters and the base's."""

    @property
    def meaning(self) -> Meaning:
        """What its logits mean."""


@dataclass(frozen=True)
class SampleRows:
    """Row numbers of the samples that calibrated the module: in the sampling split, or in the set `boundary` names."""

    positive: list[int]
    negative: list[int]
    boundary: str | None = None


@dataclass(frozen=True)
class ModuleFacts:
    """One module: what was asked, what it was made of and how it measures beside the base."""

    concern: Concern
    spec: JobSpec
    resolved: Resolved
    ratio: Ratio
    sparsity: Sparsity
    size: Size
    own: OwnScore
    base_own: OwnScore
    report: Report
    base_report: Report
    similarity: Similarity | None
    binary: BinaryScore | None
    numerics: Numerics | None
    samples: SampleRows
    mask_sha256: str
    vocabulary: TrimmedVocabulary | None = None
    delivered: DeliveredScore | None = None
    cost: Cost | None = None
    macro_change: Interval | None = None
    baselines: Baselines | None = None
    model_licence: Licence | None = None
    dataset_licence: Licence | None = None

    @property
    def concerns(self) -> list[Concern]:
        """The one that it is for."""
        return [self.concern]

    @property
    def meaning(self) -> Meaning:
        """That of its own classes: a binary head answers with one of two."""
        return SINGLE_LABEL if self.binary else meaning_of(self.report)

    @property
    def thresholds(self) -> dict[str, float] | None:
        """The logits from which on each label is given, by label; None where the highest logit is the answer."""
        values, labels = self.meaning.thresholds, [row.label for row in self.report.classes]
        return None if values is None else dict(zip(labels, values, strict=True))

    @property
    def handed_out(self) -> OwnScore:
        """The scores of the files."""
        return self.delivered or self.own

    def recipe(self) -> dict[str, object]:
        """The spec as JSON, without the caller's bookkeeping."""
        return self.spec.model_dump(mode="json", exclude=set(BOOKKEEPING))
