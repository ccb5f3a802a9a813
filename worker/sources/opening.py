"""A spec's references, opened: the model, the encoded splits, the concerns and the layers they come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from app.domain.layers import select_layers
from app.services.planning import roles_of
from app.sources.labels import find_concerns
from microlith.contract import Concern, JobSpec, Resolved
from worker.families.layers import linear_layers
from worker.inputs import Examples, encode
from worker.sources.datasets import Labels, LoadedDataset, load_dataset
from worker.sources.models import LoadedModel, load_model


@dataclass(frozen=True)
class Sources:
    """Everything a decomposition reads."""

    model: LoadedModel
    data: LoadedDataset
    concerns: list[Concern]
    layers: list[str]
    resolved: Resolved

    def labels(self, role: str) -> Labels:
        """Class ids [rows] of a split."""
        return self.data.split(role)[1]

    def encode(self, role: str, rows: Iterable[int]) -> Examples:
        """A split under its own row numbers, of which only `rows` are read: encoding the rest would cost and serve

        nothing, so they are left empty.
        """
        texts, labels = self.data.split(role)
        wanted = sorted(set(rows))
        encoded = encode([texts[row] for row in wanted], labels[wanted], self.model.tokenizer, self.model.max_length)
        token_ids: list[Sequence[int]] = [()] * len(texts)
        for row, tokens in zip(wanted, encoded.token_ids, strict=True):
            token_ids[row] = tokens
        return replace(encoded, token_ids=token_ids, labels=labels)


def open_sources(spec: JobSpec, *, allow_paths: bool, device: torch.device) -> Sources:
    """Load what the spec names. Raises the same errors as the check before queueing, for what only loading shows."""
    model = load_model(spec.model, allow_paths=allow_paths, device=device)
    data = load_dataset(spec.source, model.labels, roles_of(spec), allow_paths=allow_paths)
    layers = select_layers(list(linear_layers(model.model)), spec.layers, model.family)
    return Sources(
        model=model,
        data=data,
        concerns=find_concerns(spec.concerns, model.labels),
        layers=layers,
        resolved=Resolved(
            model=model.facts, dataset=data.facts, layers=layers, seed=spec.sampling.seed, device=str(device)
        ),
    )
