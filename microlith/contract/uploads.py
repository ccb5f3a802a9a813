"""Uploads: a model, a dataset or a set of boundary samples, and what is registered from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from microlith.contract.base import Answer, Body
from microlith.contract.references import DataForm

MODEL_FILES = (
    *("config.json", "*.safetensors", "model.safetensors.index.json", "preprocessor_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "bpe.codes"),
    *("spiece.model", "spm.model", "sentencepiece.bpe.model", "tokenizer.model"),
    *("README.md", "LICENSE*", "LICENCE*", "NOTICE*"),
)
"""The files of a model folder that are kept. None of them can run code."""

DATA_FILES = (
    "*.parquet",
    "*.arrow",
    "*.csv",
    "*.tsv",
    "*.jsonl",
    "*.json",
    "*.ndjson",
    "README.md",
    "LICENSE*",
    "LICENCE*",
    "NOTICE*",
)
"""The files of a dataset's folder, and of `data/` in it, that are kept; Arrow files also in a split's folder."""

UploadKind = Literal["model", "dataset", "boundary"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[^/\\\x00-\x1f\x7f.][^/\\\x00-\x1f\x7f]{0,199}$")]


class BeginUpload(Body):
    """A description of the file, so that the server can refuse it before you send it."""

    kind: UploadKind = Field(
        description="What the file contains: a model folder, data, or samples at a decision boundary."
    )
    filename: FileName = Field(
        description="The extension says which format the data has: `.csv`, `.jsonl`, `.parquet`, `.zip`."
    )
    size_bytes: Annotated[int, Field(ge=1, strict=True)]
    sha256: Sha256 | None = Field(
        None,
        description="The sha256 of the whole file, in hex. If you have uploaded it before, the answer is that upload.",
    )


class CompleteUpload(Body):
    """The sha256 of the bytes you sent."""

    sha256: Sha256


class UploadTarget(Answer):
    """Where to PUT the file, whole and with its `Content-Length`: a presigned link, or a path of this server."""

    method: Literal["PUT"] = "PUT"
    url: str
    expires_at: datetime | None = Field(None, description="When the link expires. GET the upload again for a new link.")


class UploadUrls(Answer):
    """The address of the upload, and the one to PUT its bytes to through this server."""

    self: str
    content: str
    complete: str


class Upload(Answer):
    """An uploaded file: `open` until its bytes are there, `complete` once they are checked."""

    id: str
    object: Literal["upload"] = "upload"
    kind: UploadKind
    filename: str
    size_bytes: int
    sha256: str | None
    state: Literal["open", "complete"]
    target: UploadTarget | None = Field(None, description="Present while the upload is open.")
    created_at: datetime
    completed_at: datetime | None
    urls: UploadUrls


class _Registration(Body):
    upload: Annotated[str, StringConstraints(max_length=64)] | None = Field(None, description="A complete upload.")
    hub: Annotated[str, StringConstraints(max_length=512)] | None = Field(
        None, description="`ORG/NAME[@REVISION]` on the Hugging Face hub. A worker downloads it when a job needs it."
    )

    @model_validator(mode="after")
    def _one_source(self) -> _Registration:
        if (self.upload is None) == (self.hub is None):
            raise ValueError("give either `upload` or `hub`")
        return self


class RegisterModel(_Registration):
    """A model to register under an id of its own."""


class RegisterDataset(DataForm, _Registration):
    """A dataset to register under an id of its own. What you say here of columns, labels and splits holds in every job
    that does not say otherwise.
    """
