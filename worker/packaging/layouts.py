"""The layouts of a module: what each folder holds, how its card says it opens, and how fast what it holds is."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from torch import nn

from app.domain.layouts import MASK
from app.sources.demo import Licence
from app.sources.licences import pointed
from microlith.contract import Latency
from microlith.contract.options import NumberType
from microlith.masks import Base
from microlith.masks.file import BITS, DOCUMENT
from worker.compute.arrays import Truth
from worker.compute.batches import Batch, on_cpu, run_batches
from worker.compute.examples import Examples
from worker.evaluation.cost import encoder_products
from worker.evaluation.latency import Stopwatch, Timed
from worker.evaluation.meaning import Meaning, agreement
from worker.families.anatomy import Anatomy
from worker.packaging import card_usage
from worker.packaging.archive import Archive, archive
from worker.packaging.card import model_card
from worker.packaging.compact_layout import MODELLING, code_digest, save_compact
from worker.packaging.decomposition import decomposition, essentials
from worker.packaging.folder import HISTORY, complete, prepare_inputs, write_json
from worker.packaging.mask_layout import VOCABULARY, mask_file, save_mask
from worker.packaging.module_facts import Made, ModuleFacts
from worker.packaging.onnx_graph import GRAPH, QUANTISED, Graphs, GraphSession, quantise, save_graph
from worker.packaging.picture import PICTURE, picture
from worker.packaging.rounding import stored_as
from worker.pruning.masks import Mask
from worker.pruning.narrowing import Narrow, narrow
from worker.sources.models import LoadedModel

AGREEMENT_ROWS = 256
"""Examples that the INT8 graph's agreement with float32 is measured on."""


PackedFacts = TypeVar("PackedFacts", bound=Made)


@dataclass
class Handout(Generic[PackedFacts]):
    """A module as it is handed out, and what made it: all that a layout is written from.

    `vocabulary` are the tokens that its other layouts read with, where a mask is to say so.
    """

    model: nn.Module
    mask: Mask
    anatomy: Anatomy
    facts: PackedFacts
    vocabulary: Sequence[int] | None = None

    @cached_property
    def narrow(self) -> Narrow:
        """The module without the zeros of what was removed, on the CPU."""
        return narrow(on_cpu(self.model), self.mask, self.anatomy)


@dataclass(frozen=True)
class Package:
    """One layout of a module as it is published, and how long it takes to answer."""

    archive: Archive
    latencies: list[Latency]


@dataclass(frozen=True)
class FolderText:
    """What is said in a folder of what it holds: for people, and for programs in the file of this name.

    `files` are other texts that belong to the card, by name.
    """

    card: str
    history: dict[str, Any]
    licences: Sequence[Licence | None]
    name: str = HISTORY
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Packer:
    """Packs the modules of one job. `base` is the unpruned model, whose tensors must be those it has unmasked.

    `stopwatch` is None where latency is not to be measured. `int8` is whether the ONNX layout has a graph in INT8 too.
    `number_type` is that of weights in a folder, to which the modules are rounded.
    """

    loaded: LoadedModel
    base: Base
    examples: Examples
    scratch: Path
    stopwatch: Stopwatch | None = None
    int8: bool = False
    number_type: NumberType = "float32"
    graphs: Graphs = field(init=False)

    def __post_init__(self) -> None:
        self.graphs = Graphs(self.examples)

    def pack(self, handout: Handout[ModuleFacts], layout: str, name: str) -> Package:
        """One layout of a module as a zip called NAME.zip; the folder it is made from is gone again."""
        facts = handout.facts

        def describe(usage: str) -> FolderText:
            card, licences = model_card(facts, usage, layout), [facts.model_licence, facts.dataset_licence]
            if layout == MASK:  # which holds nothing of the data
                return FolderText(card, essentials(facts), licences[:1])
            return FolderText(card, decomposition(facts), licences, files={PICTURE: picture(facts.sparsity)})

        return self.packed(handout, layout, name, describe)

    def packed(self, handout: Handout[Any], layout: str, name: str, describe: Callable[[str], FolderText]) -> Package:
        """The same of whatever a mask makes of the base; `describe` hears how it is opened, and says the rest."""
        folder = self.scratch / name
        folder.mkdir()
        written = _WRITERS[layout](self, handout, folder)
        text = describe(written.usage)
        for file, content in text.files.items():
            (folder / file).write_text(content, encoding="utf-8")
        licences = [licence and pointed(licence) for licence in text.licences] if layout == MASK else text.licences
        complete(folder, text.card, text.history, licences, text.name, spaced=layout != MASK)
        packed = archive(folder, self.scratch / f"{name}.zip", layout=layout, compressed=layout == MASK)
        shutil.rmtree(folder)
        return Package(packed, self._compared(layout, written, handout.anatomy))

    def _compared(self, layout: str, written: _Written, anatomy: Anatomy) -> list[Latency]:
        """How fast it is beside the base, where that is asked for, and how much it computes."""
        if written.timed is None or self.stopwatch is None:
            return []
        computes, of_base = (encoder_products(one, anatomy) for one in (written.model, self.base.model))
        flops = round(computes / of_base, 4) if of_base else 1.0
        return self.stopwatch.compare(layout, Timed.of(self.base.model), written.timed, flops)


