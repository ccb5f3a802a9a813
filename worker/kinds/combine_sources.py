"""What a combination is made from, opened: each base once, the data that calibrates and measures, and the modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.domain.layouts import number_type_of
from app.settings import Settings
from app.sources.cache import Cache
from app.sources.demo import Licence
from app.sources.references import Shelf
from microlith.contract import CombineSpec, Concern, JobSpec
from microlith.contract.combine import UnionRecovery
from microlith.masks import Base, MaskFile
from worker.combining.combined_classifier import Data
from worker.combining.parts import LabelledRows, ModulePart, Origin
from worker.compute import device
from worker.kinds.stored_module import StoredModule, apply_to_base
from worker.packaging.mask_layout import mask_of, tokens_of
from worker.packaging.rounding import rounded
from worker.packaging.vocabulary import Vocabulary
from worker.sources.datasets import LoadedDataset, load_dataset
from worker.sources.models import LoadedModel, load_model
from worker.sources.open_sources import scaled_to
from worker.sources.pairs import check_pairs


@dataclass(frozen=True)
class OpenedBase:
    """A model that modules were made of, whole; `spec` is that of one job that made them."""

    spec: JobSpec
    loaded: LoadedModel
    origin: Origin
    base: Base


@dataclass(frozen=True)
class Opened:
    """The bases by reference, and the splits that calibrate and measure, with the data's licence."""

    bases: dict[str, OpenedBase]
    data: Data
    licence: Licence | None
    readers: dict[tuple[str, tuple[int, ...]], tuple[Vocabulary, Origin]] = field(default_factory=dict)
    """Bases with a trimmed vocabulary, by reference and tokens: modules that read alike share one."""

    def part(self, made: StoredModule, mask: MaskFile, scratch: Path) -> ModulePart:
        """The module, made of its base and its mask. Raises SourceUnavailable for a base that is another one now."""
        of = self.bases[made.spec.model]
        made.check_base(of.loaded.facts)
        vocabulary, origin = self._reader(of, tokens_of(mask), scratch)
        stored = number_type_of(made.spec.export, of.loaded.number_type)
        return ModulePart(
            origin=origin,
            concern=Concern.model_validate(made.module.facts["concern"]),
            mask=mask_of(mask),
            module=rounded(vocabulary.narrow(apply_to_base(of.base, mask)), stored),
            answer=1 if made.module.facts.get("binary") is not None else None,
            id=made.module.id,
            whole=of.origin,
        )

    def _reader(self, of: OpenedBase, kept: Sequence[int] | None, scratch: Path) -> tuple[Vocabulary, Origin]:
        """What is left of a base's vocabulary, and the base that reads so; the base itself where all is left."""
        if kept is None:
            return Vocabulary(of.loaded), of.origin
        key = (of.origin.ref, tuple(kept))
        if key not in self.readers:
            folder = scratch / f"reader-{len(self.readers)}"
            folder.mkdir()
            vocabulary = Vocabulary.of(of.loaded, kept, folder)
            self.readers[key] = vocabulary, Origin.of(vocabulary.loaded, pairs=of.origin.pairs)
        return self.readers[key]


def open_all(
    order: CombineSpec, spec: JobSpec, modules: Sequence[StoredModule], shelf: Shelf, settings: Settings
) -> Opened:
    """The models of these modules and the data that `spec` names; labels may be those of any of the models."""
    on = device.choose(settings.device)
    specs = {made.spec.model: made.spec for made in modules}
    cache, paths = Cache(settings.cache_dir, settings.cache_bytes), settings.paths
    models = {ref: load_model(ref, allow_paths=paths, shelf=shelf, device=on, cache=cache) for ref in specs}
    if _read_pairs(spec):
        for loaded in models.values():
            check_pairs(loaded.model, loaded.tokenizer, loaded.max_length)
    labels = list(dict.fromkeys(label for loaded in models.values() for label in loaded.labels))
    info = next(iter(models.values())).info.model_copy(update={"labels": labels})
    roles = [order.evaluation.validation_split, order.evaluation.split]
    data = load_dataset(spec.source, info, set(roles), allow_paths=paths, shelf=shelf)
    validation, test = (_label_rows(data.split(role), labels) for role in roles)
    bases = {ref: _open_base(specs[ref], order, loaded, data) for ref, loaded in models.items()}
    return Opened(bases, Data(validation, test), data.licence)


def recovery_of(order: CombineSpec, modules: Sequence[StoredModule]) -> UnionRecovery:
    """What mends a class set: what is asked for, or else what mended its modules if that was the same for all."""
    if order.recovery is not None:
        return order.recovery
    own = {made.spec.recovery for made in modules}
    if own == {"bias"}:
        return "bias"
    return "refit" if own == {"refit"} else "none"


def _open_base(spec: JobSpec, order: CombineSpec, loaded: LoadedModel, data: LoadedDataset) -> OpenedBase:
    measured = spec.evaluation.model_copy(update={"validation_split": order.evaluation.validation_split})
    scaled = scaled_to(data, loaded)
    origin = Origin.of(scaled, pairs=_read_pairs(spec))
    return OpenedBase(spec.model_copy(update={"evaluation": measured}), scaled, origin, Base.of(scaled.model))


def _read_pairs(spec: JobSpec) -> bool:
    return spec.source.text_pair_column is not None


def _label_rows(split: tuple[Any, Any], labels: Sequence[str]) -> LabelledRows:
    inputs, ids = split
    return LabelledRows(inputs, [labels[number] for number in ids])
