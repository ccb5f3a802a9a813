"""The results of a decomposition: module beside base, concern by concern, at one ratio of the sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from app.web.views import phrases
from app.web.views.chart_csv import Sheet
from app.web.views.scales import Scale
from microlith.contract import Module, OwnScore, Results
from microlith.display import numbers

SortKey = Callable[["ResultsLine"], tuple[bool, float | str]]


@dataclass(frozen=True)
class Strip:
    """Where an F1 and its 95 % interval lie on the strip, in percent of its width; the interval where it is known."""

    at: float
    low: float | None
    high: float | None

    @property
    def width(self) -> float:
        return round((self.high or 0) - (self.low or 0), 2)


@dataclass(frozen=True)
class ResultsLine:
    """A module beside the base. A change is `beyond` chance where the base's F1 lies outside the module's interval."""

    module: Module
    change: float
    tone: str
    beyond: bool
    strip: Strip
    base_at: float
    bar_at: float
    bar_width: float

    @property
    def size(self) -> int | None:
        return self.module.artifacts[0].size_bytes if self.module.artifacts else None

    @property
    def said(self) -> str:
        """The strip in words."""
        return _interval_said(self.module.handed_out)


@dataclass(frozen=True)
class ResultsTable:
    """Sorted lines with the scales of their strips."""

    lines: list[ResultsLine]
    scale: Scale
    changes: Scale
    sort: str
    descending: bool
    mean_own: float
    mean_base: float
    sheet: Sheet

    @property
    def mean_change(self) -> float:
        return self.mean_own - self.mean_base


def _by(measure: Callable[[ResultsLine], float | None]) -> SortKey:
    """In order of a measure; what was not measured comes last."""

    def order(line: ResultsLine) -> tuple[bool, float | str]:
        value = measure(line)
        return value is None, value or 0.0

    return order


ORDERS: dict[str, SortKey] = {
    "concern": lambda line: (False, line.module.concern.label),
    "f1": _by(lambda line: line.module.handed_out.f1),
    "change": _by(lambda line: line.change),
    "precision": _by(lambda line: line.module.handed_out.precision),
    "recall": _by(lambda line: line.module.handed_out.recall),
    "others": _by(lambda line: line.module.others_own.f1),
    "sparsity": _by(lambda line: line.module.sparsity.overall),
    "size": _by(lambda line: line.size),
    "ms": _by(lambda line: line.module.latency.milliseconds if line.module.latency else None),
}
"""What the table can be sorted by, as the address of the page names it."""


def results_table(modules: Sequence[Module], sort: str = "", descending: bool = False) -> ResultsTable:
    """The table of these modules, in their own order unless it is sorted by one of `ORDERS`. There is one at least."""
    scale = Scale.of_fractions(
        value for m in modules for value in (m.handed_out.f1, m.base_own.f1, *(m.handed_out.f1_interval or ()))
    )
    changes = Scale.about_zero(module.handed_out.f1 - module.base_own.f1 for module in modules)
    lines = [_line(module, scale, changes) for module in modules]
    if sort in ORDERS:
        lines = sorted(lines, key=ORDERS[sort], reverse=descending)
    return ResultsTable(
        lines=lines,
        scale=scale,
        changes=changes,
        sort=sort if sort in ORDERS else "",
        descending=descending,
        mean_own=fmean(module.handed_out.f1 for module in modules),
        mean_base=fmean(module.base_own.f1 for module in modules),
        sheet=results_sheet(modules),
    )


def at_ratio(results: Results, ratio: float | None) -> list[Module]:
    """The modules of one ratio of a sweep: the one asked for, or the mildest there is."""
    ratios = ratios_of(results)
    chosen = ratio if ratio in ratios else next(iter(ratios), None)
    return [module for module in results.modules if module.ratio.requested == chosen]


def ratios_of(results: Results) -> list[float]:
    return [comparison.ratio for comparison in results.comparison]


def results_sheet(modules: Sequence[Module]) -> Sheet:
    """Everything the table shows, unrounded."""
    columns = (
        *("ratio", "concern", "precision", "base_precision", "recall", "base_recall", "f1", "f1_low", "f1_high"),
        *("base_f1", "change", "support", "others_f1", "sparsity", "achieved_ratio", "bytes", "ms", "base_ms"),
        *("flops_ratio", "parameters_ratio", "macro_f1", "macro_change", "macro_change_low", "macro_change_high"),
    )
    return Sheet(columns, [_figures(module) for module in modules])


def _figures(module: Module) -> list[str | int | float | None]:
    own, base, pace, cost = module.handed_out, module.base_own, module.latency, module.cost
    change = module.macro_change
    low, high = own.f1_interval or (None, None)
    return [
        *(module.ratio.requested, module.concern.label, own.precision, base.precision, own.recall, base.recall),
        *(own.f1, low, high, base.f1, own.f1 - base.f1, own.support, module.others_own.f1, module.sparsity.overall),
        *(module.ratio.achieved, module.artifacts[0].size_bytes if module.artifacts else None),
        *((pace.milliseconds, pace.base_milliseconds) if pace else (None, None)),
        *((cost.flops_ratio, cost.parameters_ratio) if cost else (None, None)),
        *(module.report.macro.f1, *((change.value, change.low, change.high) if change else (None, None, None))),
    ]


def _line(module: Module, scale: Scale, changes: Scale) -> ResultsLine:
    change = module.handed_out.f1 - module.base_own.f1
    low, high = module.handed_out.f1_interval or (None, None)
    zero, end = changes.at(0.0), changes.at(change)
    return ResultsLine(
        module=module,
        change=change,
        tone=phrases.tone(change),
        beyond=low is not None and high is not None and not low <= module.base_own.f1 <= high,
        strip=Strip(
            scale.at(module.handed_out.f1),
            None if low is None else scale.at(low),
            None if high is None else scale.at(high),
        ),
        base_at=scale.at(module.base_own.f1),
        bar_at=min(zero, end),
        bar_width=round(abs(end - zero), 2),
    )


def _interval_said(own: OwnScore) -> str:
    if own.f1_interval is None:
        return f"F1 {numbers.score(own.f1)}"
    low, high = map(numbers.score, own.f1_interval)
    return f"F1 {numbers.score(own.f1)}, 95 % interval {low} to {high}"
