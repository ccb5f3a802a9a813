"""Modules to the Hugging Face Hub, from the user's own machine and with the user's own token.

The token is handed to huggingface_hub for the calls of one push and to nobody else: no file, no log line and no
Microlith server ever holds it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microlith.client import Client
from microlith.contract import Module
from microlith.errors import HubRefused
from microlith.unpacking import SUMS, check_sums

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Pushed:
    """Where a module is on the hub: its page, and the commit that holds exactly these files."""

    repo: str
    url: str
    commit: str


def push_to_hub(
    module: Module | str | Path,
    repo_id: str,
    *,
    token: str | None = None,
    private: bool = False,
    layout: str = "portable",
    client: Client | None = None,
) -> Pushed:
    """Upload a module to a repository of the hub, as one commit. A missing repository is created.

    `module` is the folder of a downloaded module, or a module (or its id) on a server. The server is that of `client`,
    or else the one in the environment. Nothing is sent before every file matches SHA256SUMS. Without `token`,
    huggingface_hub finds the user's own (HF_TOKEN, or `hf auth login`). Other files of the repository stay.

        microlith.push_to_hub("modules/animal-0.5", "me/animal", private=True)

    Raises HubRefused if the hub or its client refuses, and whatever a download raises. Needs `microlith[hub]`.
    """
    api = _open_hub(token)
    with _files_of(module, layout, client) as folder:
        check_sums(folder)
        with _turn_errors_into_refusals(repo_id):
            return _push(api, folder, repo_id, private)


def _push(api: HfApi, folder: Path, repo_id: str, private: bool) -> Pushed:
    from huggingface_hub import CommitOperationAdd

    repo = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
    if private and not api.repo_info(repo).private:
        raise HubRefused(repo, "it exists and is public, but you requested a private one", "Take another name.")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name) for name in names]
    commit = api.create_commit(repo, files, commit_message=f"A module, as its {SUMS} says")
    return Pushed(repo=repo, url=f"{api.endpoint}/{repo}", commit=commit.oid)


def _open_hub(token: str | None) -> HfApi:
    """The hub's own client. A token that no header can carry is refused here, where nobody prints it."""
    try:
        from huggingface_hub import HfApi
    except ModuleNotFoundError as error:
        raise HubRefused("the hub", f"{error.name} is not installed", 'pip install "microlith[hub]"') from error
    stripped = token.strip() if token else None
    if stripped and not _HEADER_VALUE.fullmatch(stripped):
        raise HubRefused("the hub", "the token holds spaces or other signs that no token has", "Copy it once more.")
    return HfApi(token=stripped, library_name="microlith")


@contextmanager
def _files_of(module: Module | str | Path, layout: str, client: Client | None) -> Iterator[Path]:
    """The module's files: where they are, or downloaded for the time of the push."""
    if isinstance(module, Path) or (isinstance(module, str) and Path(module).is_dir()):
        yield Path(module)
        return
    with tempfile.TemporaryDirectory(prefix="microlith-push-") as scratch:
        if client is not None:
            yield client.download_module(module, scratch, layout)
        else:
            with Client() as own:
                yield own.download_module(module, scratch, layout)


@contextmanager
def _turn_errors_into_refusals(repo_id: str) -> Iterator[None]:
    from huggingface_hub import errors

    broken: Any = errors.HTTPError  # type: ignore[attr-defined]  # of whichever HTTP library the hub's client uses
    try:
        yield
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        hint = "Give a token that may write there: HF_TOKEN, or `hf auth login`." if status in (401, 403, 404) else ""
        raise HubRefused(repo_id, error.server_message or f"it answered {status}", hint) from error
    except (broken, OSError, ValueError, RuntimeError) as error:
        reasons = [str(fault).strip() or type(fault).__name__ for fault in (error, error.__cause__) if fault]
        raise HubRefused(repo_id, " ".join(reasons), "") from error
