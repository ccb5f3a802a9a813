"""Every chart of a decomposition's results, at the ratio that is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.verdicts import job_verdict
from app.web.views import charts
from app.web.views.chart_csv import Sheet
from app.web.views.combination import combination_table
from app.web.views.headline import Headline, headline
from app.web.views.hidden_states import Sides, sides
from app.web.views.results import ResultsTable, at_ratio, ratios_of, results_table
from app.web.views.trade_off import TradeOff, trade_off
from microlith.contract import Module, Report, Results


@dataclass(frozen=True)
class View:
    """How the results are looked at: what the address of the page says."""

    sort: str = ""
    descending: bool = False
    ratio: float | None = None
    module: str | None = None


@dataclass(frozen=True)
class ReportView:
    """The table and the charts; a chart is None where nothing was measured for it."""

    ratio: float
    ratios: list[float]
    modules: list[Module]
    rows: int
    verdict: str | None
    headline: list[Headline]
    trade_off: TradeOff | None
    base_macro_f1: float | None
    base_micro_f1: float | None
    base_accuracy: float | None
    table: ResultsTable
    layers: charts.MatrixChart | None
    sides: Sides | None
    overlap: charts.MatrixChart | None
    confusions: charts.Confusions | None
    curves: charts.Curves | None
    costs: charts.Costs

    @property
    def contents(self) -> list[tuple[str, str]]:
        """The sections there are, by anchor and name."""
        there = {
            ("trade-off", "Cost and quality"): self.trade_off,
            ("results", "Results"): self.table,
            ("curves", "Along the ratios"): self.curves,
            ("layers", "Layers"): self.layers,
            ("similarity", "Concern against rest"): self.sides,
            ("overlap", "Overlap"): self.overlap,
            ("confusion", "Confusion"): self.confusions,
            ("cost", "Size and time"): self.costs,
        }
        return [place for place, chart in there.items() if chart]

    def sheet(self, name: str) -> Sheet | None:
        """A chart's data by the name that the page's links use."""
        confusions = self.confusions
        base, module = (confusions.base, confusions.module) if confusions else (None, None)
        sheets = {
            "trade-off": self.trade_off.sheet if self.trade_off else None,
            "results": self.table.sheet,
            "layers": self.layers.heat.sheet if self.layers else None,
            "similarity": self.sides.sheet if self.sides else None,
            "overlap": self.overlap.heat.sheet if self.overlap else None,
            "confusion-base": base.sheet if base else None,
            "confusion-module": module.sheet if module else None,
            "curves": self.curves.sheet if self.curves else None,
            "cost": self.costs.sheet,
        }
        return sheets.get(name)


def sheet_of(results: Results, view: View, name: str) -> Sheet | None:
    """The data of the chart of that name; None where the job has no such chart, or not yet."""
    if name == "combination":
        return combination_table(results.combination).sheet if results.combination else None
    report_view = report(results, view)
    return report_view.sheet(name) if report_view else None


def report(results: Results, view: View) -> ReportView | None:
    """None until the first module is ready."""
    modules = at_ratio(results, view.ratio)
    if not modules:
        return None
    base = results.base.report if results.base else None
    ratio = modules[0].ratio.requested
    overlap = next((measured for measured in results.overlap if measured.ratio == ratio), None)
    chosen = next((module for module in modules if module.id == view.module), modules[0])
    return ReportView(
        ratio=ratio,
        ratios=ratios_of(results),
        modules=modules,
        rows=_examples(modules[0].report),
        verdict=job_verdict(modules, results.baselines),
        headline=headline(modules, results.base),
        trade_off=trade_off(results.modules, results),
        base_macro_f1=base.macro.f1 if base else None,
        base_micro_f1=base.micro.f1 if base and base.micro else None,
        base_accuracy=base.accuracy if base else None,
        table=results_table(modules, view.sort, view.descending),
        layers=charts.layers(modules),
        sides=sides(modules),
        overlap=charts.overlap(overlap, modules[0].report.classes),
        confusions=charts.confusions(base, chosen),
        curves=charts.curves(results),
        costs=charts.costs(modules),
    )


def _examples(measured: Report) -> int:
    """Those that it is of; reports of earlier versions, each example of one class, do not say how many."""
    return sum(row.support for row in measured.classes) if measured.examples is None else measured.examples
