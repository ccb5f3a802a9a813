"""From a module in memory to verified archives: what is said about it, its layouts, a clean re-opening of each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import nn

from app.domain.errors import UnsupportedModel
from app.domain.layouts import MASK
from microlith.contract import BaseResult, Concern, JobSpec, OwnScore, Ratio, Report, Size, TrimmedVocabulary
from microlith.file_names import MOST_BYTES, safe_name
from microlith.masks import Base
from worker.compute import device
from worker.compute.batches import Checkpoint, device_of, on_cpu
from worker.compute.examples import Examples
from worker.evaluation.binary import BinaryHead, with_binary_head
from worker.evaluation.latency import Stopwatch
from worker.evaluation.runner import predict
from worker.evaluation.sparsity import BaseSize, base_size, size, sparsity
from worker.families.anatomy import Anatomy
from worker.kinds.draw_samples import Drawn
from worker.kinds.measure import Measures
from worker.kinds.trim_vocabulary import Trimming
from worker.packaging.layouts import Handout, Package, Packer
from worker.packaging.module_facts import ModuleFacts, SampleRows
from worker.packaging.verify import Opening, Verifier
from worker.pruning.masks import Mask
from worker.sources.open_sources import Sources


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
    trimming: Trimming | None = field(init=False)
    trimmed_packer: Packer | None = field(init=False)

    def __post_init__(self) -> None:
        loaded = self.sources.model
        timed = self.spec.evaluation.latency
        stopwatch = Stopwatch(self.examples, device.title(device_of(loaded.model))) if timed else None
        base, int8 = Base.of(loaded.model), self.spec.export.onnx.int8
        self.packer = Packer(loaded, base, self.examples, self.scratch, stopwatch, int8)
        self.trimming = Trimming.of(self.spec, self.sources, self.scratch)
        self.trimmed_packer = packer_of(self.trimming, self.packer) if self.trimming else None

    def effect(self, module: nn.Module, concern: Concern, checkpoint: Checkpoint) -> TrimmedVocabulary | None:
        """What a trimmed vocabulary costs the module; None where it is not asked for."""
        return self.trimming.effect(module, concern, checkpoint) if self.trimming else None

    def describe(
        self,
        module: nn.Module,
        mask: Mask,
        concern: Concern,
        ratio: float,
        measures: Measures,
        vocabulary: TrimmedVocabulary | None = None,
    ) -> ModuleFacts:
        """Everything there is to say about a module: what was asked, what it was made of, how it measures."""
        drawn, whole = self.drawn.samples[concern.id], base_size(self.sources.model.model)
        return ModuleFacts(
            concern=concern,
            spec=self.spec,
            resolved=self.sources.resolved,
            ratio=Ratio(requested=ratio, achieved=mask.achieved),
            sparsity=sparsity(module, whole),
            size=size_of(module, whole, self.trimming),
            own=own_score(measures.report, concern),
            base_own=own_score(self.base.report, concern),
            report=measures.report,
            base_report=self.base.report,
            similarity=measures.similarity,
            binary=measures.binary,
            numerics=measures.numerics,
            samples=SampleRows(list(drawn.positive), list(drawn.negative), self.drawn.boundary),
            mask_sha256=mask.digest(),
            vocabulary=vocabulary,
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
        if self.trimming is None or self.trimmed_packer is None:
            return [self.packer.pack(handout, layout, name_of(facts, layout)) for layout in layouts]
        packages = pack_trimmed(self.trimmed_packer, self.trimming, handout, self.spec.export.layouts)
        whole = replace(facts, size=size(module, base_size(self.sources.model.model)))
        kept = self.trimming.left.kept
        masked = self.packer.pack(replace(handout, facts=whole, vocabulary=kept), MASK, name_of(facts, MASK))
        return [*packages, masked]

    def verify(self, verifier: Verifier, packages: Sequence[Package], module: nn.Module) -> None:
        """Raises VerificationFailed unless each archive that was asked for, opened in a clean process, answers as the
        module does. A mask says itself, by digest, whether what is made of it is the module."""
        asked = [package for package in packages if package.archive.layout in self.spec.export.layouts]
        if self.trimming is None:
            verify(verifier, asked, module, self.probe, Opening(base=self.sources.model.folder))
        else:
            verify_trimmed(verifier, asked, module, self.trimming)


def packer_of(trimming: Trimming, packer: Packer) -> Packer:
    """What packs modules with what is left of the vocabulary: the packer of the job, that reads as they do."""
    examples, watch = trimming.examples, packer.stopwatch
    stopwatch = watch and Stopwatch(examples, watch.device)
    return Packer(trimming.sources.model, packer.base, examples, packer.scratch, stopwatch, packer.int8)


def pack_trimmed(
    packer: Packer, trimming: Trimming, handout: Handout[ModuleFacts], layouts: Sequence[str]
) -> list[Package]:
    """The module in these layouts, with what is left of the vocabulary."""
    trimmed = replace(handout, model=trimming.left.narrowed(handout.model))
    return [packer.pack(trimmed, layout, name_of(handout.facts, layout)) for layout in layouts]


def verify(
    verifier: Verifier, packages: Sequence[Package], module: nn.Module, probe: Examples, opening: Opening
) -> None:
    """Raises VerificationFailed unless each archive, opened in a clean process, answers `probe` as the module does."""
    rows = np.arange(len(probe))
    inputs = probe.collate(rows, int(probe.lengths(rows).max()))
    expected = predict(on_cpu(module), probe)
    for archive in (package.archive for package in packages):
        verifier.check(archive.path, inputs, expected, replace(opening, layout=archive.layout))


def verify_trimmed(verifier: Verifier, packages: Sequence[Package], module: nn.Module, trimming: Trimming) -> None:
    """The same with what is left of the vocabulary: each archive's own tokenizer must read the texts alike too."""
    opening = Opening(texts=trimming.texts, max_length=trimming.sources.model.max_length)
    verify(verifier, packages, trimming.left.narrowed(module), trimming.probe, opening)


