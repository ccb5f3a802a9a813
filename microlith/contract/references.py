"""How models, data and their parts are named in a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, StrictInt, StringConstraints, field_validator, model_validator

from microlith.contract.base import Request
from microlith.contract.slices import cut_name

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

LabelColumns = Annotated[list[Name], Field(min_length=2, max_length=1_000)]
"""Columns of 0 and 1, one for each label."""

LabelNames = Annotated[
    dict[Annotated[str, StringConstraints(max_length=1000)], Annotated[str, StringConstraints(max_length=1000)]],
    Field(max_length=10_000),
]
Delimiter = Annotated[
    Literal[",", ";", "tab", "|"], BeforeValidator(lambda sent: "tab" if sent in ("\t", "\\t") else sent)
]
# fmt: off
Encoding = Literal[
    "utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1250", "cp1251",
    "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258",
    "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9", "iso8859-15", "koi8-r", "koi8-u",
    "shift_jis", "euc-jp", "euc-kr", "gb18030", "big5",
]
# fmt: on


class Splits(Request):
    """Which split of the source serves as which. With `path:` a value is a file name in the folder. A value may be a
    slice, in rows or in percent: `train[:80%]`, `train[100:]`.
    """

    train: Name = Field("train", description="What serves as `train`.")
    validation: Name = Field("validation", description="What serves as `validation`.")
    test: Name = Field("test", description="What serves as `test`.")

    @field_validator("*")
    @classmethod
    def _with_slices_that_can_be_read(cls, value: str) -> str:
        cut_name(value)
        return value


class Carve(Request):
    """Splits to cut out of `train` where the data has none of its own. Every label keeps its proportion, and no row is
    in two splits.
    """

    test: Fraction | None = Field(None, description="The fraction of the rows of `train` that becomes `test`.")
    validation: Fraction | None = Field(None, description="The fraction that becomes `validation`.")
    seed: StrictInt = Field(44, ge=0, le=2**31 - 1, description="Decides which rows they are.")

    @model_validator(mode="after")
    def _leaving_something(self) -> Carve:
        if not self.shares:
            raise ValueError("give `test`, `validation` or both")
        if sum(self.shares.values()) >= 1:
            raise ValueError("nothing is left for `train`; the fractions together must be less than 1")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """The fraction of each split that is cut out."""
        given = {"test": self.test, "validation": self.validation}
        return {role: share for role, share in given.items() if share is not None}


def by_role(splits: Mapping[str, Value]) -> dict[str, Value]:
    """Splits in the order in which people name them, whatever order they were kept in."""
    first = [role for role in Splits.model_fields if role in splits]
    return {role: splits[role] for role in dict.fromkeys([*first, *splits])}


class DataForm(Request):
    """How the data is to be read: its columns, labels and splits. For a column that is not named, the usual names are
    tried.
    """

    text_column: Name | None = None
    text_pair_column: Name | None = Field(
        None, description="The second text of each row, for classifiers of pairs: premise and hypothesis, for example."
    )
    image_column: Name | None = Field(
        None, description="For image classifiers: `image`, or `pixels` (a list of numbers)."
    )
    label_column: Name | None = Field(
        None, description="For multi-label models a list in each row. If you leave it empty, the usual names are tried."
    )
    label_columns: LabelColumns | None = Field(
        None, description="For multi-label models, in place of `label_column`: a column of 0 and 1 for each label."
    )
    config: Name | None = Field(
        None, description="Of a dataset on the hub that has several configurations. Null takes the default one."
    )
    delimiter: Delimiter | None = Field(
        None, description="Between the columns of CSV files (a tab may be written `tab`). Null finds it out."
    )
    encoding: Encoding | None = Field(None, description="Of CSV files. Null finds it out.")
    labels: LabelNames = Field(
        {}, description='The data\'s labels by the model\'s: `{"0": "animal"}`. What is not named is matched as ever.'
    )
    splits: Splits = Splits()
    carve: Carve | None = Field(None, description="Cut a missing test or validation split out of `train`.")


class DatasetSpec(DataForm):
    """A dataset reference, and how to read what it names."""

    ref: DatasetReference
