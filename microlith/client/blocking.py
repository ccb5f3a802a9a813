"""Calls are written once, as coroutines; here they become plain functions.

A coroutine over a connection that never suspends (`transport.Blocking`) runs from start to end at its first step, so it
needs no event loop and works inside of a running one, as in a notebook.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast

Inner = TypeVar("Inner")
Inner_co = TypeVar("Inner_co", covariant=True)
P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")


class Facade(Generic[Inner_co]):
    """The plain face of `inner`, whose connection never suspends."""

    def __init__(self, inner: Inner_co) -> None:
        self._inner = inner


Self_ = TypeVar("Self_", bound=Facade[Any])


def run(call: Awaitable[T]) -> T:
    """What the call answers."""
    steps = call.__await__()
    try:
        next(steps)
    except StopIteration as done:
        return cast("T", done.value)
    steps.close()
    raise RuntimeError("a blocking call tried to wait for an event loop")


def drain(items: AsyncIterator[T]) -> Iterator[T]:
    """The items one by one, each made when it is asked for."""
    try:
        while True:
            try:
                item = run(anext(items))
            except StopAsyncIteration:
                return
            yield item
    finally:
        if close := getattr(items, "aclose", None):
            run(close())


def blocking(
    call: Callable[Concatenate[Inner, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Facade[Inner], P], T]:
    """The same call, answered when it returns."""

    @wraps(call)
    def plain(self: Facade[Inner], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(call(self._inner, *args, **kwargs))

    return plain


def iterating(
    call: Callable[Concatenate[Inner, P], AsyncIterator[T]],
) -> Callable[Concatenate[Facade[Inner], P], Iterator[T]]:
    """The same call, its items to be read with a plain `for`."""

    @wraps(call)
    def plain(self: Facade[Inner], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return drain(call(self._inner, *args, **kwargs))

    return plain


def facing(
    call: Callable[Concatenate[Inner, P], Coroutine[Any, Any, T]], face: Callable[[T], U]
) -> Callable[Concatenate[Facade[Inner], P], U]:
    """The same call, its answer behind a plain face of its own."""

    @wraps(call)
    def plain(self: Facade[Inner], /, *args: P.args, **kwargs: P.kwargs) -> U:
        return face(run(call(self._inner, *args, **kwargs)))

    return plain


def chaining(
    call: Callable[Concatenate[Any, P], Coroutine[Any, Any, object]],
) -> Callable[Concatenate[Self_, P], Self_]:
    """The same call, answered by the plain face itself, so that another can follow."""

    @wraps(call)
    def plain(self: Self_, /, *args: P.args, **kwargs: P.kwargs) -> Self_:
        run(call(self._inner, *args, **kwargs))
        return self

    return plain
