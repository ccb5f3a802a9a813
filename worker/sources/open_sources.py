"""A spec's references, opened: the model, the encoded splits, the concerns and the layers they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import cast

import torch

from app.domain.distilling import check_texts, few_texts
from app.domain.layers import layers_touched, select_layers
from app.domain.multi_label import check_multi_label
from app.services.planning import boundary_file, concerns_of, roles_of
from app.settings import Settings
from app.sources.allowed_paths import Allowed
from app.sources.cache import Cache
from app.sources.data_warnings import cut_texts, one_split_twice
from app.sources.images import PREPROCESSOR
from app.sources.references import NOTHING, Shelf
from microlith.contract import Concern, Evaluation, JobSpec, ModelInfo, Resolved
from worker.compute import device
from worker.compute.arrays import Truth
from worker.compute.examples import (
    Examples,
    GivenText,
    PixelExamples,
    TokenExamples,
    Tokens,
    are_pairs,
    encode,
    tokenise,
)
from worker.evaluation.meaning import SINGLE_LABEL, Meaning, MultiLabel
from worker.evaluation.runner import evenly
from worker.families.layers import linear_layers
from worker.sources.datasets import LoadedDataset, load_dataset
from worker.sources.images import Images, prepare, usual_processor, white_level
from worker.sources.models import LoadedModel, load_model
from worker.sources.pairs import check_pairs
from worker.sources.token_cache import kept_tokens


@dataclass(frozen=True)
class Sources:
    """Everything a decomposition reads."""

    model: LoadedModel
    data: LoadedDataset
    concerns: list[Concern]
    layers: list[str]
    known: Resolved
    evaluation: Evaluation
    boundary: Path | None
    cache: Cache | None = None
    _tokenised: dict[str, Tokens] = field(default_factory=dict, init=False)  # whole splits, by role

    @cached_property
    def resolved(self) -> Resolved:
        """What the references stood for, with what there is to mind of the data. The texts that are measured are read
        for it.
        """
        data = self.known.dataset
        if self.model.info.task == "image" or data is None:
            return self.known
        roles = dict.fromkeys([self.evaluation.split, self.evaluation.validation_split])
        warnings = [*data.warnings, *(warning for role in roles for warning in self._cut(role))]
        return self.known.model_copy(update={"dataset": data.model_copy(update={"warnings": warnings})})

    @property
    def meaning(self) -> Meaning:
        """What the model's logits mean, before anything is chosen by data."""
        return MultiLabel() if self.model.info.multi_label else SINGLE_LABEL

    def labels(self, role: str) -> Truth:
        """Class ids [rows] of a split, or the labels that each row has [rows, labels]."""
        return self.data.split(role)[1]

    def encode(self, role: str, rows: Iterable[int]) -> Examples:
        """A split under its own row numbers, of which only `rows` need be there; others may be left empty, or zero."""
        inputs, labels = self.data.split(role)
        chosen = sorted(set(rows))
        if self.model.info.task == "image":
            return self._pixels(cast(Images, inputs), labels, chosen)
        return self._texts(role, labels, chosen)

    def thinned(self, role: str, limit: int | None) -> Examples:
        """At most `limit` examples of a split (None: all), spread evenly over it."""
        rows = evenly(len(self.labels(role)), limit)
        return self.encode(role, rows.tolist()).take(rows)

    def _texts(self, role: str, labels: Truth, chosen: list[int]) -> TokenExamples:
        tokens = self._tokenised.get(role) or self._tokens(role, chosen)
        if len(tokens.ids) < len(labels):
            segments = tokens.segments and _placed(tokens.segments, chosen, len(labels))
            tokens = Tokens(_placed(tokens.ids, chosen, len(labels)), segments)
        return replace(encode_for(self.model, [], labels), token_ids=tokens.ids, segments=tokens.segments)

    def _tokens(self, role: str, chosen: Sequence[int]) -> Tokens:
        """Those of the chosen rows. A split that is read whole is tokenised once, and kept for other jobs."""
        texts, model = cast(list[GivenText], self.data.split(role)[0]), self.model
        if len(chosen) < len(texts):
            some = [texts[row] for row in chosen]
            return tokenise(some, model.tokenizer, model.max_length, segments=model.segments)
        if role not in self._tokenised:
            how = (texts, model.tokenizer, model.max_length)
            cached = self.cache and kept_tokens(self.cache, *how, segments=model.segments)
            self._tokenised[role] = cached or tokenise(*how, segments=model.segments)
        return self._tokenised[role]

    def _cut(self, role: str) -> list[str]:
        """What there is to say of the texts of a split that are measured and longer than the model reads."""
        texts = self.data.split(role)[0]
        rows = evenly(len(texts), self.evaluation.limit)
        cut = rows[self._tokens(role, rows.tolist()).cut]
        return cut_texts(role, cut.tolist(), self.model.max_length, pairs=are_pairs(cast(list[GivenText], texts)))

    def _pixels(self, images: Images, labels: Truth, chosen: list[int]) -> PixelExamples:
        pixels = prepare(images, chosen, self.model.processor, self.model.info.image_shape or [])
        return PixelExamples(pixels, labels, patch_of(self.model))


