"""Attention over the positions that count. A masked key weighs exactly 0, so where inputs are padded it is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch.nn.functional as F
from torch.overrides import TorchFunctionMode


def over_real_keys(count: int | None) -> AbstractContextManager[object]:
    """While the block runs, attention takes the first `count` keys alone, where a mask hides those after them.

    None takes all.
    """
    return nullcontext() if count is None else _RealKeys(count)


class _RealKeys(TorchFunctionMode):
    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if func is F.scaled_dot_product_attention and len(args) == 3 and named.get("attn_mask") is not None:
            query, key, value = args
            named["attn_mask"] = named["attn_mask"][..., : self._count]
            args = query, key[..., : self._count, :], value[..., : self._count, :]
        return func(*args, **named)
