"""Charts of a job beyond its table: layers, overlap, confusion, cost, and F1 along the ratios of a sweep."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from app.web.views import phrases
from app.web.views.chart_csv import Sheet
from app.web.views.heatmap import Heat, confusion, fractions
from microlith.contract import ClassScore, Module, Overlap, Report, Results
from microlith.display import numbers


@dataclass(frozen=True)
class MatrixChart:
    """A heat map and what it comes to."""

    heat: Heat
    says: str


@dataclass(frozen=True)
class Confusions:
    """Base and one chosen module; `module` is None where the base stands alone."""

    base: Heat | None
    module: Heat | None
    chosen: Module | None
    says: str


@dataclass(frozen=True)
class Curve:
    name: str
    values: list[float | None]
    mean: bool = False


@dataclass(frozen=True)
class Curves:
    """F1 on the own class along the ratios; `base` is the mean of the base's."""

    ratios: list[float]
    curves: list[Curve]
    base: float
    says: str

    @property
    def data(self) -> str:
        """What the script draws."""
        curves = [{"name": curve.name, "values": curve.values, "mean": curve.mean} for curve in self.curves]
        return json.dumps({"ratios": self.ratios, "curves": curves, "base": self.base})

    @property
    def sheet(self) -> Sheet:
        names = [curve.name for curve in self.curves]
        rows = [[ratio, *(curve.values[at] for curve in self.curves)] for at, ratio in enumerate(self.ratios)]
        return Sheet(["ratio", *names], rows)


@dataclass(frozen=True)
class LayoutCost:
    """One layout: the mean size of its files and the time of a pass, with the base's."""

    layout: str
    batch: int | None
    bytes: float | None
    ms: float | None
    base_ms: float | None
    device: str | None

    @property
    def faster(self) -> float | None:
        """How many times as fast as the base."""
        return self.base_ms / self.ms if self.ms and self.base_ms else None


@dataclass(frozen=True)
class Costs:
    rows: list[LayoutCost]
    parameters: int
    nonzero: float
    base_parameters: int
    says: str

    @property
    def longest(self) -> float:
        """Milliseconds at the end of the bars."""
        return max([value for row in self.rows for value in (row.ms, row.base_ms) if value] or [1.0])

    @property
    def sheet(self) -> Sheet:
        columns = ("layout", "batch", "mean_bytes", "ms", "base_ms", "device")
        return Sheet(columns, [[r.layout, r.batch, r.bytes, r.ms, r.base_ms, r.device] for r in self.rows])


def layers(modules: Sequence[Module]) -> MatrixChart | None:
    """Sparsity, layer by concern; layers that no module was pruned in are counted in the sentence only."""
    names = [name for name, _ in in_order({name: share for m in modules for name, share in m.sparsity.layers.items()})]
    touched = [name for name in names if any(module.sparsity.layers.get(name) for module in modules)]
    if not touched:
        return None
    rows = [(name, [module.sparsity.layers.get(name) for module in modules]) for name in touched]
    heat = fractions("layer", [module.concern.label for module in modules], rows, lambda fraction: fraction)
    overall = fmean(module.sparsity.overall for module in modules)
    untouched = len(names) - len(touched)
    rest = f" Not pruned: {phrases.count(untouched, 'layer')}." if untouched else ""
    return MatrixChart(
        heat,
        f"Percent of each layer's weights and biases that are zero or removed. Of all linear layers together "
        f"it is {phrases.percent(overall)} on average.{rest}",
    )


def overlap(measured: Overlap | None, classes: Sequence[ClassScore]) -> MatrixChart | None:
    """How much of what two modules keep is the same, be they measured already or not; None for a single module."""
    if measured is None or len(measured.concerns) < 2:
        return None
    labels_by_id = {row.id: row.label for row in classes}
    labels = [labels_by_id[concern] for concern in measured.concerns]
    pairs = [value for at, row in enumerate(measured.jaccard) for value in row[:at]]
    low, high = min(pairs), max(pairs)
    reach = (high - low) or 1.0
    rows = list(zip(labels, [list[float | None](row) for row in measured.jaccard], strict=True))
    heat = fractions("concern", labels, rows, lambda value: (value - low) / reach * 0.8 + 0.1 if value < 1 else 1.0)
    return MatrixChart(
        heat,
        f"Jaccard index of the units two modules keep, in percent: {100 * low:.0f} to {100 * high:.0f}, "
        f"{100 * fmean(pairs):.0f} on average. Every module keeps {phrases.percent(measured.core)} of all units.",
    )


