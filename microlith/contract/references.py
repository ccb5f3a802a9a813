"""How models, data and their parts are named in a request."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from microlith.contract.base import Request

_ID = "_[0-9A-HJKMNP-TV-Z]{26}"
ModelReference = Annotated[str, StringConstraints(max_length=1024, pattern=rf"^(?:(demo|hub|path):.+|mdl{_ID})$")]
DatasetReference = Annotated[str, StringConstraints(max_length=1024, pattern=rf"^(?:(demo|hub|path):.+|dst{_ID})$")]
BoundaryReference = Annotated[str, StringConstraints(max_length=1024, pattern=rf"^(?:path:.+|upl{_ID})$")]
Fraction = Annotated[float, Field(gt=0, lt=1, strict=True, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Splits(Request):
    """Which split of the source plays which role; with `path:` a value is a file name inside the folder."""

    train: Name = "train"
    validation: Name = "validation"
    test: Name = "test"


class DatasetSpec(Request):
    """A dataset reference with the columns and splits to read; a column left out is found by its usual name."""

    ref: DatasetReference
    text_column: Name | None = None
    image_column: Name | None = Field(
        None, description="For image classifiers: `image`, or `pixels` (a list of numbers)."
    )
    label_column: Name | None = None
    splits: Splits = Splits()