@dataclass(frozen=True)
class _Written:
    usage: str
    model: nn.Module
    timed: Timed | None = None


def _portable(packer: Packer, handout: Handout[Any], folder: Path) -> _Written:
    model: Any = handout.model
    stored_as(model, packer.number_type).save_pretrained(folder, safe_serialization=True)
    prepare_inputs(folder, packer.loaded)
    neurons_left = bool(handout.mask.neurons) and not handout.anatomy.widths
    said = card_usage.portable_usage(handout.facts, neurons_left=neurons_left)
    return _Written(_said(said, handout, folder, "*.safetensors"), model, Timed.of(model))


def _compact(packer: Packer, handout: Handout[Any], folder: Path) -> _Written:
    small = handout.narrow
    save_compact(folder, replace(small, model=stored_as(small.model, packer.number_type)))
    prepare_inputs(folder, packer.loaded)
    said = card_usage.compact_usage(handout.facts, MODELLING, code_digest(small.model), small.heads_left)
    return _Written(_said(said, handout, folder, "*.safetensors"), small.model, Timed.of(small.model))


def _mask(packer: Packer, handout: Handout[Any], folder: Path) -> _Written:
    save_mask(folder, mask_file(packer.base, handout.model, handout.mask, handout.anatomy, handout.facts))
    if handout.vocabulary is not None:
        write_json(folder / VOCABULARY, list(handout.vocabulary), spaced=False)
    said = card_usage.mask_usage(handout.facts, packer.base.sha256)
    return _Written(_said(said, handout, folder, DOCUMENT, BITS), handout.model)


def _onnx(packer: Packer, handout: Handout[Any], folder: Path) -> _Written:
    graph = packer.graphs.of(handout.narrow.model)
    save_graph(graph, folder / GRAPH)
    prepare_inputs(folder, packer.loaded)
    session = GraphSession.open(folder / GRAPH)
    alike = None
    if packer.int8:
        quantise(graph, folder / QUANTISED)
        quantised = GraphSession.open(folder / QUANTISED)
        alike = _agreement(session, quantised, packer.examples, handout.facts.meaning)
    shapes = tuple(tuple(tensor.shape) for tensor in handout.narrow.model.state_dict().values())
    timed = Timed(("onnx", shapes), lambda batch: session.logits(batch.arrays()))
    said = _said(card_usage.onnx_usage(handout.facts, alike), handout, folder, f"{GRAPH}*")
    return _Written(said, handout.narrow.model, timed)


_WRITERS: dict[str, Callable[[Packer, Handout[Any], Path], _Written]] = {
    "portable": _portable,
    "compact": _compact,
    MASK: _mask,
    "onnx": _onnx,
}


def _said(how_to_open: str, handout: Handout[Any], folder: Path, *patterns: str) -> str:
    files = [file for pattern in patterns for file in sorted(folder.glob(pattern))]
    return f"{how_to_open}\n\n{card_usage.sizes(handout.facts, *files)}"


def _agreement(full: GraphSession, small: GraphSession, examples: Examples, meaning: Meaning) -> tuple[float, int]:
    """The fraction of the first examples that both answer alike, and how many they are."""
    rows = np.arange(min(AGREEMENT_ROWS, len(examples)))

    def ask(batch: Batch) -> tuple[Truth, Truth]:
        inputs = batch.arrays()
        return meaning.answers(full.logits(inputs)), meaning.answers(small.logits(inputs))

    answers = [both for _, both in run_batches(ask, examples, rows)]
    return agreement(*(np.concatenate(side) for side in zip(*answers, strict=True))), len(rows)
