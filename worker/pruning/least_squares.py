"""Weights solved anew under a mask: what a layer writes of what it reads now, as near to what it wrote as can be.

Each output is a ridge regression of its own on the inputs that its mask leaves it. Outputs with the same mask share
one system; of the others each system is solved by itself, many at a time, from its own side or from that of what is
removed, whichever is smaller. Both are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

RIDGE = 0.01
"""What is added to the second moment of each input, of their mean: it holds the solution where tokens say little."""

ROUNDING = 1e-9
"""Of the same before the mean is taken off, which leaves rounding in the place of the zeros of constant inputs."""

TINY = 1e-30
"""For inputs that are all dead."""

ENTRIES = 2**23
"""How many numbers the systems have that are solved together, at most."""


@dataclass
class Sums:
    """Sums over tokens of what a layer reads in the module (`now`) and in the base (`then`); float64.

    `columns` are the inputs that the module has left.
    """

    columns: Tensor  # [kept]
    count: Tensor  # []
    now: Tensor  # [kept], Σ x̂
    then: Tensor  # [in], Σ x
    second: Tensor  # [kept, kept], Σ x̂ x̂ᵀ
    across: Tensor  # [in, kept], Σ x x̂ᵀ

    @classmethod
    def zero(cls, columns: Tensor, width: int) -> Sums:
        """Sums over nothing yet, on the device of `columns`."""
        kept = len(columns)
        shapes: tuple[tuple[int, ...], ...] = ((), (kept,), (width,), (kept, kept), (width, kept))
        return cls(columns, *(torch.zeros(shape, dtype=torch.float64, device=columns.device) for shape in shapes))

    def add(self, now: Tensor, then: Tensor) -> None:
        """Adds the same tokens as the module and as the base read them [tokens, in]."""
        left = now[:, self.columns]
        self.count += len(left)
        self.now += left.sum(0, dtype=torch.float64)
        self.then += then.sum(0, dtype=torch.float64)
        self.second += left.T @ left
        self.across += then.T @ left


def solve(weight: Tensor, bias: Tensor | None, kept: Tensor, sums: Sums) -> tuple[Tensor, Tensor | None]:
    """The weight [out, in], zero where `kept` [out, in] is not, and the bias [out], of the least squares; float64.

    W' = W∘M + Δ and Δ minimises ‖W x + b − W' x̂ − b'‖² + λ ‖Δ‖² over the tokens of `sums`, so that what the tokens do
    not decide stays as it was, and the error is never more than with W∘M. A layer without a bias gets none.
    """
    weight, held = weight.double(), kept[:, sums.columns]
    left = weight[:, sums.columns] * held
    second, across = sums.second, sums.across
    count = sums.count.clamp(min=1.0)
    if bias is not None:
        second = second - torch.outer(sums.now, sums.now) / count
        across = across - torch.outer(sums.then, sums.now) / count
    ridge = RIDGE * second.diagonal().mean() + ROUNDING * sums.second.diagonal().mean() + TINY
    system = second + ridge * torch.eye(len(second), dtype=second.dtype, device=second.device)
    solved = torch.zeros_like(weight)
    solved[:, sums.columns] = left + _changes(system, weight @ across - left @ second, held)
    if bias is None:
        return solved, None
    return solved, bias.double() + (weight @ sums.then - solved[:, sums.columns] @ sums.now) / count


def _changes(system: Tensor, wanted: Tensor, held: Tensor) -> Tensor:
    """Δ [out, in] with Δ_S A_SS = B_S for each row's own inputs S, and zero elsewhere; A is positive definite."""
    changes = torch.zeros_like(wanted)
    if not held.numel() or not held.any():
        return changes
    if bool((held == held[0]).all()):
        own = held[0].nonzero().flatten()
        factor = torch.linalg.cholesky(system[own][:, own])
        changes[:, own] = torch.cholesky_solve(wanted[:, own].T, factor).T
        return changes
    counts = held.sum(1)
    few = counts <= len(system) // 2
    for rows in _chunks(counts, few.nonzero().flatten()):
        places, there = _places(held[rows])
        changes[rows] = _scattered(_solve_each(system, wanted[rows], places, there), places, there, len(system))
    if not bool(few.all()):
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(system))
        free = wanted @ inverse
        for rows in _chunks(len(system) - counts, (~few).nonzero().flatten()):
            places, there = _places(~held[rows])
            forced = _scattered(_solve_each(inverse, free[rows], places, there), places, there, len(system))
            changes[rows] = (free[rows] - forced @ inverse).masked_fill(~held[rows], 0.0)
    return changes


def _chunks(sizes: Tensor, rows: Tensor) -> Sequence[Tensor]:
    """Rows whose systems are solved together: of like size, and not too many."""
    if not len(rows):
        return []
    largest = max(1, int(sizes[rows].max()))
    return torch.split(rows[sizes[rows].argsort(stable=True)], max(1, ENTRIES // largest**2))


def _places(held: Tensor) -> tuple[Tensor, Tensor]:
    """Where each row's inputs stand [rows, most], and which of these places are its own and not filled up."""
    most = int(held.sum(1).max())
    places = (~held).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]
    return places, held.gather(1, places)


def _solve_each(system: Tensor, wanted: Tensor, places: Tensor, there: Tensor) -> Tensor:
    """The solution of every row's own system [rows, most], zero in the places that fill up.

    In float32, which takes half the time: the ridge bounds the condition of a system of n inputs by 100 n.
    """
    both = there.unsqueeze(1) & there.unsqueeze(2)
    own = system.float()[places.unsqueeze(2), places.unsqueeze(1)].masked_fill_(~both, 0.0)
    own.diagonal(dim1=1, dim2=2).add_((~there).to(own.dtype))
    sides = wanted.float().gather(1, places).masked_fill(~there, 0.0).unsqueeze(2)
    return torch.cholesky_solve(sides, torch.linalg.cholesky(own)).squeeze(2).to(wanted.dtype)


def _scattered(values: Tensor, places: Tensor, there: Tensor, width: int) -> Tensor:
    whole = values.new_zeros(len(values), width)
    return whole.scatter_(1, places, values.masked_fill(~there, 0.0))
