"""From a module in memory to verified archives: what is said about it, its layouts, a clean re-opening of each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import nn

from app.domain.errors import UnsupportedModel
from microlith.contract import BaseResult, Concern, JobSpec, OwnScore, Ratio, Report
from microlith.masks import Base
from worker import device
from worker.bench import Measures
from worker.drawing import Drawn
from worker.evaluation.binary import BinaryHead, with_binary_head
from worker.evaluation.latency import Stopwatch
from worker.evaluation.runner import predict
from worker.evaluation.sparsity import base_size, size, sparsity
from worker.families.anatomy import Anatomy
from worker.inputs import Examples, device_of, on_cpu
from worker.packaging.facts import ModuleFacts, SampleRows
from worker.packaging.layouts import Handout, Package, Packer
from worker.packaging.verify import Opening, Verifier
from worker.pruning.masks import Mask
from worker.publishing import MASK
from worker.sources.opening import Sources


@dataclass
class Exporter:
    """What every module of a job is packed with; `probe` are the examples a clean process must answer alike.

    `examples` are those that latency and the agreement of graphs are measured on. To be made while the base is whole.
    """

    spec: JobSpec
    sources: Sources
    base: BaseResult
    anatomy: Anatomy
    drawn: Drawn
    probe: Examples
    examples: Examples
    scratch: Path
    packer: Packer = field(init=False)

    def __post_init__(self) -> None:
        loaded = self.sources.model
        timed = self.spec.evaluation.latency
        stopwatch = Stopwatch(self.examples, device.title(device_of(loaded.model))) if timed else None
        base, int8 = Base.of(loaded.model), self.spec.export.onnx.int8
        self.packer = Packer(loaded, base, self.examples, self.scratch, stopwatch, int8)

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

    def pack(self, module: nn.Module, mask: Mask, facts: ModuleFacts) -> list[Package]:
        """The module in every layout that the spec asks for, in its order, and as a mask in any case."""
        handout = Handout(module, mask, self.anatomy, facts)
        layouts = dict.fromkeys([*self.spec.export.layouts, MASK])
        return [self.packer.pack(handout, layout, name_of(facts, layout)) for layout in layouts]

    def verify(self, verifier: Verifier, packages: Sequence[Package], module: nn.Module) -> None:
        """Raises VerificationFailed unless each archive that was asked for, opened in a clean process, answers as the
        module does. A mask says itself, by digest, whether what is made of it is the module."""
        asked = [package for package in packages if package.archive.layout in self.spec.export.layouts]
        verify(verifier, asked, module, self.probe, self.sources.model.folder)


def verify(verifier: Verifier, packages: Sequence[Package], module: nn.Module, probe: Examples, base: Path) -> None:
    """Raises VerificationFailed unless each archive, opened in a clean process, answers `probe` as the module does."""
    rows = np.arange(len(probe))
    inputs = probe.collate(rows, int(probe.lengths(rows).max()))
    expected = predict(on_cpu(module), probe)
    for archive in (package.archive for package in packages):
        verifier.check(archive.path, inputs, expected, Opening(archive.layout, base))


def name_of(facts: ModuleFacts, layout: str) -> str:
    """What a module's file is called in this layout."""
    model = re.split(r"[:/@]", facts.spec.model.rstrip("/"))[-1]
    words = f"{model}-{facts.concern.label}-{facts.ratio.requested:g}"
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", words).strip("-.") or "module"
    return name if layout == "portable" else f"{name}-{layout}"


def own_score(report: Report, concern: Concern) -> OwnScore:
    """The report's row of the concern itself."""
    return OwnScore.model_validate(report.classes[concern.id].model_dump())


def published(facts: ModuleFacts, packages: Sequence[Package], timings: Mapping[str, float]) -> dict[str, object]:
    """The facts as the module's wire model holds them, with what its layouts measured."""
    latencies = [latency.model_dump(mode="json") for package in packages for latency in package.latencies]
    fields = ("concern", "ratio", "sparsity", "size", "own", "base_own", "report", "similarity", "binary")
    values = {name: getattr(facts, name) for name in fields}
    document = {name: value.model_dump(mode="json") for name, value in values.items() if value is not None}
    return document | {
        "method": facts.spec.method.name,
        "structure": facts.spec.structure,
        "latency": next((latency for latency in latencies if latency["batch"] == 1), None),
        "latencies": latencies,
        "timings": {phase: round(seconds, 3) for phase, seconds in timings.items()},
    }