def size_of(module: nn.Module, whole: BaseSize, trimming: Trimming | None) -> Size:
    """The size of what is handed out."""
    return size(trimming.left.narrowed(module) if trimming else module, whole)


def name_of(facts: ModuleFacts, layout: str) -> str:
    """What a module's file is called in this layout."""
    model, label = re.split(r"[:/@]", facts.spec.model.rstrip("/"))[-1], facts.concern.label
    called = safe_name(label)
    if not called or len(label.encode()) > MOST_BYTES:  # then it is not the only label that is called so
        called = f"{called}-{facts.concern.id}"
    name = re.sub("-{2,}", "-", f"{safe_name(model)}-{called}-{facts.ratio.requested:g}").strip("-.")
    return name if layout == "portable" else f"{name}-{layout}"


def own_score(report: Report, concern: Concern) -> OwnScore:
    """The report's row of the concern itself."""
    return OwnScore.model_validate(report.classes[concern.id].model_dump())


def published(facts: ModuleFacts, packages: Sequence[Package], timings: Mapping[str, float]) -> dict[str, object]:
    """The facts as the module's wire model holds them, with what its layouts measured."""
    latencies = [latency.model_dump(mode="json") for package in packages for latency in package.latencies]
    whole = ("concern", "ratio", "sparsity", "size", "own", "base_own", "report")
    fields = (*whole, "similarity", "binary", "numerics", "vocabulary")
    values = {name: getattr(facts, name) for name in fields}
    document = {name: value.model_dump(mode="json") for name, value in values.items() if value is not None}
    return document | {
        "method": facts.spec.method.name,
        "structure": facts.spec.structure,
        "latency": next((latency for latency in latencies if latency["batch"] == 1), None),
        "latencies": latencies,
        "timings": {phase: round(seconds, 3) for phase, seconds in timings.items()},
    }
