"""Cost against quality: a point for every module, the base, and what is had without a transformer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.web.views.chart_csv import Sheet
from app.web.views.scales import Scale
from microlith.contract import Module, Results
from microlith.display import numbers

BASE, WORDS, MOST = "base", "bag of words", "most frequent class"
KINDS = {BASE: "base", WORDS: "words", MOST: "words"}

ACROSS = Scale(0.0, 1.0, 0.2)
"""Of the base's arithmetic."""


@dataclass(frozen=True)
class TradePoint:
    """A classifier: where it lies in percent of the chart, `at` from the left and `down` from the top.

    `kind` is `own` for a module, `base` or `words`. Where it lies beyond the chart, `drawn` is false.
    """

    name: str
    kind: str
    ratio: float | None
    flops: float
    parameters: float | None
    quality: float
    at: float
    down: float
    drawn: bool = True
    module_id: str | None = None

    @property
    def said(self) -> str:
        """The point in words."""
        ratio = "" if self.ratio is None else f" at ratio {self.ratio:g}"
        return f"{self.name}{ratio}: F1 {numbers.score(self.quality)} at {self.flops:.2f} of the arithmetic"


@dataclass(frozen=True)
class TradeOff:
    """The chart, its scales and what it says."""

    points: list[TradePoint]
    across: Scale
    up: Scale
    says: str

    @property
    def sheet(self) -> Sheet:
        """Every point, unrounded."""
        rows = [[p.name, p.ratio, p.flops, p.parameters, p.quality] for p in self.points]
        return Sheet(("classifier", "ratio", "flops_ratio", "parameters_ratio", "f1"), rows)


def trade_off(modules: Sequence[Module], results: Results) -> TradeOff | None:
    """The chart of these modules of a job. None where no cost is known, as of modules of earlier versions."""
    costed = [(module, module.cost) for module in modules if module.cost]
    if not costed:
        return None
    binary = all(module.binary for module in modules)
    others = _others(results, [module.concern.label for module in modules], binary)
    qualities = [_quality(module, binary) for module, _ in costed]
    up = Scale.of_fractions([*qualities, *(score for name, score in others.items() if name != MOST)])
    points = [
        TradePoint(
            name=module.concern.label,
            kind="own",
            ratio=module.ratio.requested,
            flops=cost.flops_ratio,
            parameters=cost.parameters_ratio,
            quality=quality,
            at=ACROSS.at(cost.flops_ratio),
            down=100 - up.at(quality),
            module_id=module.id,
        )
        for (module, cost), quality in zip(costed, qualities, strict=True)
    ]
    points += [
        TradePoint(
            name=name,
            kind=KINDS[name],
            ratio=None,
            flops=float(name == BASE),
            parameters=1.0 if name == BASE else None,
            quality=score,
            at=ACROSS.at(float(name == BASE)),
            down=100 - up.at(score),
            drawn=up.low <= score <= up.high,
        )
        for name, score in others.items()
    ]
    return TradeOff(points, ACROSS, up, _sentence(qualities, others, binary))


def _quality(module: Module, binary: bool) -> float:
    """F1 of the files; with two answers, that of the concern."""
    if binary and module.binary:
        return (module.delivered or module.binary).f1
    macro = module.delivered.macro if module.delivered else None
    return (macro or module.report.macro).f1


def _others(results: Results, labels: Iterable[str], binary: bool) -> dict[str, float]:
    """What modules are compared with, by the measure that they are compared by."""
    names, known = set(labels), results.baselines
    found: dict[str, dict[str, float]] = {}
    if results.base:
        found[BASE] = {row.label: row.f1 for row in results.base.report.classes}
    for name, score in ((WORDS, known and known.bag_of_words), (MOST, known and known.majority)):
        if score:
            found[name] = score.own_f1
    chosen = {name: [v for label, v in f1.items() if not binary or label in names] for name, f1 in found.items()}
    return {name: sum(values) / len(values) for name, values in chosen.items() if values}


def _sentence(qualities: Sequence[float], others: dict[str, float], binary: bool) -> str:
    measure = "F1 of the concern against the rest" if binary else "Macro-F1 of all classes"
    low, high = numbers.score(min(qualities)), numbers.score(max(qualities))
    who = "Modules" if len(qualities) > 1 else "Module"
    span = low if low == high else f"{low} to {high}"
    rest = "".join(f", {name} {numbers.score(score)}" for name, score in others.items())
    return (
        f"{measure} against the arithmetic of the encoder, which is 1 for the base. {who} {span}{rest}. A module is "
        "worth having if it lies left of the base and above the bag of words."
    )
