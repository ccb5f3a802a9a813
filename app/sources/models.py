"""Models known without loading them: `config.json` and the header of the weights tell everything a request needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from app.domain.errors import ResourceLimit, UnsupportedModel
from app.domain.families import Family, family_of
from app.domain.layers import NO_LAYERS
from app.domain.methods import parts_of
from app.sources.allowed_paths import Allowed
from app.sources.classes import labels_of
from app.sources.config import (
    MULTI_LABEL,
    architecture_of,
    max_length,
    model_type_of,
    read_config,
    read_tokenizer_config,
)
from app.sources.identity import content_sha256
from app.sources.images import image_shape, task_of
from app.sources.intended import check_blocks, check_tables, refuse_changed_numbers
from app.sources.licences import licence_of
from app.sources.linear_layers import linear_shapes
from app.sources.reference_files import model_place
from app.sources.references import NOTHING, Reference, Shelf, parse
from app.sources.tokenizer_files import check_tokenizer, embedding_rows
from app.sources.tokenizer_format import check_format
from app.sources.weights import read_weights
from microlith.contract import LayerInfo, ModelInfo
from microlith.contract.methods import Structure

POINTER = "/model"
MAX_LAYERS = 5_000


def describe_model(ref: str, *, allow_paths: Allowed, shelf: Shelf = NOTHING) -> ModelInfo | None:
    """The model behind a `demo:` or `path:` reference or an upload; None for `hub:`, which only the worker fetches.

    Raises InvalidInput for a bad reference, UnsupportedModel or UnsafeModel for a model that cannot be decomposed.
    """
    known = parse(ref, pointer=POINTER, allow_paths=allow_paths, shelf=shelf)
    if known.kind == "hub":
        return None
    return describe_folder(known, model_place(known, pointer=POINTER))


def describe_folder(ref: Reference, folder: Path) -> ModelInfo:
    """The model in a folder of the Hugging Face layout, under the name of `ref`.

    Whatever the files say, it is bounded before anything of that size is made: ResourceLimit where it is beyond.
    """
    try:
        return read_folder(ref, folder)
    except OSError as error:
        raise unreadable(error) from error


def unreadable(error: OSError) -> UnsupportedModel:
    """What a folder is that we may not read, or that vanishes; where it is is not told."""
    return UnsupportedModel(
        f"The model's files cannot be read: {error.strerror or type(error).__name__}.", pointer=POINTER
    )


def read_folder(ref: Reference, folder: Path) -> ModelInfo:
    """As `describe_folder`; faults of the files that nobody has thought of come as they are."""
    config = read_config(folder, pointer=POINTER)
    weights = read_weights(folder, pointer=POINTER)
    family = family_of(model_type_of(config))
    linear = linear_shapes(weights.shapes, family)
    if len(linear) > MAX_LAYERS:
        raise ResourceLimit(
            f"The model has {len(linear):,} linear layers. The limit is {MAX_LAYERS:,}.", pointer=POINTER
        )
    refuse_changed_numbers(config, weights.types, pointer=POINTER)
    labels = labels_of(config, linear, pointer=POINTER)
    check_blocks(config, linear, family, pointer=POINTER)
    check_tables(config, weights.shapes, family, pointer=POINTER)
    licence = licence_of(ref, folder)
    architecture = architecture_of(config)
    task = task_of(architecture)
    if task == "text":
        settings = read_tokenizer_config(folder, pointer=POINTER)
        check_tokenizer(folder, settings, embedding_rows(weights.shapes), pointer=POINTER)
    return ModelInfo(
        id=str(ref),
        name=ref.title,
        revision=ref.revision,
        sha256=weights.sha256,
        content_sha256=content_sha256(folder, pointer=POINTER),
        architecture=architecture,
        family=family.name if family else None,
        task=task,
        labels=labels,
        multi_label=config.get("problem_type") == MULTI_LABEL,
        label_count=len(labels),
        max_length=max_length(folder, config, weights.shapes) if task == "text" else None,
        image_shape=image_shape(folder, config, pointer=POINTER) if task == "image" else None,
        parameters=weights.parameters,
        dtype=weights.number_type,
        size_bytes=weights.size_bytes,
        layers=_layers(linear, family),
        layer_count=len(linear),
        structures=structures_of(linear, family),
        structures_refused={} if family else None,
        licence=licence.name if licence else None,
    )


def answer(folder: str) -> dict[str, Any]:
    """`describe_folder` for a process that asks another one; what the model is called is not asked."""
    path = Path(folder)
    info = describe_folder(Reference("path", folder, place=path), path)
    if info.task == "text":
        check_format(path, pointer=POINTER)
    return info.model_dump(mode="json")


def structures_of(linear_layers: Iterable[str], family: Family | None) -> list[str]:
    """What can be removed from a model with these linear layers; of an unknown family, single weights only."""
    names = list(linear_layers)
    neurons, heads = family and family.feed_forwards(names), family and family.attentions(names)
    layers = family and not family.shared and len(family.blocks(names)) > 1
    return _structures(neurons=bool(neurons), heads=bool(heads), layers=bool(layers))


def with_structures(info: ModelInfo, refused: Mapping[str, str] | None) -> ModelInfo:
    """A model of no known family with what was found when it was opened: why it lacks units; None for nothing yet."""
    if refused is None:
        return info
    structures = _structures(neurons="neurons" not in refused, heads="heads" not in refused, layers=False)
    told = {**refused, "layers": NO_LAYERS}
    return info.model_copy(update={"structures": structures, "structures_refused": told})


def _structures(**there: bool) -> list[str]:
    found = {"weights", *(units for units, held in there.items() if held)}
    return [structure for structure in get_args(Structure) if found.issuperset(parts_of(structure))]


def _layers(linear: dict[str, tuple[int, int]], family: Family | None) -> list[LayerInfo]:
    parts = family.feed_forwards(linear) if family else []
    members = {name for part in parts for name in part.layers}
    return [LayerInfo(name=name, shape=list(shape), feed_forward=name in members) for name, shape in linear.items()]
