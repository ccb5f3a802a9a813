"""What recovery `distil` needs and how long it learns: the same rules before a job is queued and in the worker."""

from __future__ import annotations

import math
from collections.abc import Mapping

from app.domain.errors import NotEnoughTexts
from microlith.contract import JobSpec

BATCH = 32
"""Examples of one step."""

STEPS, LEAST_EPOCHS = 3400, 4
"""So many steps bring a student near to what it can be; a split of many texts is read so often all the same."""

LEARNING_RATE = 4e-4

LEAST_TEXTS, FEW_TEXTS = 200, 2000
"""Below the first nothing is learned that holds elsewhere; below the second much is lost."""


def epochs_for(spec: JobSpec, texts: int) -> int:
    """How often each of so many texts is learned from."""
    return spec.distil.epochs or max(LEAST_EPOCHS, math.ceil(STEPS * BATCH / texts))


def check_texts(spec: JobSpec, rows: Mapping[str, int]) -> None:
    """Raises NotEnoughTexts where the spec asks to learn from a split of few; `rows` are those of each split."""
    if spec.recovery == "distil" and (texts := rows[spec.distil.texts]) < LEAST_TEXTS:
        raise NotEnoughTexts(
            f"Recovery `distil` learns from the {spec.distil.texts} split, which has {texts:,} examples. It needs "
            f"{LEAST_TEXTS} at least.",
            hint="Name a larger split in `distil.texts`, or use recovery `refit`, which learns from few.",
            pointer="/distil/texts",
        )


def few_texts(spec: JobSpec, rows: Mapping[str, int]) -> list[str]:
    """That the split which is learned from is small; nothing where it is not, or nothing is learned."""
    if spec.recovery != "distil" or (texts := rows[spec.distil.texts]) >= FEW_TEXTS:
        return []
    return [
        f"Modules learn from the {spec.distil.texts} split, which has {texts:,} examples: from fewer than "
        f"{FEW_TEXTS:,} they often come out worse than the base. Compare them with recovery `refit`."
    ]