def open_sources(
    spec: JobSpec,
    *,
    allow_paths: Allowed,
    shelf: Shelf = NOTHING,
    device: torch.device,
    cache: Cache | None = None,
    meanwhile: Callable[[], None] = lambda: None,
    opened: Callable[[ModelInfo], None] = lambda _: None,
) -> Sources:
    """Load what the spec names. Raises the same errors as the check before queueing, for what only loading shows.

    What `meanwhile` raises ends the reading of data. `opened` hears what the model is before the spec is held to it.
    """
    model = load_model(spec.model, allow_paths=allow_paths, shelf=shelf, device=device, cache=cache)
    opened(model.described)
    if model.info.multi_label:
        check_multi_label(spec)
    if spec.source.text_pair_column:
        check_pairs(model.model, model.tokenizer, model.max_length)
    data = load_dataset(
        spec.source, model.info, roles_of(spec), allow_paths=allow_paths, shelf=shelf, meanwhile=meanwhile
    )
    check_texts(spec, data.facts.rows)
    warnings = [*data.facts.warnings, *one_split_twice(spec), *few_texts(spec, data.facts.rows)]
    told = data.facts.model_copy(update={"warnings": warnings})
    model, names = scaled_to(data, model), list(linear_layers(model.model))
    touched = layers_touched(names, spec.layers, model.anatomy.whereabouts, spec.structure)
    layers = select_layers(names, spec.layers, model.family)
    return Sources(
        model=model,
        data=data,
        concerns=concerns_of(spec, model.labels),
        layers=layers,
        known=Resolved(model=model.facts, dataset=told, layers=touched, seed=spec.sampling.seed, device=str(device)),
        evaluation=spec.evaluation,
        boundary=boundary_file(spec, allow_paths=allow_paths, shelf=shelf),
        cache=cache,
    )


def open_for(
    settings: Settings,
    spec: JobSpec,
    shelf: Shelf,
    meanwhile: Callable[[], None] = lambda: None,
    opened: Callable[[ModelInfo], None] = lambda _: None,
) -> Sources:
    """The same as a worker with these settings does it: on its device, with its cache."""
    cache, on = Cache(settings.cache_dir, settings.cache_bytes), device.choose(settings.device)
    return open_sources(
        spec, allow_paths=settings.paths, shelf=shelf, device=on, cache=cache, meanwhile=meanwhile, opened=opened
    )


def encode_for(model: LoadedModel, texts: Sequence[GivenText], labels: Truth) -> TokenExamples:
    """Texts or pairs as this model reads them, pads included."""
    encoded = encode(texts, labels, model.tokenizer, model.max_length, segments=model.segments)
    encoded = replace(encoded, padded=model.padded)
    pad_id = getattr(model.model.config, "pad_token_id", None)  # a decoder finds its last token by it
    return encoded if pad_id is None else replace(encoded, pad_id=pad_id)


def scaled_to(data: LoadedDataset, model: LoadedModel) -> LoadedModel:
    """An image model that brings no preprocessor, with the one that fits all the splits of the job."""
    if model.info.image_shape is None or (model.folder / PREPROCESSOR).is_file():
        return model
    white = white_level([cast(Images, inputs) for inputs, _ in data.rows.values()])
    return replace(model, processor=usual_processor(model.info.image_shape, white))


def _placed(some: list[list[int]], rows: Sequence[int], count: int) -> list[list[int]]:
    """Each in its row of `count`; the others are empty."""
    placed: list[list[int]] = [[]] * count
    for row, made in zip(rows, some, strict=True):
        placed[row] = made
    return placed


def patch_of(model: LoadedModel) -> int:
    """Pixels along the side of one position of the model; all of the image where it has no patches."""
    height = (model.info.image_shape or [0])[1]
    size = getattr(model.model.config, "patch_size", height)
    return int(size if isinstance(size, int) else size[0])
