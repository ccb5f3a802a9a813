"""The cells of `benchmarks.quality`: what is removed, how it is chosen and mended, how much, with which samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from microlith.contract import JobSpec

POOLED = ("wanda-all", "magnitude")
"""Ways to choose that say the same for every concern: one module stands for all, as it does for those that learn."""

METHODS: dict[str, dict[str, Any]] = {
    "ci": {"name": "ci"},
    "wanda": {"name": "wanda"},
    "wanda-all": {"name": "wanda", "samples": "all"},
    "magnitude": {"name": "magnitude"},
    "taylor": {"name": "taylor"},
    "heads": {"name": "heads"},
    "random": {"name": "random"},
}

RATIOS = {
    "weights": (0.6, 0.7, 0.8),
    "neurons": (0.5, 0.75, 0.9),
    "heads": (0.25, 0.5, 0.75),
    "heads+neurons": (0.5, 0.75),
    "layers": (0.34, 0.5, 0.67),
    "layers+heads+neurons": (0.5, 0.75),
}

WAYS = {
    "weights": ("ci none", "wanda-all none", "magnitude none", "wanda-all bias", "ci refit", "wanda-all refit"),
    "neurons": ("ci none", "wanda-all none", "taylor none", "random refit", "ci bias", "ci refit", "wanda-all refit"),
    "heads": ("heads none", "random none", "heads bias", "heads refit"),
    "heads+neurons": ("ci none", "ci bias", "ci refit", "wanda-all refit", "wanda-all distil"),
    "layers": ("ci none",),
    "layers+heads+neurons": ("ci none", "ci refit", "ci distil"),
}
"""Method and recovery. What the engine does not offer is passed over, and said so."""

ALL_LINEARS = {"include": [], "exclude": ["classifier", "pooler", "score"]}
"""Of the encoder."""


@dataclass(frozen=True)
class Lot:
    """Cells that one calibration serves: all ratios of one way, with the samples of one seed."""

    structure: str
    method: str
    recovery: str
    seed: int

    @property
    def ratios(self) -> tuple[float, ...]:
        """How much goes."""
        return RATIOS[self.structure]

    @property
    def name(self) -> str:
        """What `--only` looks at."""
        return f"{self.structure} {self.method} {self.recovery}"

    @property
    def pooled(self) -> bool:
        """Whether one module stands for all."""
        return self.method in POOLED or self.recovery == "distil"

    def spec(self, model: str, data: str, per_concern: int, limit: int | None, epochs: int | None = None) -> JobSpec:
        """The job of these cells. Raises ValidationError for what the engine does not offer."""
        asked: dict[str, Any] = {
            "model": model,
            "dataset": data,
            "structure": self.structure,
            "method": METHODS[self.method],
            "recovery": self.recovery,
            "ratio": list(self.ratios),
            "sampling": {"per_concern": per_concern, "order": "random", "seed": self.seed},
            "evaluation": {"limit": limit, "similarity": False, "latency": False},
            "export": {"layouts": ["compact"]},
        }
        if self.recovery == "distil":
            asked["distil"] = {"epochs": epochs}
        if self.structure == "weights":
            asked["layers"] = ALL_LINEARS
        return JobSpec.model_validate(asked)


def lots(only: Sequence[str], seeds: int) -> Iterator[Lot]:
    """Every lot whose name has one of `only` in it, seed after seed, so that a run that ends early has whole tables."""
    for seed in range(1, seeds + 1):
        for structure, ways in WAYS.items():
            for way in ways:
                lot = Lot(structure, *way.split(), seed)
                if any(part in lot.name for part in only):
                    yield lot
