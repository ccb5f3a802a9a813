"""Every chart of a decomposition's results, at the ratio that is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from app.web.views import charts
from app.web.views.combination import combination_table
from app.web.views.results import ResultsTable, at_ratio, ratios_of, results_table
from app.web.views.sheets import Sheet
from app.web.views.sides import Sides, sides
from microlith.contract import Module, Results


@dataclass(frozen=True)
class View:
    """How the results are looked at: what the address of the page says."""

    sort: str = ""
    descending: bool = False
    ratio: float | None = None
    module: str | None = None


@dataclass(frozen=True)
class Report:
    """The table and the charts; a chart is None where nothing was measured for it."""

    ratio: float
    ratios: list[float]
    modules: list[Module]
    rows: int
    base_macro_f1: float | None
    base_accuracy: float | None
    table: ResultsTable
    layers: charts.Matrix | None
    sides: Sides | None
    overlap: charts.Matrix | None
    confusions: charts.Confusions | None
    curves: charts.Curves | None
    costs: charts.Costs

    def sheet(self, name: str) -> Sheet | None:
        """A chart's data by the name that the page's links use."""
        base = self.confusions and self.confusions.base
        module = self.confusions and self.confusions.module
        sheets = {
            "results": self.table.sheet,
            "layers": self.layers and self.layers.heat.sheet,
            "similarity": self.sides and self.sides.sheet,
            "overlap": self.overlap and self.overlap.heat.sheet,
            "confusion-base": base and base.sheet,
            "confusion-module": module and module.sheet,
            "curves": self.curves and self.curves.sheet,
            "cost": self.costs.sheet,
        }
        return sheets.get(name) or None


def sheet_of(results: Results, view: View, name: str) -> Sheet | None:
    """The data of the chart of that name; None where the job has no such chart, or not yet."""
    if name == "combination":
        return combination_table(results.combination).sheet if results.combination else None
    found = report(results, view)
    return found and found.sheet(name)


def report(results: Results, view: View) -> Report | None:
    """None until the first module is ready."""
    modules = at_ratio(results, view.ratio)
    if not modules:
        return None
    base = results.base and results.base.report
    ratio = modules[0].ratio.requested
    overlap = next((found for found in results.overlap if found.ratio == ratio), None)
    chosen = next((module for module in modules if module.id == view.module), modules[0])
    return Report(
        ratio=ratio,
        ratios=ratios_of(results),
        modules=modules,
        rows=sum(row.support for row in modules[0].report.classes),
        base_macro_f1=base and base.macro.f1,
        base_accuracy=base and base.accuracy,
        table=results_table(modules, view.sort, view.descending),
        layers=charts.layers(modules),
        sides=sides(modules),
        overlap=charts.overlap(overlap, [module.concern for module in modules]),
        confusions=charts.confusions(base, chosen),
        curves=charts.curves(results),
        costs=charts.costs(modules),
    )
