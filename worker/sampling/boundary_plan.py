"""What a set of boundary samples is made from, and the name it is found by."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from microlith.contract import Boundary
from worker.sampling.embedding_classifier import Mode

STRIDE = 8
"""Steps between the coarse points of a scan; 1 scans every step."""

RECIPE = 1
"""Goes up whenever the same plan would make other samples."""


@dataclass(frozen=True)
class BoundaryPlan:
    """How many samples of each class to make at the boundary, and how."""

    boundary: Boundary
    per_class: int
    seed: int
    mode: Mode = "inputs"
    stride: int = STRIDE

    def facts(self) -> dict[str, Any]:
        """The plan as JSON takes it."""
        return {
            "boundary": self.boundary.model_dump(mode="json"),
            "per_class": self.per_class,
            "seed": self.seed,
            "mode": self.mode,
            "stride": self.stride,
        }


def identity(model_sha256: str, dataset_sha256: str, classes: int, plan: BoundaryPlan) -> str:
    """The sha256 by which a set is found again: of the model, the data and everything that decides its samples."""
    made_from = {"model": model_sha256, "dataset": dataset_sha256, "classes": classes, "recipe": RECIPE, **plan.facts()}
    return hashlib.sha256(json.dumps(made_from, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
