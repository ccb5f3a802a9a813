"""The arrays that the engine hands on, by what they hold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
"""Row numbers of a split [rows]."""

Labels = npt.NDArray[np.int64]
"""Class ids [rows]."""

Truth = npt.NDArray[np.int64 | np.bool_]
"""What is so of each row: its class id [rows], or whether it has each label [rows, labels]."""

Logits = npt.NDArray[np.float32]
"""What a model answers [rows, classes]."""

Floats = npt.NDArray[np.float32]
"""Pixels, embeddings, states."""
