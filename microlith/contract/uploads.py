"""Uploads: a model, a dataset or a set of boundary samples brought to the server, and what is registered from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from microlith.contract.base import Answer, Body

MODEL_FILES = (
    *("config.json", "*.safetensors", "model.safetensors.index.json", "preprocessor_config.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model"),
    *("README.md", "LICENSE*", "LICENCE*", "NOTICE*"),
)
"""What is kept of a model folder: nothing that can run code."""

DATA_FILES = (
    "*.parquet",
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
"""What is kept of a dataset's folder and of `data/` below it."""

UploadKind = Literal["model", "dataset", "boundary"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[^/\\\x00-\x1f\x7f.][^/\\\x00-\x1f\x7f]{0,199}$")]
Column = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class BeginUpload(Body):
    """What is about to be sent, so that it can be refused before it travels."""

    kind: UploadKind = Field(description="What it holds: a model folder, data, or samples at a decision boundary.")
    filename: FileName = Field(description="Its ending tells the format of data: `.csv`, `.jsonl`, `.parquet`, `.zip`.")
    size_bytes: Annotated[int, Field(ge=1, strict=True)]
    sha256: Sha256 | None = Field(
        None, description="Of the whole file, in hex. If you have uploaded it before, that upload is the answer."
    )


class CompleteUpload(Body):
    """The digest of what was sent."""

    sha256: Sha256


class UploadTarget(Answer):
    """Where to PUT the file, whole and with its `Content-Length`: a presigned link, or a path of this server."""

    method: Literal["PUT"] = "PUT"
    url: str
    expires_at: datetime | None = Field(None, description="Ask for the upload again to get a fresh link.")


class UploadUrls(Answer):
    """Where the upload is, and where its bytes can be PUT through this server."""

    self: str
    content: str
    complete: str


class Upload(Answer):
    """A file on its way, `open`, or arrived and checked, `complete`."""

    id: str
    object: Literal["upload"] = "upload"
    kind: UploadKind
    filename: str
    size_bytes: int
    sha256: str | None
    state: Literal["open", "complete"]
    target: UploadTarget | None = Field(None, description="While it is open.")
    created_at: datetime
    completed_at: datetime | None
    urls: UploadUrls


class _Registration(Body):
    upload: Annotated[str, StringConstraints(max_length=64)] | None = Field(None, description="A complete upload.")
    hub: Annotated[str, StringConstraints(max_length=512)] | None = Field(
        None, description="`ORG/NAME[@REVISION]` on the Hugging Face hub; a worker fetches it when a job needs it."
    )

    @model_validator(mode="after")
    def _one_source(self) -> _Registration:
        if (self.upload is None) == (self.hub is None):
            raise ValueError("give `upload` or `hub`, one of the two")
        return self


class RegisterModel(_Registration):
    """A model to be known by an id of its own."""


class RegisterDataset(_Registration):
    """A dataset to be known by an id of its own; columns without a usual name are named here, or in a job."""

    text_column: Column | None = None
    image_column: Column | None = None
    label_column: Column | None = None
