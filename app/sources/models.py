"""Models known without loading them: `config.json` and the header of the weights tell everything a request needs."""

from __future__ import annotations

from pathlib import Path

from app.domain.errors import UnsupportedModel
from app.domain.families import Family, family_of
from app.sources import demo
from app.sources.config import architecture_of, labels_of, max_length, read_config
from app.sources.licences import licence_of
from app.sources.linear import linear_shapes
from app.sources.places import model_place
from app.sources.references import Reference, parse
from app.sources.weights import read_weights
from microlith.contract import LayerInfo, ModelInfo

POINTER = "/model"
_HEADS = ("classifier", "classifier.out_proj", "score")


def describe_model(ref: str, *, allow_paths: bool) -> ModelInfo | None:
    """The model behind a `demo:` or `path:` reference; None for `hub:`, which only the worker fetches.

    Raises InvalidInput for a bad reference, UnsupportedModel or UnsafeModel for a model that cannot be decomposed.
    """
    known = parse(ref, pointer=POINTER, allow_paths=allow_paths)
    if known.kind == "hub":
        return None
    return describe_folder(known, model_place(known, pointer=POINTER))


def describe_folder(ref: Reference, folder: Path) -> ModelInfo:
    """The model in a folder of the Hugging Face layout, under the name of `ref`."""
    config = read_config(folder, pointer=POINTER)
    weights = read_weights(folder, pointer=POINTER)
    labels = labels_of(config, pointer=POINTER)
    linear = linear_shapes(weights.shapes)
    _check_head(linear, labels)
    family = family_of(config.get("model_type"))
    licence = licence_of(ref, folder)
    return ModelInfo(
        id=str(ref),
        revision=ref.revision,
        sha256=weights.sha256,
        architecture=architecture_of(config),
        family=family.name if family else None,
        labels=labels,
        max_length=max_length(folder, config, weights.shapes),
        parameters=weights.parameters,
        size_bytes=weights.size_bytes,
        layers=_layers(linear, family),
        structures=["weights", "neurons"] if _neurons(linear, family) else ["weights"],
        licence=licence.name if licence else None,
    )


def known_models() -> list[ModelInfo]:
    """The models anyone may name: the demo's."""
    found = (describe_model(f"demo:{name}", allow_paths=False) for name in sorted(demo.MODELS))
    return [info for info in found if info]


def _layers(linear: dict[str, tuple[int, int]], family: Family | None) -> list[LayerInfo]:
    feed_forward = _neurons(linear, family)
    return [
        LayerInfo(name=name, shape=list(shape), feed_forward=name in feed_forward) for name, shape in linear.items()
    ]


def _neurons(linear: dict[str, tuple[int, int]], family: Family | None) -> set[str]:
    pairs = family.feed_forwards(linear) if family else []
    return {name for pair in pairs for name in (pair.intermediate, pair.output)}


def _check_head(linear: dict[str, tuple[int, int]], labels: list[str]) -> None:
    outputs = next((linear[name][0] for name in _HEADS if name in linear), None)
    if outputs is not None and outputs != len(labels):
        raise UnsupportedModel(
            f"The classifier has {outputs} outputs and config.json names {len(labels)} labels.", pointer=POINTER
        )
