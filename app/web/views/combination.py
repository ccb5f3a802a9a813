"""What came of a combination: the combined classifier beside the original, measure by measure."""

from __future__ import annotations

from dataclasses import dataclass

from app.web.views import phrases
from app.web.views.chart_csv import Sheet
from app.web.views.scales import Scale
from microlith.contract import Combination, Compared


@dataclass(frozen=True)
class Difference:
    """One measure; `sure` where the interval of the difference leaves zero out."""

    name: str
    model: str
    module: str | None
    compared: Compared
    tone: str
    sure: bool
    at: float
    low: float
    high: float

    @property
    def width(self) -> float:
        return round(self.high - self.low, 2)


@dataclass(frozen=True)
class CombinationTable:
    told: Combination
    rows: list[Difference]
    scale: Scale
    sheet: Sheet
    says: str


def combination_table(combination: Combination) -> CombinationTable:
    """A combined classifier beside the original: as a whole, then by concern, each with its interval."""
    measured = combination.comparison
    lines: list[tuple[str, str, str | None, Compared]] = [
        ("macro-F1", "", None, measured.macro_f1),
        ("accuracy", "", None, measured.accuracy),
        *(
            (concern.label, phrases.short_name(concern.model), concern.module, concern.f1)
            for concern in measured.concerns
        ),
    ]
    scale = Scale.about_zero(end for *_, c in lines for end in (c.difference.low, c.difference.high))
    rows = [_difference(scale, *line) for line in lines]
    change = measured.macro_f1.difference
    says = (
        f"Macro-F1 changed by {phrases.signed(change.value)}, between {phrases.signed(change.low)} and "
        f"{phrases.signed(change.high)} with {phrases.percent(measured.confidence)}, on {measured.rows:,} examples "
        f"beside {phrases.short_name(measured.reference)}, which chooses among the same labels only."
    )
    return CombinationTable(combination, rows, scale, _sheet(lines), says)


def _difference(scale: Scale, name: str, model: str, module: str | None, compared: Compared) -> Difference:
    change = compared.difference
    return Difference(
        name=name,
        model=model,
        module=module,
        compared=compared,
        tone=phrases.tone(change.value),
        sure=change.low > 0 or change.high < 0,
        at=scale.at(change.value),
        low=scale.at(change.low),
        high=scale.at(change.high),
    )


def _sheet(lines: list[tuple[str, str, str | None, Compared]]) -> Sheet:
    parts = ("combined", "reference", "difference")
    columns = ["measure", "model", *(f"{part}{end}" for part in parts for end in ("", "_low", "_high"))]
    rows = [
        [name, model, *(getattr(getattr(c, part), end) for part in parts for end in ("value", "low", "high"))]
        for name, model, _, c in lines
    ]
    return Sheet(columns, rows)
