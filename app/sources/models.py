"""Models known without loading them: `config.json` and the header of the weights tell everything a request needs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from app.domain.errors import UnsupportedModel
from app.domain.families import Family, family_of
from app.sources import demo
from app.sources.allowed import Allowed
from app.sources.config import architecture_of, labels_of, max_length, read_config
from app.sources.images import image_shape, task_of
from app.sources.licences import licence_of
from app.sources.linear import linear_shapes
from app.sources.places import model_place
from app.sources.references import NOTHING, Reference, Shelf, parse
from app.sources.weights import read_weights
from microlith.contract import LayerInfo, ModelInfo

POINTER = "/model"
_HEADS = ("classifier", "classifier.out_proj", "score")


def describe_model(ref: str, *, allow_paths: Allowed, shelf: Shelf = NOTHING) -> ModelInfo | None:
    """The model behind a `demo:` or `path:` reference or an upload; None for `hub:`, which only the worker fetches.

    Raises InvalidInput for a bad reference, UnsupportedModel or UnsafeModel for a model that cannot be decomposed.
    """
    known = parse(ref, pointer=POINTER, allow_paths=allow_paths, shelf=shelf)
    if known.kind == "hub":
        return None
    return describe_folder(known, model_place(known, pointer=POINTER))


def describe_folder(ref: Reference, folder: Path) -> ModelInfo:
    """The model in a folder of the Hugging Face layout, under the name of `ref`."""
    config = read_config(folder, pointer=POINTER)
    weights = read_weights(folder, pointer=POINTER)
    labels = labels_of(config, pointer=POINTER)
    family = family_of(config.get("model_type"))
    linear = linear_shapes(weights.shapes, family)
    _check_head(linear, labels)
    licence = licence_of(ref, folder)
    architecture = architecture_of(config)
    task = task_of(architecture)
    return ModelInfo(
        id=str(ref),
        name=ref.title,
        revision=ref.revision,
        sha256=weights.sha256,
        architecture=architecture,
        family=family.name if family else None,
        task=task,
        labels=labels,
        max_length=max_length(folder, config, weights.shapes) if task == "text" else None,
        image_shape=image_shape(folder, config, pointer=POINTER) if task == "image" else None,
        parameters=weights.parameters,
        size_bytes=weights.size_bytes,
        layers=_layers(linear, family),
        structures=structures_of(linear, family),
        licence=licence.name if licence else None,
    )


def known_models() -> list[ModelInfo]:
    """The models anyone may name: the demo's."""
    found = (describe_model(f"demo:{name}", allow_paths=False) for name in sorted(demo.MODELS))
    return [info for info in found if info]


def structures_of(linear_layers: Iterable[str], family: Family | None) -> list[str]:
    """What can be removed from a model with these linear layers; of an unknown family, single weights only."""
    names = list(linear_layers)
    neurons = bool(family and family.feed_forwards(names))
    heads = bool(family and family.attentions(names))
    offered = {"neurons": neurons, "heads": heads, "heads+neurons": heads and neurons, "heads+weights": heads}
    return ["weights", *(structure for structure, there in offered.items() if there)]


def _layers(linear: dict[str, tuple[int, int]], family: Family | None) -> list[LayerInfo]:
    parts = family.feed_forwards(linear) if family else []
    members = {name for part in parts for name in part.layers}
    return [LayerInfo(name=name, shape=list(shape), feed_forward=name in members) for name, shape in linear.items()]


def _check_head(linear: dict[str, tuple[int, int]], labels: list[str]) -> None:
    outputs = next((linear[name][0] for name in _HEADS if name in linear), None)
    if outputs is not None and outputs != len(labels):
        raise UnsupportedModel(
            f"The classifier has {outputs} outputs and config.json names {len(labels)} labels.", pointer=POINTER
        )
