"""How much the worker takes at a time and keeps: it reads these, and so does the forecast of what a job costs."""

from __future__ import annotations

TOKEN_BUDGET = 2048
"""Positions of one batch, pads included: large enough to fill the cores, small enough to stay in their caches."""

DEVICE_TOKEN_BUDGET = 16_384
"""On another device than the CPU: a small model's kernels are over sooner than they are launched, one by one."""

SOLVED_TOKENS = 16_384
"""Tokens of all examples that layers are solved anew over, about: what a module takes to be solved grows with them."""

KEPT_BYTES = 128 * 2**20
"""What a pass over examples may keep for later: enough for where it pays, the many short texts of small models."""

FILED_BYTES = 2**30
"""What modules share of a split's texts takes on the disk, at most."""
