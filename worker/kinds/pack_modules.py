"""From a module in memory to verified archives: what is said of it, its layouts, a clean process that opens each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from app.domain.errors import UnsupportedModel
from app.domain.layouts import MASK
from microlith.contract import Baselines, BaseResult, Concern, Cost, JobSpec, OwnScore, Ratio, Report, TrimmedVocabulary
from microlith.file_names import names_of, safe_name
from microlith.masks import Base
from worker.compute import device
from worker.compute.batches import device_of, on_cpu
from worker.compute.examples import Examples
from worker.evaluation.binary import BinaryHead, with_binary_head
from worker.evaluation.cost import base_cost, cost
from worker.evaluation.latency import Stopwatch
from worker.evaluation.runner import predict
from worker.evaluation.sparsity import base_size, size, sparsity
from worker.families.anatomy import Anatomy
from worker.kinds.draw_samples import Drawn
from worker.kinds.measure import Measures
from worker.kinds.trim_vocabulary import JobVocabulary
from worker.packaging.layouts import Handout, Package, Packer
from worker.packaging.module_facts import ModuleFacts, SampleRows
from worker.packaging.verify import ArchiveOpening, Verifier
from worker.pruning.masks import Mask, name_in_module
from worker.pruning.narrowing import narrow
from worker.sources.open_sources import Sources

NARROW = frozenset({"compact", "onnx"})
"""Layouts whose layers are as small as their own mask, block by block."""


@dataclass
class Exporter:
    """What every module of a job is described, packed and opened again with. To be made while the base is whole."""

    spec: JobSpec
    sources: Sources
    base: BaseResult
    baselines: Baselines | None
    anatomy: Anatomy
    drawn: Drawn
    vocabulary: JobVocabulary
    scratch: Path
    packer: Packer = field(init=False)

    def __post_init__(self) -> None:
        self.packer = make_packer(self.spec, self.vocabulary, self.scratch, int8=self.spec.export.onnx.int8)

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
        samples, whole = self.drawn.samples[concern.id], base_size(self.sources.model.model)
        return ModuleFacts(
            concern=concern,
            spec=self.spec,
            resolved=self.sources.resolved,
            ratio=Ratio(requested=ratio, achieved=mask.achieved),
            sparsity=sparsity(module, whole, partial(name_in_module, mask)),
            size=size(self.vocabulary.hand_out(module), whole),
            cost=self._cost(self.vocabulary.hand_out(module), mask),
            own=own_score(measures.report, concern),
            base_own=own_score(self.base.report, concern),
            report=measures.report,
            base_report=self.base.report,
            macro_change=measures.macro_change,
            baselines=self.baselines,
            similarity=measures.similarity,
            binary=measures.binary,
            delivered=measures.delivered,
            numerics=measures.numerics,
            samples=SampleRows(list(samples.positive), list(samples.negative), self.drawn.boundary),
            mask_sha256=mask.digest(),
            vocabulary=vocabulary,
            model_licence=self.sources.model.licence,
            dataset_licence=self.sources.data.licence,
        )

    def _cost(self, module: nn.Module, mask: Mask) -> Cost:
        """Of the smallest layout that was asked for: two leave out what the others hold as zeros."""
        if NARROW.intersection(self.spec.export.layouts) and (mask.neurons or mask.heads):
            module = narrow(on_cpu(module), mask, self.anatomy).model
        return cost(module, base_cost(self.sources.model.model, self.anatomy), self.anatomy)

    def with_head(self, module: nn.Module, concern: Concern, measures: Measures) -> nn.Module:
        """The module itself, or with a head that answers the concern against the rest."""
        if measures.binary is None:
            return module
        classifier = self.anatomy.classifier
        if classifier is None:
            raise UnsupportedModel(
                "Where this architecture keeps its classifier is not known.",
                hint="Use `head: multiclass`.",
                pointer="/head",
            )
        head = BinaryHead(classifier, concern.id, concern.label, self.sources.model.info.multi_label)
        return with_binary_head(module, head, measures.binary.threshold)

    def pack(self, module: nn.Module, mask: Mask, facts: ModuleFacts) -> list[Package]:
        """The module in every layout that the spec asks for, in its order, and as a mask in any case."""
        layouts = dict.fromkeys([*self.spec.export.layouts, MASK])
        return pack(self.packer, self.vocabulary, Handout(module, mask, self.anatomy, facts), list(layouts))

    def verify(self, verifier: Verifier, packages: Sequence[Package], module: nn.Module) -> None:
        """Raises VerificationFailed unless each archive that was asked for, opened in a clean process, answers as the
        module does. A mask says itself, by digest, whether what is made of it is the module."""
        asked = [package for package in packages if package.archive.layout in self.spec.export.layouts]
        verify(verifier, asked, self.vocabulary.hand_out(module), self.vocabulary.probe, self.vocabulary.opening)


def make_packer(spec: JobSpec, vocabulary: JobVocabulary, scratch: Path, *, int8: bool) -> Packer:
    """What packs modules of a base, which is whole now; latency is measured as they read."""
    base, examples = vocabulary.base.model, vocabulary.examples
    stopwatch = Stopwatch(examples, device.title(device_of(base))) if spec.evaluation.latency else None
    loaded, stored = vocabulary.vocabulary.loaded, vocabulary.number_type
    return Packer(loaded, Base.of(base), examples, scratch, stopwatch, int8, number_type=stored)


def pack(
    packer: Packer, vocabulary: JobVocabulary, handout: Handout[ModuleFacts], layouts: Sequence[str]
) -> list[Package]:
    """The module in these layouts, as it is handed out; a mask lies over the whole base, and names the tokens left."""
    small, facts = replace(handout, model=vocabulary.hand_out(handout.model)), handout.facts
    if small.model is not handout.model:
        whole = replace(facts, size=size(handout.model, base_size(vocabulary.base.model)))
        handout = replace(handout, facts=whole, vocabulary=vocabulary.vocabulary.kept)
    return [packer.pack(handout if layout == MASK else small, layout, name_of(facts, layout)) for layout in layouts]


def verify(
    verifier: Verifier, packages: Sequence[Package], module: nn.Module, probe: Examples, opening: ArchiveOpening
) -> None:
    """Raises VerificationFailed unless each archive, opened in a clean process, answers `probe` as the module does.

    Where answers depend on pads, those of the probe are asked that are as long as the first.
    """
    lengths = probe.lengths(np.arange(len(probe)))
    chosen = np.arange(len(probe)) if probe.padded else np.flatnonzero(lengths == lengths[0])
    asked = probe.take(chosen)
    inputs = asked.collate(np.arange(len(asked)), int(lengths[chosen].max()))
    expected = predict(on_cpu(module), asked)
    texts = [opening.texts[row] for row in chosen.tolist() if row < len(opening.texts)]
    for archive in (package.archive for package in packages):
        verifier.check(archive.path, inputs, expected, replace(opening, layout=archive.layout, texts=texts))


def name_of(facts: ModuleFacts, layout: str) -> str:
    """What a module's file is called in this layout: like no other of its job."""
    model, known = re.split(r"[:/@]", facts.spec.model.rstrip("/"))[-1], facts.resolved.model
    called = names_of(tuple(known.labels))[facts.concern.id] if known else str(facts.concern.id)
    name = f"{safe_name(model)}-{called}-{facts.ratio.requested:g}".lstrip("-")
    return name if layout == "portable" else f"{name}-{layout}"


def own_score(report: Report, concern: Concern) -> OwnScore:
    """The report's row of the concern itself."""
    return OwnScore.model_validate(report.classes[concern.id].model_dump())


def compose_facts(facts: ModuleFacts, packages: Sequence[Package], timings: Mapping[str, float]) -> dict[str, object]:
    """All there is to say of a module as its wire model holds it, with what its layouts measured."""
    latencies = [latency.model_dump(mode="json") for package in packages for latency in package.latencies]
    whole = ("concern", "ratio", "sparsity", "size", "own", "base_own", "report")
    fields = (*whole, "cost", "macro_change", "delivered", "similarity", "binary", "numerics", "vocabulary")
    values = {name: getattr(facts, name) for name in fields}
    document = {name: value.model_dump(mode="json") for name, value in values.items() if value is not None}
    return document | {
        "method": facts.spec.method.name,
        "structure": facts.spec.structure,
        "latency": next((latency for latency in latencies if latency["batch"] == 1), None),
        "latencies": latencies,
        "timings": {phase: round(seconds, 3) for phase, seconds in timings.items()},
    }
