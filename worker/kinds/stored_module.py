"""Modules made again: found with the mask that each keeps, and laid over the base it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from app.db.tables import ArtifactRow, JobRow, ModuleRow
from app.domain.errors import NotFound, SourceUnavailable
from app.domain.layouts import MASK
from app.sources.demo import Licence
from microlith.contract import (
    Baselines,
    BaseResult,
    BinaryScore,
    Combination,
    CombineSpec,
    Concern,
    Cost,
    DeliveredScore,
    Interval,
    JobSpec,
    ModelFacts,
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
from microlith.errors import MicrolithClientError
from microlith.masks import Base, MaskFile, apply_mask, read_mask
from worker.attempt.attempt import Attempt
from worker.attempt.retrying import patient
from worker.evaluation.meaning import SINGLE_LABEL, Meaning, meaning_of
from worker.packaging.module_facts import ModuleFacts, SampleRows


@dataclass(frozen=True)
class StoredModule:
    """A module as it is stored: its row, its mask, and what its job asked for, read and measured of the base."""

    module: ModuleRow
    mask: ArtifactRow
    spec: JobSpec
    resolved: Resolved
    base: BaseResult | None
    baselines: Baselines | None = None

    @classmethod
    def of(cls, module: ModuleRow, mask: ArtifactRow, job: JobRow) -> StoredModule:
        """A module by its rows, and that of its job."""
        spec, resolved = JobSpec.model_validate(job.spec), Resolved.model_validate(job.resolved)
        measured = job.base or {}
        base = BaseResult.model_validate(measured) if measured else None
        known = measured.get("baselines")
        return cls(module, mask, spec, resolved, base, known and Baselines.model_validate(known))

    def fetch_mask(self, attempt: Attempt, folder: Path) -> MaskFile:
        """The mask, brought into `folder` and read. Raises StorageUnavailable, and SourceUnavailable if damaged."""
        file = folder / f"{self.module.id}.zip"
        attempt.fetch(self.mask, file)
        try:
            return read_mask(file)
        except MicrolithClientError as error:
            raise SourceUnavailable(
                f"The stored mask of the module {self.module.id} is damaged: {error}",
                hint=f"POST /v1/jobs/{self.module.job_id}/repair makes it anew; then ask again.",
            ) from error

    def check_base(self, now: ModelFacts) -> None:
        """Raises SourceUnavailable for a base that reads otherwise than when the module was made of it.

        A commit of the hub is the same for ever; jobs of earlier versions do not say what their base's files were.
        """
        made_of = self.resolved.model
        if made_of is None or made_of.content_sha256 is None:
            return
        if made_of.content_sha256 != now.content_sha256 and (now.revision is None or made_of.revision != now.revision):
            raise SourceUnavailable(
                f"The module {self.module.id} cannot be made of its base any more: the base's config, tokenizer or "
                "weights are not the files that it was made with.",
                hint="Put the files back as they were, or run its job again, then ask again.",
                pointer="/model",
            )

    @property
    def base_meaning(self) -> Meaning:
        """What the logits of its base mean."""
        return meaning_of(self.base.report) if self.base else SINGLE_LABEL

    @property
    def meaning(self) -> Meaning:
        """What its own mean: a binary head answers with one of two classes."""
        facts = self.module.facts
        return SINGLE_LABEL if facts.get("binary") else meaning_of(Report.model_validate(facts["report"]))

    def facts(self, mask: MaskFile, model_licence: Licence | None, dataset_licence: Licence | None) -> ModuleFacts:
        """All that was said of the module when it was made."""
        facts, history = self.module.facts, mask.decomposition
        assert self.base is not None, "modules are published after their base"
        names = ("similarity", "binary", "numerics", "vocabulary", "delivered", "cost", "macro_change")
        similarity, binary, numerics, vocabulary, delivered, cost, change = (facts.get(name) for name in names)
        samples = history["samples"]
        return ModuleFacts(
            concern=Concern.model_validate(facts["concern"]),
            spec=self.spec,
            resolved=self.resolved,
            ratio=Ratio.model_validate(facts["ratio"]),
            sparsity=Sparsity.model_validate(facts["sparsity"]),
            size=Size.model_validate(facts["size"]),
            own=OwnScore.model_validate(facts["own"]),
            base_own=OwnScore.model_validate(facts["base_own"]),
            report=Report.model_validate(facts["report"]),
            base_report=self.base.report,
            similarity=similarity and Similarity.model_validate(similarity),
            binary=binary and BinaryScore.model_validate(binary),
            numerics=numerics and Numerics.model_validate(numerics),
            samples=SampleRows(samples["positive"], samples["negative"], samples.get("boundary")),
            mask_sha256=history["mask"]["sha256"],
            vocabulary=vocabulary and TrimmedVocabulary.model_validate(vocabulary),
            delivered=delivered and DeliveredScore.model_validate(delivered),
            cost=cost and Cost.model_validate(cost),
            macro_change=change and Interval.model_validate(change),
            baselines=self.baselines,
            model_licence=model_licence,
            dataset_licence=dataset_licence,
        )


@patient
def find_modules(attempt: Attempt, module_ids: Sequence[str]) -> list[StoredModule]:
    """The caller's modules, in this order. Raises NotFound for one that is gone."""
    stored = []
    with attempt.lease.write() as (unit, _):
        for module_id in module_ids:
            module = unit.modules.find(module_id, attempt.lease.owner)
            job = unit.jobs.find(module.job_id, attempt.lease.owner) if module else None
            masks = [kept for kept in unit.artifacts.of_modules([module_id]) if kept.layout == MASK]
            if module is None or job is None or not masks:
                raise NotFound(f"The module {module_id} is gone.", hint="Its job was deleted; run it again.")
            stored.append(StoredModule.of(module, masks[0], job))
    return stored


@patient
def find_combination(attempt: Attempt, job_id: str) -> tuple[CombineSpec, Combination]:
    """What a combining job of the caller was asked for, and what came of it. Raises NotFound for one that is gone."""
    with attempt.lease.write() as (unit, _):
        job = unit.jobs.find(job_id, attempt.lease.owner)
        if job is None or job.combination is None:
            raise NotFound(f"The job {job_id} is gone.", hint="Combine its modules again.")
        return CombineSpec.model_validate(job.order), Combination.model_validate(job.combination)


def apply_to_base(base: Base | nn.Module, mask: MaskFile) -> nn.Module:
    """The module that the mask makes of its base. Raises SourceUnavailable for a base that is not what it was."""
    try:
        module: nn.Module = apply_mask(base, mask)
    except MicrolithClientError as error:
        raise SourceUnavailable(
            f"The module cannot be made of its base any more: {error}", hint="Run its job again, then ask again."
        ) from error
    return module
