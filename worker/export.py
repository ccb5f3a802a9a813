"""From a module in memory to a verified archive: what is said about it, the `portable` layout, a clean re-opening."""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from app.domain.errors import UnsupportedModel
from microlith.contract import BaseResult, Concern, JobSpec, OwnScore, Ratio, Report
from worker.bench import Measures
from worker.drawing import Drawn
from worker.evaluation.binary import BinaryHead, with_binary_head
from worker.evaluation.runner import predict
from worker.evaluation.sparsity import base_size, size, sparsity
from worker.families.anatomy import Anatomy
from worker.inputs import Examples, device_of
from worker.packaging.archive import Archive, archive
from worker.packaging.card import model_card
from worker.packaging.decomposition import decomposition
from worker.packaging.facts import ModuleFacts, SampleRows
from worker.packaging.portable import write_portable
from worker.packaging.verify import Verifier
from worker.pruning.masks import Mask
from worker.sources.opening import Sources


@dataclass(frozen=True)
class Exporter:
    """What every module of a job is packed with; `probe` are the examples a clean process must answer alike."""

    spec: JobSpec
    sources: Sources
    base: BaseResult
    anatomy: Anatomy
    drawn: Drawn
    probe: Examples
    scratch: Path

    def describe(
        self, module: nn.Module, mask: Mask, concern: Concern, ratio: float, measures: Measures
    ) -> ModuleFacts:
        """Everything there is to say about a module: what was asked, what it was made of, how it measures."""
        drawn, whole = self.drawn.samples[concern.id], base_size(self.sources.model.model)
        return ModuleFacts(
            concern=concern,
            spec=self.spec,
            resolved=self.sources.resolved,
            ratio=Ratio(requested=ratio, achieved=mask.achieved),
            sparsity=sparsity(module, whole),
            size=size(module, whole),
            own=own_score(measures.report, concern),
            base_own=own_score(self.base.report, concern),
            report=measures.report,
            base_report=self.base.report,
            similarity=measures.similarity,
            binary=measures.binary,
            samples=SampleRows(list(drawn.positive), list(drawn.negative), self.drawn.boundary),
            mask_sha256=mask.digest(),
            model_licence=self.sources.model.licence,
            dataset_licence=self.sources.data.licence,
        )

    def delivered(self, module: nn.Module, concern: Concern, measures: Measures) -> nn.Module:
        """The module as it is handed out: itself, or with a head that answers the concern against the rest."""
        if measures.binary is None:
            return module
        classifier = self.anatomy.classifier
        if classifier is None:
            raise UnsupportedModel(
                "Where this architecture keeps its classifier is not known.",
                hint="Use `head: multiclass`.",
                pointer="/head",
            )
        return with_binary_head(module, BinaryHead(classifier, concern.id, concern.label), measures.binary.threshold)

    def pack(self, module: nn.Module, facts: ModuleFacts) -> Archive:
        """The module as one zip; the folder it is made from is gone again."""
        name = self._name(facts)
        folder = self.scratch / name
        folder.mkdir()
        write_portable(folder, module, self.sources.model, model_card(facts), decomposition(facts))
        package = archive(folder, self.scratch / f"{name}.zip")
        shutil.rmtree(folder)
        return package

    def verify(self, verifier: Verifier, package: Archive, module: nn.Module) -> None:
        """Raises VerificationFailed unless the archive, opened in a clean process, answers as the module does."""
        probe = self.probe
        rows = np.arange(len(probe))
        inputs = probe.collate(rows, int(probe.lengths(rows).max()))
        verifier.check(package.path, inputs, predict(on_cpu(module), probe))

    def _name(self, facts: ModuleFacts) -> str:
        model = re.split(r"[:/@]", self.spec.model.rstrip("/"))[-1]
        words = f"{model}-{facts.concern.label}-{facts.ratio.requested:g}"
        return re.sub(r"[^A-Za-z0-9._-]+", "-", words).strip("-.") or "module"


def on_cpu(module: nn.Module) -> nn.Module:
    """The module where verification runs: itself, or a copy of one that is on another device."""
    return module if device_of(module).type == "cpu" else copy.deepcopy(module).cpu()


def own_score(report: Report, concern: Concern) -> OwnScore:
    """The report's row of the concern itself."""
    return OwnScore.model_validate(report.classes[concern.id].model_dump())


def published(facts: ModuleFacts, timings: Mapping[str, float]) -> dict[str, object]:
    """The facts as the module's wire model holds them."""
    fields = ("concern", "ratio", "sparsity", "size", "own", "base_own", "report", "similarity", "binary")
    values = {name: getattr(facts, name) for name in fields}
    document = {name: value.model_dump(mode="json") for name, value in values.items() if value is not None}
    return document | {
        "method": facts.spec.method.name,
        "structure": facts.spec.structure,
        "timings": {phase: round(seconds, 3) for phase, seconds in timings.items()},
    }
