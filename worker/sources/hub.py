"""Repositories of the Hugging Face Hub, as folders on this disk: one commit, and only files that cannot run code.

What a repository says of itself leads to no other files than those that the hub lists for the commit; they are named
and counted before the first byte of one is fetched.
"""

from __future__ import annotations

import fnmatch
import glob
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, RepoFile, errors, get_cached_repo_tree, snapshot_download

from app.domain.errors import ResourceLimit, SourceUnavailable
from app.sources.images import PREPROCESSOR
from app.sources.references import Reference
from app.sources.weights import refuse_pickles
from worker.sources.hub_file_names import check_names

PATIENCE_SECONDS = 10
MAX_LISTED = 50_000
"""Files and folders of a commit."""

MAX_FILES = 2_000
MAX_BYTES = 20_000_000_000
"""Of the files that are fetched, together."""

_HTTPError = errors.HTTPError  # type: ignore[attr-defined]  # of whichever HTTP library the hub's client uses
_NOTES = ("README.md", "LICENSE*", "NOTICE*")
_MODEL_FILES = (
    *("config.json", "model.safetensors", "model-*.safetensors", "model.safetensors.index.json"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    PREPROCESSOR,
    *("vocab.txt", "vocab.json", "merges.txt", "*.model"),
)

RepositoryKind = Literal["model", "dataset"]


@dataclass(frozen=True)
class Listing:
    """The files of a commit by name; `read` fetches one of them at once, for who must look into it to choose."""

    names: list[str]
    read: Callable[[str], Path]


FileChoice = Callable[[Listing], Iterable[str]]
"""Which of a repository's files to fetch; what it raises is raised."""


@dataclass(frozen=True)
class Snapshot:
    """One commit of a repository, as far as it was fetched; `files` are regular and lie in the repository's cache."""

    folder: Path
    commit: str
    files: dict[str, Path]
    """By their names in the repository."""


def fetch(ref: Reference, kind: RepositoryKind, choose: FileChoice) -> Snapshot:
    """The files of a `hub:` reference that are chosen, and its notices; a revision is pinned before anything is read.

    Without a connection the copy in the local cache serves. Raises SourceUnavailable, within seconds, when there is
    neither, or a name that leads out of the repository; ResourceLimit for more than is fetched; and UnsafeModel for
    a model that only has pickles.
    """
    pointer = f"/{kind}"
    with _explaining(ref, pointer):
        commit = _commit(ref, kind)
        sizes = _listed(ref, kind, commit) if commit else _kept(ref, kind)
    check_names(ref, sizes, pointer)
    if kind == "model":
        refuse_pickles(list(sizes), pointer=pointer)

    def bring(names: Sequence[str]) -> Snapshot:
        _check_size(ref, [sizes[name] for name in names], pointer)
        with _explaining(ref, pointer):
            folder = Path(_download(ref, kind, commit, names))
        return Snapshot(folder, commit or folder.name, {name: _inside(ref, folder, name, pointer) for name in names})

    chosen = choose(Listing(list(sizes), lambda name: bring([name]).files[name]))
    return bring(sorted({*chosen, *_matching(sizes, _NOTES)}))


def model_files(listing: Listing) -> list[str]:
    """The files of a model that are read: its config, weights without code, tokenizer and preprocessor."""
    return _matching(listing.names, _MODEL_FILES)


def _matching(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    return [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def _commit(ref: Reference, kind: RepositoryKind) -> str | None:
    """The sha that the revision is now; None when the hub cannot be reached."""
    try:
        return HfApi().repo_info(ref.name, repo_type=kind, revision=ref.revision, timeout=PATIENCE_SECONDS).sha
    except errors.HfHubHTTPError:
        raise  # the hub answered
    except (_HTTPError, errors.OfflineModeIsEnabled):
        return None


def _listed(ref: Reference, kind: RepositoryKind, commit: str) -> dict[str, int]:
    """Names and sizes in bytes of all files of the commit, as the hub tells them."""
    entries = HfApi().list_repo_tree(ref.name, recursive=True, revision=commit, repo_type=kind)
    first = list(itertools.islice(entries, MAX_LISTED + 1))
    if len(first) > MAX_LISTED:
        raise ResourceLimit(f"{ref} has more than {MAX_LISTED:,} files.", pointer=f"/{kind}")
    return {entry.path: entry.size for entry in first if isinstance(entry, RepoFile)}


def _kept(ref: Reference, kind: RepositoryKind) -> dict[str, int]:
    """The same of the commit in the local cache: as it was listed then, or else the files that are there."""
    folder = Path(_download(ref, kind, None, []))
    try:
        listed = get_cached_repo_tree(ref.name, repo_type=kind, revision=folder.name)
    except errors.CachedRepoTreeNotFoundError:
        files = [file for file in folder.rglob("*") if file.is_file()]
        return {file.relative_to(folder).as_posix(): file.stat().st_size for file in files}
    return {entry.path: entry.size for entry in listed}


def _download(ref: Reference, kind: RepositoryKind, commit: str | None, names: Iterable[str]) -> str:
    return snapshot_download(
        ref.name,
        repo_type=kind,
        revision=commit or ref.revision,
        allow_patterns=[glob.escape(name) for name in names],
        etag_timeout=PATIENCE_SECONDS,
        local_files_only=commit is None,
    )


def _check_size(ref: Reference, sizes: Sequence[int], pointer: str) -> None:
    if len(sizes) > MAX_FILES or sum(sizes) > MAX_BYTES:
        raise ResourceLimit(
            f"{ref} asks for {len(sizes):,} files of {sum(sizes):,} bytes; at most {MAX_FILES:,} files of "
            f"{MAX_BYTES:,} bytes are fetched.",
            hint="Take a smaller repository, or upload the part of it that is needed.",
            pointer=pointer,
        )


def _inside(ref: Reference, folder: Path, name: str, pointer: str) -> Path:
    """A file of the snapshot: in the cache it is a link to one of the repository's own blobs, and to nothing else."""
    file = folder / name
    if not file.resolve().is_relative_to(folder.parents[1].resolve()) or not file.is_file():
        raise SourceUnavailable(
            f"{name} of {ref} is no file of the repository in the worker's cache.",
            hint="Remove the repository from the cache, and it is fetched again.",
            pointer=pointer,
        )
    return file


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
