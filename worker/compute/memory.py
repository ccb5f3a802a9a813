"""Going on with less when memory runs out: the part that failed is run again in halves, down to single items.

And what a process keeps for good, which is not looked through for garbage.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")

_TELLTALES = ("out of memory", "not enough memory", "DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED")
"""What torch says where it has no error of its own for it: its CPU allocator, the CUDA driver and cuBLAS."""


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: Python's, NumPy's, or torch's on any device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, which may not be here
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _TELLTALES)


def in_parts(
    work: Callable[[int, int], Result], count: int, end: Callable[[int, int], int], budget: int
) -> Iterator[Result]:
    """What `work(start, stop)` returns for part after part of `count` items.

    `end(start, budget)` says where the part from `start` on stops: one item on at least, and further the larger the
    budget. When a part runs out of memory the budget is halved until the part is smaller, and stays so; the error goes
    up only from a part of one item. `work` must leave nothing behind when it raises: what a part adds to any sum it
    returns, and the caller adds it.
    """
    start = 0
    while start < count:
        stop = end(start, budget)
        try:
            made = work(start, stop)
        except Exception as error:
            if stop == start + 1 or not out_of_memory(error):
                raise
        else:
            yield made
            start = stop
            continue
        # Only here, past the handler, nothing refers to the failed part any more.
        _release()
        while end(start, budget) >= stop:
            budget //= 2


@contextmanager
def for_good() -> Iterator[None]:
    """What the block makes stays: the garbage collector rests meanwhile, and passes over it from then on.

    The half million objects of the libraries cost an eighth of their import otherwise, and each full pass later.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _release() -> None:
    """Gives back what the failed part held."""
    gc.collect(1)  # its own cycles are young; the whole heap would take a second
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
