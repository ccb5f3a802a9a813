"""A job and its modules as things that act: each knows its client, and what the server last said of it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from microlith.client.blocking import Facade, blocking, chaining, iterating, run
from microlith.client.download import OnBytes, layout_of
from microlith.client.modules import ModuleCalls
from microlith.contract import Event, Job, Module, Prediction, Results, State
from microlith.display import live, notebook_html
from microlith.display.progress import sentence
from microlith.errors import JobFailed, MissingExtra, NoSuchModule


class AsyncJobHandle:
    """A job. `facts` is its state as the server last reported it. `refresh`, `wait`, `cancel` and `retry` update it."""

    def __init__(self, client: ModuleCalls, facts: Job) -> None:
        self.client = client
        self.facts = facts

    async def refresh(self) -> Self:
        """Update `facts` from the server."""
        self.facts = await self.client.job(self.facts.id)
        return self

    async def wait(self, *, progress: bool = False, check: bool = True) -> Self:
        """Wait until the job is over, with a progress bar if you want one. Raises JobFailed if the job does not
        succeed, unless `check` is false.
        """
        with live.watching(quiet=not progress) as show:
            async for facts in self.client.watch(self.facts.id):
                self.facts = facts
                show(facts)
        if check and self.facts.state != "succeeded":
            raise JobFailed(self.facts)
        return self

    def events(self, after: int = 0) -> AsyncIterator[Event]:
        """Yield the job's events after number `after`, then new ones as they happen, until the job is over."""
        return self.client.events(self.facts.id, after)

    async def results(self) -> Results:
        """Return the base's report, every module so far and the comparison. `.to_pandas()` has one row for each
        module.
        """
        return await self.client.results(self.facts.id)

    async def modules(self) -> Modules[AsyncModuleHandle]:
        """The modules so far, by label: `modules["animal"]`, or `modules["animal", 0.7]` in a sweep."""
        return Modules([AsyncModuleHandle(self.client, facts) for facts in await self.client.modules(self.facts.id)])

    async def cancel(self) -> Self:
        """Stop the job. It keeps its finished modules."""
        self.facts = await self.client.cancel(self.facts.id)
        return self

    async def retry(self) -> Self:
        """Queue a failed, cancelled or expired job again."""
        self.facts = await self.client.retry(self.facts.id)
        return self

    async def delete(self) -> None:
        """Delete the finished job with its modules and their files."""
        await self.client.delete(self.facts.id)


class AsyncModuleHandle:
    """A module, with its measures in `facts`."""

    def __init__(self, client: ModuleCalls, facts: Module) -> None:
        self.client = client
        self.facts = facts

    async def download(
        self, folder: str | Path, layout: str = "portable", *, unpack: bool = True, on_bytes: OnBytes | None = None
    ) -> Path:
        """Download the module into a folder of its own inside `folder`, and check every digest. A complete download is
        not repeated.
        """
        return await self.client.download_module(self.facts, folder, layout, unpack=unpack, on_bytes=on_bytes)

    async def predict(self, texts: str | Sequence[str | tuple[str, str]]) -> Prediction:
        """Return the answers of the module and its base to one or several texts, or to a list of pairs if the module
        reads pairs. The server computes them.
        """
        return await self.client.predict(self.facts, [texts] if isinstance(texts, str) else texts)

    async def load(self, folder: str | Path | None = None) -> Any:
        """Return the module as a model of transformers, on the CPU, ready to use.

        Its files are downloaded once and kept in `folder`, by default in the user's cache. Raises MissingExtra without
        torch and transformers.
        """
        target = folder or _cache_folder() / layout_of(self.facts, "portable").sha256
        return await self.client.aside(_open, await self.download(target))


class JobHandle(Facade[AsyncJobHandle]):
    """A job. `facts` is its state as the server last reported it. `refresh`, `wait`, `cancel` and `retry` update it."""

    refresh = chaining(AsyncJobHandle.refresh)
    wait = chaining(AsyncJobHandle.wait)
    events = iterating(AsyncJobHandle.events)
    results = blocking(AsyncJobHandle.results)
    cancel = chaining(AsyncJobHandle.cancel)
    retry = chaining(AsyncJobHandle.retry)
    delete = blocking(AsyncJobHandle.delete)

    @property
    def facts(self) -> Job:
        """The job as the server last reported it."""
        return self._inner.facts

    @property
    def id(self) -> str:
        """The id of the job."""
        return self.facts.id

    @property
    def state(self) -> State:
        """The state as the server last reported it."""
        return self.facts.state

    @property
    def modules(self) -> Modules[ModuleHandle]:
        """The modules so far, by label: `modules["animal"]`, or `modules["animal", 0.7]` in a sweep."""
        return Modules([ModuleHandle(inner) for inner in run(self._inner.modules())])

    def __repr__(self) -> str:
        return f"<Job {self.id}: {sentence(self.facts)}>"

    def _repr_html_(self) -> str:
        return notebook_html.job(self.facts)


class ModuleHandle(Facade[AsyncModuleHandle]):
    """A module, with its measures in `facts`."""

    download = blocking(AsyncModuleHandle.download)
    predict = blocking(AsyncModuleHandle.predict)
    load = blocking(AsyncModuleHandle.load)

    @property
    def facts(self) -> Module:
        """Its measures and files."""
        return self._inner.facts

    @property
    def id(self) -> str:
        """The id of the module."""
        return self.facts.id

    @property
    def label(self) -> str:
        """The label of its concern."""
        return self.facts.concern.label

    def __repr__(self) -> str:
        own, base = self.facts.handed_out.f1, self.facts.base_own.f1
        return f"<Module {self.label} at {self.facts.ratio.requested:g}: F1 {own:.3f}, base {base:.3f}>"


class _Module(Protocol):
    @property
    def facts(self) -> Module: ...


Handle = TypeVar("Handle", bound=_Module)


class Modules(Generic[Handle]):
    """A job's modules in the job's order. Find one by label, by label and ratio, or by number."""

    def __init__(self, handles: list[Handle]) -> None:
        self._handles = handles

    def __len__(self) -> int:
        return len(self._handles)

    def __iter__(self) -> Iterator[Handle]:
        return iter(self._handles)

    def __getitem__(self, key: int | str | tuple[str, float]) -> Handle:
        """Raises NoSuchModule, which lists the modules, for an unknown label, and for a label without a ratio in a
        sweep.
        """
        if isinstance(key, int):
            return self._handles[key]
        label, ratio = key if isinstance(key, tuple) else (key, None)
        fitting = [
            handle
            for handle in self._handles
            if handle.facts.concern.label == label and ratio in (None, handle.facts.ratio.requested)
        ]
        if len(fitting) != 1:
            raise NoSuchModule(label, ratio, [handle.facts for handle in self._handles])
        return fitting[0]

    def __repr__(self) -> str:
        return "[" + ",\n ".join(map(repr, self._handles)) + "]"


def _open(folder: Path) -> Any:
    try:
        from microlith.masks.models import open_model

        return open_model(folder)
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "masks") from error


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "microlith" / "modules"
