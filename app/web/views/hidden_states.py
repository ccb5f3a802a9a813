"""How far a module's hidden states moved from the base's: on its concern, and on the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from app.web.views.chart_csv import Sheet
from app.web.views.scales import Scale
from microlith.contract import Module, SideSimilarity
from microlith.display import numbers

MEASURES = ("linear_cka", "kernel_cka", "cca", "agreement", "kl")


@dataclass(frozen=True)
class Side:
    """A concern's two values of linear CKA and where they lie."""

    label: str
    module_id: str
    concern: SideSimilarity
    rest: SideSimilarity
    concern_at: float | None
    rest_at: float | None

    @property
    def left(self) -> float:
        return min(at for at in (self.concern_at, self.rest_at) if at is not None)

    @property
    def width(self) -> float:
        return round(abs((self.concern_at or 0) - (self.rest_at or 0)), 2)

    @property
    def whole(self) -> bool:
        return self.concern_at is not None and self.rest_at is not None


@dataclass(frozen=True)
class Sides:
    """All of them, with a sentence."""

    rows: list[Side]
    scale: Scale
    says: str
    sheet: Sheet


def sides(modules: Sequence[Module]) -> Sides | None:
    """None where similarity was not measured."""
    measured = [(module, module.similarity) for module in modules if module.similarity]
    if not measured:
        return None
    pairs = [(module, states.concern, states.rest) for module, states in measured]
    scale = Scale.of_fractions(v for _, *both in pairs for side in both if (v := side.linear_cka) is not None)
    rows = [
        Side(module.concern.label, module.id, concern, rest, _at(scale, concern), _at(scale, rest))
        for module, concern, rest in pairs
    ]
    columns = ["concern", *(f"{side}_{measure}" for side in ("concern", "rest") for measure in MEASURES)]
    cells = [
        [module.concern.label, *(getattr(side, measure) for side in both for measure in MEASURES)]
        for module, *both in pairs
    ]
    return Sides(rows, scale, _says([(concern, rest) for _, concern, rest in pairs]), Sheet(columns, cells))


def _at(scale: Scale, side: SideSimilarity) -> float | None:
    return None if side.linear_cka is None else scale.at(side.linear_cka)


def _says(pairs: Sequence[tuple[SideSimilarity, SideSimilarity]]) -> str:
    means = []
    for number in (0, 1):
        values = [value for pair in pairs if (value := pair[number].linear_cka) is not None]
        means.append(fmean(values) if values else None)
    return (
        f"Linear CKA to the base is {numbers.score(means[0])} on the concern's samples and {numbers.score(means[1])} "
        "on the rest, on average. 1 means no change. A module that forgot the rest has a lower value there."
    )
