"""What a spec may say, told from the same models that check it: the list cannot drift from the truth."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, TypeAdapter, ValidationError

from app.domain.errors import InvalidInput, NotFound, SourceUnavailable
from app.sources.allowed_paths import Allowed
from app.sources.confined_data import describe_dataset, known_datasets
from app.sources.confined_models import describe_model, known_models
from app.sources.splits import ROLES
from microlith.contract import (
    DatasetInfo,
    DatasetSpec,
    JobSpec,
    MethodInfo,
    Methods,
    ModelInfo,
    OptionInfo,
)
from microlith.contract.catalog import StructureInfo
from microlith.contract.methods import METHODS, ScoringMethod

STRUCTURES = {
    "weights": "Single weights of the chosen layers: the lowest scores within each row, layer, model or N:M group are "
    "zeroed.",
    "neurons": "Feed-forward neurons: those with the lowest scores of each block are removed, with rows, biases "
    "and columns. Files get smaller.",
    "heads": "Attention heads: those with the lowest scores of the model are removed by zeroing their rows "
    "and columns.",
    "heads+neurons": "Heads first, then feed-forward neurons.",
    "heads+weights": "Heads first, then single weights.",
    "layers": "Whole layers: those whose removal costs least. What follows the last layer is solved anew. The module "
    "is an ordinary model of fewer layers.",
    "layers+weights": "Whole layers first, then single weights of the others.",
    "layers+neurons": "Whole layers first, then feed-forward neurons of the others.",
    "layers+heads": "Whole layers first, then attention heads of the others.",
    "layers+heads+neurons": "Whole layers first, then heads, then feed-forward neurons of the others.",
    "layers+heads+weights": "Whole layers first, then heads, then single weights of the others.",
}

OPTIONS = tuple(name for name in JobSpec.model_fields if name not in ("model", "dataset", "method"))


@cache
def methods() -> Methods:
    """Every method, structure and option with its schema, its default and a sentence."""
    return Methods(
        methods=[_method(kind) for kind in METHODS.values()],
        structures=[StructureInfo(name=name, description=text) for name, text in STRUCTURES.items()],
        options=[_option(name) for name in OPTIONS],
    )


def models() -> list[ModelInfo]:
    """The models that come with the server."""
    return known_models()


def model(ref: str, *, allow_paths: Allowed) -> ModelInfo:
    """A model by reference; a `hub:` one is only known to a worker."""
    with _named_in_the_path():
        return describe_model(ref, allow_paths=allow_paths) or _unseen(ref)


def datasets() -> list[DatasetInfo]:
    """The datasets that come with the server."""
    return known_datasets()


def dataset(ref: str, *, allow_paths: Allowed) -> DatasetInfo:
    """A dataset by reference; a `hub:` one is only known to a worker."""
    with _named_in_the_path():
        return describe_dataset(_source(ref), ROLES, allow_paths=allow_paths) or _unseen(ref)


@contextmanager
def _named_in_the_path() -> Iterator[None]:
    """A reference that names nothing is bad input in a spec, and a page that is not there in a path."""
    try:
        yield
    except InvalidInput as error:
        if type(error) is not InvalidInput:
            raise
        raise NotFound(error.detail, hint=error.hint) from error


def _source(ref: str) -> DatasetSpec:
    try:
        return DatasetSpec(ref=ref)
    except ValidationError as error:
        raise InvalidInput(f"{ref!r} is not a reference. Write demo:NAME or hub:ORG/NAME.") from error


def _unseen(ref: str) -> NoReturn:
    raise SourceUnavailable(f"{ref} is downloaded by a worker when a job needs it.", hint="Submit a job with it.")


def _method(kind: type[ScoringMethod]) -> MethodInfo:
    defaults = kind().model_dump(mode="json")
    return MethodInfo(
        name=defaults["name"],
        title=kind.title,
        description=inspect.getdoc(kind) or "",
        source=kind.source,
        structures=list(kind.structures),
        json_schema=kind.model_json_schema(),
        defaults=defaults,
    )


def _option(name: str) -> OptionInfo:
    field = JobSpec.model_fields[name]
    annotated: Any = Annotated[field.annotation, field]
    schema = TypeAdapter(annotated).json_schema()
    default = field.get_default(call_default_factory=True)
    return OptionInfo(
        name=name,
        description=field.description or inspect.getdoc(default) or "",
        json_schema=schema,
        default=default.model_dump(mode="json") if isinstance(default, BaseModel) else default,
    )
