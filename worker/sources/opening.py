"""A spec's references, opened: the model, the encoded splits, the concerns and the layers they come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from app.domain.layers import select_layers
from app.services.planning import roles_of
from app.sources.demo import Licence
from app.sources.labels import find_concerns
from microlith.contract import Concern, JobSpec, Resolved
from worker.families.layers import linear_layers
from worker.inputs import Examples, encode
from worker.sources.datasets import load_dataset
from worker.sources.models import LoadedModel, load_model


@dataclass(frozen=True)
class Sources:
    """Everything a decomposition reads."""

    model: LoadedModel
    splits: Mapping[str, Examples]
    dataset_licence: Licence | None
    concerns: list[Concern]
    layers: list[str]
    resolved: Resolved


def open_sources(spec: JobSpec, *, allow_paths: bool, device: torch.device) -> Sources:
    """Load what the spec names. Raises the same errors as the check before queueing, for what only loading shows."""
    model = load_model(spec.model, allow_paths=allow_paths, device=device)
    data = load_dataset(spec.source, model.labels, roles_of(spec), allow_paths=allow_paths)
    layers = select_layers(list(linear_layers(model.model)), spec.layers, model.family)
    return Sources(
        model=model,
        splits={role: encode(*data.split(role), model.tokenizer, model.max_length) for role in roles_of(spec)},
        dataset_licence=data.licence,
        concerns=find_concerns(spec.concerns, model.labels),
        layers=layers,
        resolved=Resolved(
            model=model.facts, dataset=data.facts, layers=layers, seed=spec.sampling.seed, device=str(device)
        ),
    )
