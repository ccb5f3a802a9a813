"""How models, data and their parts are named in a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import Field, StringConstraints

from microlith.contract.base import Request

Value = TypeVar("Value")

_ID = "_[0-9A-HJKMNP-TV-Z]{26}"
_MODEL, _DATASET = rf"^(?:(demo|hub|path):.+|mdl{_ID})$", rf"^(?:(demo|hub|path):.+|dst{_ID})$"
_BOUNDARY = rf"^(?:path:.+|upl{_ID})$"
_FORMS = "demo:NAME, hub:ORG/NAME[@REVISION], path:PLACE (embedded only) or the id of one you have registered"
REFERENCE_FORMS = {
    _MODEL: f"{_FORMS}, mdl_…",
    _DATASET: f"{_FORMS}, dst_…",
    _BOUNDARY: "path:FILE (embedded only) or the id of an upload, upl_…",
}
"""The forms of each kind of reference, in words, by its pattern."""

ModelReference = Annotated[str, StringConstraints(max_length=1024, pattern=_MODEL)]
DatasetReference = Annotated[str, StringConstraints(max_length=1024, pattern=_DATASET)]
BoundaryReference = Annotated[str, StringConstraints(max_length=1024, pattern=_BOUNDARY)]
Fraction = Annotated[float, Field(gt=0, lt=1, strict=True, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Splits(Request):
    """Which split of the source serves as which. With `path:` a value is a file name in the folder."""

    train: Name = "train"
    validation: Name = "validation"
    test: Name = "test"


def by_role(splits: Mapping[str, Value]) -> dict[str, Value]:
    """Splits in the order in which people name them, whatever order they were kept in."""
    first = [role for role in Splits.model_fields if role in splits]
    return {role: splits[role] for role in dict.fromkeys([*first, *splits])}


class DatasetSpec(Request):
    """A dataset reference with the columns and splits to read. For a column that is not named, the usual names are
    tried.
    """

    ref: DatasetReference
    text_column: Name | None = None
    image_column: Name | None = Field(
        None, description="For image classifiers: `image`, or `pixels` (a list of numbers)."
    )
    label_column: Name | None = None
    splits: Splits = Splits()
