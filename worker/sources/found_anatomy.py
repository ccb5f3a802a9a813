"""The anatomy of an open model: by the names of its family, or found in it and proved by removal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from worker.compute.batches import Batch, device_of, pad
from worker.compute.examples import Examples, PixelExamples
from worker.compute.memory import out_of_memory
from worker.families.anatomy import Anatomy, anatomy
from worker.families.discovery import find_parts
from worker.pruning.proof import proved
from worker.sources.library_errors import first_line
from worker.sources.model_trial import draw_texts

TOKENS = 8
"""Of each of the two texts that it is shown."""


def find_anatomy(model: Any, tokenizer: Any, image_shape: Sequence[int] | None, max_length: int) -> Anatomy:
    """The anatomy of a classifier, the same each time it is asked for; of an unknown family, with reasons for what it

    lacks.
    """
    known = anatomy(model)
    if known.family is not None:
        return known
    try:
        batch = _shown(model, tokenizer, image_shape, max_length)
        return proved(model, batch, find_parts(model, batch))
    except Exception as error:  # whatever an architecture does that cannot be followed
        if out_of_memory(error):
            raise
        why = f"A run of it cannot be followed: {first_line(error)}"
        return replace(known, lacking={"neurons": why, "heads": why})


def _shown(model: Any, tokenizer: Any, image_shape: Sequence[int] | None, max_length: int) -> Batch:
    """Two examples of equal length, drawn by a seed."""
    length = min(TOKENS, max_length)
    rows = np.arange(2)
    examples: Examples = draw_texts(model, tokenizer, [length, length]) if image_shape is None else _images(image_shape)
    return pad(examples, rows, int(examples.lengths(rows).max()), device_of(model))


def _images(shape: Sequence[int]) -> PixelExamples:
    pixels = np.random.default_rng(0).standard_normal((2, *shape), dtype=np.float32)
    return PixelExamples(pixels, np.zeros(2, dtype=np.int64), patch=shape[1])
