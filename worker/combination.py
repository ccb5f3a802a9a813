"""The story of a combining job: modules are made again of their bases, become one classifier, and that is delivered."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.settings import Settings
from app.sources.references import Shelf
from microlith.contract import Combination, CombineSpec, Concern, JobSpec
from microlith.masks import Base
from worker import device
from worker.combining.card import class_set_card
from worker.combining.class_set import ClassSet
from worker.combining.delivery import deliver
from worker.combining.delivery import verify as verify_delivery
from worker.combining.parts import Origin, Part, Rows
from worker.combining.story import Combined, Data, rows_to_run
from worker.combining.story import combine as put_together
from worker.evaluation.runner import predict
from worker.inputs import on_cpu
from worker.journal import Journal
from worker.packaging.archive import Archive, archive
from worker.packaging.folder import prepare_inputs, write_sums
from worker.packaging.masking import mask_of
from worker.packaging.verify import Opening, Verifier
from worker.remaking import Stored, applied, stored
from worker.scratch import scratch
from worker.sources.datasets import load_dataset
from worker.sources.models import LoadedModel, load_model

PROBES = 8
"""Texts that a clean process must answer alike."""


def combine(spec: JobSpec, journal: Journal, settings: Settings) -> None:
    """Make the classifier that the job orders. Raises MicrolithError for what a caller can mend."""
    order = CombineSpec.model_validate(journal.lease.order)
    with scratch() as folder, Verifier(folder) as verifier, ExitStack() as held:
        with journal.phase("resolving"):
            modules = stored(journal, order.modules)
            shelves = [held.enter_context(journal.shelf(one)) for one in (spec, *(made.spec for made in modules))]
            opening = _Opening(journal, settings, {ref: at for shelf in shelves for ref, at in shelf.items()}, folder)
            parts = [opening.part(made) for made in modules]
            data = opening.data(order, spec)
            journal.expect(rows_to_run(order, parts, data))

        with journal.phase("evaluating"):
            combined = put_together(order, parts, data, checkpoint=journal.follow())

        texts = data.validation.inputs[:PROBES]
        with journal.phase("exporting"):
            archived = _packed(combined, opening.loaded, folder)
        with journal.phase("verifying"):
            _verify(verifier, combined, archived, texts, folder)
        journal.publish_combination(combined.combination, archived)


@dataclass
class _Opening:
    """Opens what modules are made of, each model once."""

    journal: Journal
    settings: Settings
    shelf: Shelf
    folder: Path

    def __post_init__(self) -> None:
        self.loaded: dict[str, LoadedModel] = {}
        self.origins: dict[str, Origin] = {}
        self.bases: dict[str, Base] = {}

    def part(self, made: Stored) -> Part:
        """The module, made of its base and its mask."""
        origin = self._origin(made.spec.model)
        mask = made.fetched(self.journal, self.folder)
        concern = Concern.model_validate(made.module.facts["concern"])
        binary = made.module.facts.get("binary") is not None
        return Part(
            origin=origin,
            concern=concern,
            mask=mask_of(mask),
            module=applied(self.bases[made.spec.model], mask),
            answer=1 if binary else None,
            id=made.module.id,
        )

    def data(self, order: CombineSpec, spec: JobSpec) -> Data:
        """Inputs and label names of both splits; labels may be those of any of the models."""
        first = next(iter(self.loaded.values()))
        labels = list(dict.fromkeys(label for loaded in self.loaded.values() for label in loaded.labels))
        info = first.info.model_copy(update={"labels": labels})
        roles = [order.evaluation.validation_split, order.evaluation.split]
        found = load_dataset(spec.source, info, set(roles), allow_paths=self.settings.allow_paths, shelf=self.shelf)
        validation, test = (_rows(found.split(role), labels) for role in roles)
        return Data(validation, test)

    def _origin(self, ref: str) -> Origin:
        if ref not in self.origins:
            place = device.choose(self.settings.device)
            loaded = load_model(ref, allow_paths=self.settings.allow_paths, shelf=self.shelf, device=place)
            self.loaded[ref], self.origins[ref] = loaded, Origin.of(loaded)
            self.bases[ref] = Base.of(loaded.model)
        return self.origins[ref]


def _rows(split: tuple[Any, Any], labels: Sequence[str]) -> Rows:
    inputs, ids = split
    return Rows(inputs, [labels[number] for number in ids])


def _packed(combined: Combined, loaded: dict[str, LoadedModel], folder: Path) -> Archive:
    """A class set as an ordinary model's folder, a recomposed classifier as one graph with what runs it."""
    target = folder / "combined"
    target.mkdir()
    if combined.class_set is None:
        return archive(deliver(combined, target), folder / "combined.zip", layout="onnx")
    _write_class_set(combined.class_set, combined.combination, loaded[combined.class_set.origin.ref], target)
    return archive(target, folder / "class-set.zip")


def _write_class_set(made: ClassSet, told: Combination, loaded: LoadedModel, folder: Path) -> None:
    model: Any = on_cpu(made.model)
    model.save_pretrained(folder, safe_serialization=True)
    prepare_inputs(folder, loaded)
    (folder / "README.md").write_text(class_set_card(told), encoding="utf-8")
    (folder / "combination.json").write_text(told.model_dump_json(indent=2) + "\n", encoding="utf-8")
    write_sums(folder)


def _verify(verifier: Verifier, combined: Combined, archived: Archive, texts: Sequence[str], folder: Path) -> None:
    """Raises VerificationFailed unless a clean process answers as the classifier in memory does."""
    if combined.recomposition is not None:
        verify_delivery(folder / "combined", combined.recomposition, texts)
        return
    made = combined.class_set
    assert made is not None
    probe = made.origin.encoder(texts)
    rows = np.arange(len(probe))
    inputs = probe.collate(rows, int(probe.lengths(rows).max()))
    verifier.check(archived.path, inputs, predict(on_cpu(made.model), probe), Opening("portable", folder))
