"""Repositories of the Hugging Face Hub, as folders on this disk: one commit, and only files that cannot run code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, errors, snapshot_download

from app.domain.errors import SourceUnavailable
from app.sources.images import PREPROCESSOR
from app.sources.references import Reference
from app.sources.weights import refuse_pickles

PATIENCE_SECONDS = 10
_HTTPError = errors.HTTPError  # type: ignore[attr-defined]  # of whichever HTTP library the hub's client uses
MODEL_FILES = [
    *("config.json", "model.safetensors", "model-*.safetensors", "model.safetensors.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    PREPROCESSOR,
    *("vocab.txt", "vocab.json", "merges.txt", "*.model", "README.md", "LICENSE*", "NOTICE*"),
]
DATA_FILES = ["*.parquet", "*.csv", "*.json", "*.jsonl", "README.md", "LICENSE*", "NOTICE*"]


def fetch(ref: Reference, kind: Literal["model", "dataset"]) -> tuple[Path, str]:
    """The folder of a `hub:` reference and the commit it stands for; a revision is pinned before anything is read.

    Without a connection the copy in the local cache serves. Raises SourceUnavailable, within seconds, when there is
    neither, and UnsafeModel for a model that only has pickles.
    """
    pointer = f"/{kind}"
    with _explaining(ref, pointer):
        commit = _commit(ref, kind, pointer)
        folder = snapshot_download(
            ref.name,
            repo_type=kind,
            revision=commit or ref.revision,
            allow_patterns=MODEL_FILES if kind == "model" else DATA_FILES,
            etag_timeout=PATIENCE_SECONDS,
            local_files_only=commit is None,
        )
    return Path(folder), commit or Path(folder).name


def _commit(ref: Reference, kind: str, pointer: str) -> str | None:
    """The sha that the revision is now; None when the hub cannot be reached."""
    try:
        if kind == "dataset":
            return HfApi().dataset_info(ref.name, revision=ref.revision, timeout=PATIENCE_SECONDS).sha
        model = HfApi().model_info(ref.name, revision=ref.revision, timeout=PATIENCE_SECONDS)
    except errors.HfHubHTTPError:
        raise  # the hub answered
    except (_HTTPError, errors.OfflineModeIsEnabled):
        return None
    refuse_pickles([file.rfilename for file in model.siblings or []], pointer=pointer)
    return model.sha


@contextmanager
def _explaining(ref: Reference, pointer: str) -> Iterator[None]:
    try:
        yield
    except errors.GatedRepoError as error:
        hint = "Accept its terms on the hub and give the worker a token of yours in HF_TOKEN."
        raise SourceUnavailable(f"{ref} is gated.", hint=hint, pointer=pointer) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError) as error:
        hint = "Check its spelling; a private repository needs a token in HF_TOKEN."
        raise SourceUnavailable(f"The hub has no {ref}.", hint=hint, pointer=pointer) from error
    except (_HTTPError, OSError) as error:
        hint = "Check the worker's connection to the hub, or download the source once and name its folder by path:."
        raise SourceUnavailable(f"{ref} could not be fetched.", hint=hint, pointer=pointer) from error
