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
    """A job. `facts` is what the server last said of it; `refresh`, `wait`, `cancel` and `retry` hear more."""

    def __init__(self, client: ModuleCalls, facts: Job) -> None:
        self.client = client
        self.facts = facts

    async def refresh(self) -> Self:
        """Ask how the job is."""
        self.facts = await self.client.job(self.facts.id)
        return self

    async def wait(self, *, progress: bool = False, check: bool = True) -> Self:
        """Until the job is over, with a bar if asked. Raises JobFailed without success, unless `check` is false."""
        with live.watching(quiet=not progress) as show:
            async for facts in self.client.watch(self.facts.id):
                self.facts = facts
                show(facts)
        if check and self.facts.state != "succeeded":
            raise JobFailed(self.facts)
        return self

    def events(self, after: int = 0) -> AsyncIterator[Event]:
        """The job's history after event number `after`, then what happens, until the job is over."""
        return self.client.events(self.facts.id, after)

    async def results(self) -> Results:
        """The base's report, every module so far and the comparison; `.to_pandas()` is a row a module."""
        return await self.client.results(self.facts.id)

    async def modules(self) -> Modules[AsyncModuleHandle]:
        """The modules so far, by label: `modules["animal"]`, or `modules["animal", 0.7]` in a sweep."""
        return Modules([AsyncModuleHandle(self.client, facts) for facts in await self.client.modules(self.facts.id)])

    async def cancel(self) -> Self:
        """Ask the job to stop; it keeps the modules it has finished."""
        self.facts = await self.client.cancel(self.facts.id)
        return self

    async def retry(self) -> Self:
        """Queue a failed, cancelled or expired job again."""
        self.facts = await self.client.retry(self.facts.id)
        return self

    async def delete(self) -> None:
        """Remove the finished job with its modules and their files."""
        await self.client.delete(self.facts.id)


class AsyncModuleHandle:
    """A module, with its measures in `facts`."""

    def __init__(self, client: ModuleCalls, facts: Module) -> None:
        self.client = client
        self.facts = facts

    async def download(
        self, folder: str | Path, layout: str = "portable", *, unpack: bool = True, on_bytes: OnBytes | None = None
    ) -> Path:
        """Fetch it into a folder of its own inside `folder`, every digest checked; once."""
        return await self.client.download_module(self.facts, folder, layout, unpack=unpack, on_bytes=on_bytes)

    async def predict(self, texts: str | Sequence[str]) -> Prediction:
        """What it, and its base, make of one text or several, asked on the server."""
        return await self.client.predict(self.facts, [texts] if isinstance(texts, str) else texts)

    async def load(self, folder: str | Path | None = None) -> Any:
        """The module as a model of transformers, on the CPU, ready to answer.

        Its files are kept in `folder`, by default in the user's cache, and fetched once. Raises MissingExtra without
        torch and transformers.
        """
        target = folder or _cache_folder() / layout_of(self.facts, "portable").sha256
        return await self.client.aside(_open, await self.download(target))


class JobHandle(Facade[AsyncJobHandle]):
    """A job. `facts` is what the server last said of it; `refresh`, `wait`, `cancel` and `retry` hear more."""

    refresh = chaining(AsyncJobHandle.refresh)
    wait = chaining(AsyncJobHandle.wait)
    events = iterating(AsyncJobHandle.events)
    results = blocking(AsyncJobHandle.results)
    cancel = chaining(AsyncJobHandle.cancel)
    retry = chaining(AsyncJobHandle.retry)
    delete = blocking(AsyncJobHandle.delete)

    @property
    def facts(self) -> Job:
        """What the server last said of it."""
        return self._inner.facts

    @property
    def id(self) -> str:
        """Names the job in every call."""
        return self.facts.id

    @property
    def state(self) -> State:
        """As last heard."""
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
        """Names the module in every call."""
        return self.facts.id

    @property
    def label(self) -> str:
        """Its concern's."""
        return self.facts.concern.label

    def __repr__(self) -> str:
        own, base = self.facts.own.f1, self.facts.base_own.f1
        return f"<Module {self.label} at {self.facts.ratio.requested:g}: F1 {own:.3f}, base {base:.3f}>"


class _Module(Protocol):
    @property
    def facts(self) -> Module: ...


Handle = TypeVar("Handle", bound=_Module)


class Modules(Generic[Handle]):
    """A job's modules in its order, found by label, by label and ratio, or by number."""

    def __init__(self, handles: list[Handle]) -> None:
        self._handles = handles

    def __len__(self) -> int:
        return len(self._handles)

    def __iter__(self) -> Iterator[Handle]:
        return iter(self._handles)

    def __getitem__(self, key: int | str | tuple[str, float]) -> Handle:
        """Raises NoSuchModule, with those there are, for a strange label and for a sweep's without a ratio."""
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