def confusions(base: Report | None, chosen: Module | None) -> Confusions | None:
    """None where no confusion was counted."""
    whole = base and base.confusion and confusion(_labels(base), base.confusion)
    part = chosen and chosen.report.confusion and confusion(_labels(chosen.report), chosen.report.confusion)
    if not (whole or part):
        return None
    accuracies = [f"the base predicts {phrases.percent(base.accuracy)} of the examples correctly"] if base else []
    if chosen:
        accuracies.append(f"the module of {chosen.concern.label} {phrases.percent(chosen.report.accuracy)}")
    says = f"Rows are the true class, columns the predicted class; {' and '.join(accuracies)}."
    return Confusions(whole or None, part or None, chosen, says)


def curves(results: Results) -> Curves | None:
    """None without a sweep."""
    ratios = [comparison.ratio for comparison in results.comparison]
    if len(ratios) < 2:
        return None
    known = {(module.concern.label, module.ratio.requested): module.handed_out.f1 for module in results.modules}
    labels = list(dict.fromkeys(module.concern.label for module in results.modules))
    drawn = [Curve(label, [known.get((label, ratio)) for ratio in ratios]) for label in labels]
    drawn.insert(0, Curve("mean", [comparison.own_f1 for comparison in results.comparison], mean=True))
    first, last = results.comparison[0], results.comparison[-1]
    says = (
        f"F1 of each module on its own class as more is removed. The mean goes from {numbers.score(first.own_f1)} at "
        f"ratio {first.ratio:g} to {numbers.score(last.own_f1)} at {last.ratio:g}; the base's is "
        f"{numbers.score(last.base_own_f1)}."
    )
    return Curves(ratios, drawn, last.base_own_f1, says)


def costs(modules: Sequence[Module]) -> Costs:
    """Mean size and time of the modules, layout by layout."""
    sizes: dict[str, list[int]] = {}
    for artifact in (artifact for module in modules for artifact in module.artifacts):
        sizes.setdefault(artifact.layout, []).append(artifact.size_bytes)
    rows = [row for layout, layout_sizes in sizes.items() for row in _costs_of(layout, fmean(layout_sizes), modules)]
    nonzero, base = fmean(module.size.nonzero for module in modules), modules[0].size.base_parameters
    says = (
        f"Of the base's {numbers.quantity(base)} parameters {numbers.quantity(round(nonzero))} are not zero in a "
        f"module, {phrases.percent(nonzero / base)}."
    )
    return Costs(rows, round(fmean(module.size.parameters for module in modules)), nonzero, base, says)


def _costs_of(layout: str, size: float, modules: Sequence[Module]) -> list[LayoutCost]:
    """A row for each batch size that the layout was timed with; one without times otherwise."""
    paces = [pace for module in modules for pace in module.latencies if pace.layout == layout and pace.stable]
    batches = sorted({pace.batch for pace in paces})
    if not batches:
        return [LayoutCost(layout, None, size, None, None, None)]
    rows = []
    for batch in batches:
        same = [pace for pace in paces if pace.batch == batch]
        ms, base = fmean(pace.milliseconds for pace in same), fmean(pace.base_milliseconds for pace in same)
        rows.append(LayoutCost(layout, batch, size, ms, base, same[0].device))
    return rows


def _labels(report: Report) -> list[str]:
    return [row.label for row in report.classes]


def in_order(layers: Mapping[str, float]) -> list[tuple[str, float]]:
    """Layers by name, 10 after 9."""

    def place(layer: tuple[str, float]) -> list[tuple[int, int | str]]:
        return [(0, int(part)) if part.isdecimal() else (1, part) for part in layer[0].split(".")]

    return sorted(layers.items(), key=place)
