"""A module: its card, what it confuses, its layers and its files."""

from __future__ import annotations

from dataclasses import dataclass

from app.web.views import phrases
from app.web.views.chart_csv import Sheet
from app.web.views.charts import Costs, costs, in_order
from app.web.views.files import File, OpeningLines, files_of, openings
from app.web.views.headline import Headline, headline
from app.web.views.scales import Scale
from app.web.views.trade_off import TradeOff, trade_off
from microlith.contract import Job, Module, Report, Results

SHOWN_CONFUSIONS = 6
LAYOUTS = ("portable", "compact", "mask", "onnx")


@dataclass(frozen=True)
class Measure:
    """One measure of the module beside the base's; `better` is whether more is better."""

    name: str
    own: float
    base: float
    better: bool = True

    @property
    def tone(self) -> str:
        return phrases.tone((self.own - self.base) * (1 if self.better else -1))


@dataclass(frozen=True)
class Confused:
    """So many examples of one class given another, by the module and by the base where that was counted."""

    true: str
    given: str
    module: int
    base: int | None


@dataclass(frozen=True)
class ClassLine:
    """F1 on a class, of module and base, and where both lie."""

    label: str
    own: float
    base: float | None
    at: float
    base_at: float | None
    support: int
    concern: bool
    threshold: float | None


@dataclass(frozen=True)
class LayerLine:
    name: str
    sparsity: float


@dataclass(frozen=True)
class ModulePage:
    """Everything a module's page shows."""

    module: Module
    job: Job
    model: str
    what: str
    headline: list[Headline]
    trade_off: TradeOff | None
    measures: list[Measure]
    confused: list[Confused]
    classes: list[ClassLine]
    scale: Scale
    layers: list[LayerLine]
    costs: Costs
    files: list[File]
    openings: list[OpeningLines]
    others: int
    missing: list[str]
    siblings: list[Module]
    reads_text: bool
    before: str | None
    reads_pairs: bool

    def sheet(self, name: str) -> Sheet | None:
        """The data of one of its tables, by the name of its section; None where there is no such table."""
        measures = [(row.name, row.own, row.base) for row in self.measures]
        several = self.module.report.micro is not None
        thresholds = [(row.threshold,) if several else () for row in self.classes]
        classes = [
            (row.label, row.own, row.base, row.support, *more)
            for row, more in zip(self.classes, thresholds, strict=True)
        ]
        confused = [(row.true, row.given, row.module, row.base) for row in self.confused]
        return {
            "trade-off": self.trade_off.sheet if self.trade_off else None,
            "measures": Sheet(("measure", "module", "base"), measures),
            "classes": Sheet(("class", "f1", "base_f1", "examples", *(["threshold"] if several else [])), classes),
            "confusions": Sheet(("true", "given", "module", "base"), confused),
            "layers": Sheet(("layer", "sparsity"), [(row.name, row.sparsity) for row in self.layers]),
        }.get(name)


def module_page(module: Module, job: Job, results: Results) -> ModulePage:
    """`results` are those of its job."""
    base = results.base.report if results.base else None
    files = files_of([module], job)
    there = {file.artifact.layout for file in files}
    scale = Scale.of_fractions(row.f1 for report in (module.report, base) if report for row in report.classes)
    architecture = job.resolved.model.architecture if job.resolved.model else None
    return ModulePage(
        module=module,
        job=job,
        model=phrases.model_name(job),
        what=_what(module, job),
        headline=headline([module], results.base),
        trade_off=trade_off([module], results),
        measures=_measures(module, base),
        confused=_confused(module, base),
        classes=_classes(module, base, scale),
        scale=scale,
        layers=[LayerLine(name, share) for name, share in in_order(module.sparsity.layers)],
        costs=costs([module]),
        files=files,
        openings=openings(files, job),
        others=0,
        missing=[layout for layout in LAYOUTS if layout not in there],
        siblings=[one for one in results.modules if one.ratio.requested == module.ratio.requested],
        reads_text=not (architecture or "").endswith("ForImageClassification"),
        before=_before(module),
        reads_pairs=job.spec.source.text_pair_column is not None,
    )


def _what(module: Module, job: Job) -> str:
    """The card's first sentence."""
    removed, ratio = phrases.percent(module.ratio.achieved), module.ratio
    asked = "" if abs(ratio.requested - ratio.achieved) < 0.0005 else f" ({phrases.percent(ratio.requested)} requested)"
    labels = "the base’s labels" if module.report.micro is None else "those of the base’s labels that reach a threshold"
    answers = labels if module.binary is None else f"“{module.concern.label}” or “rest”"
    return (
        f"The part of {phrases.model_name(job)} that the class {module.concern.label} needs. Method "
        f"{module.method} removed {removed} of the prunable {module.structure}{asked}; "
        f"{phrases.percent(module.sparsity.overall)} of all linear layers is removed. It answers with {answers}."
        f"{_numerics(module)}"
    )


def _before(module: Module) -> str | None:
    """What was measured of the module before it became its files."""
    if module.delivered is None:
        return None
    had = [*(["every class"] if module.binary else []), *(["the whole vocabulary"] if module.vocabulary else [])]
    return (
        f"These are the scores of the files. Before, with {' and '.join(had) or 'weights in float32'}, the F1 was "
        f"{module.own.f1:.3f}. The tables of classes and confusions are of that."
    )


def _numerics(module: Module) -> str:
    """What it was measured in, where that was a question."""
    numerics = module.numerics
    if numerics is None:
        return ""
    apart = round((1 - numerics.agreement) * numerics.examples)
    return (
        f" Measured in {numerics.dtype}: bfloat16 and float32 differ in {apart:,} of {numerics.examples:,} predictions."
    )


def _measures(module: Module, base: Report | None) -> list[Measure]:
    own, of_base, report = module.handed_out, module.base_own, module.delivered or module.report
    rows = [
        Measure("F1", own.f1, of_base.f1),
        Measure("Precision", own.precision, of_base.precision),
        Measure("Recall", own.recall, of_base.recall),
    ]
    if base and report.macro is not None and report.loss is not None:
        rows.append(Measure("Macro-F1, all classes", report.macro.f1, base.macro.f1))
        if report.micro and base.micro:
            rows.append(Measure("Micro-F1, all labels together", report.micro.f1, base.micro.f1))
        rows += [
            Measure("Every label right" if report.micro else "Accuracy", report.accuracy, base.accuracy),
            Measure(
                f"{'Binary cross' if report.micro else 'Cross'}-entropy, nats", report.loss, base.loss, better=False
            ),
        ]
    return rows


def _confused(module: Module, base: Report | None) -> list[Confused]:
    """What the module's class is taken for, and what is taken for it, most often first."""
    if module.report.confusion is None:
        return []
    counts, of_base = module.report.confusion, base and base.confusion
    labels, own = [row.label for row in module.report.classes], module.concern.id
    cells = [(own, other) for other in range(len(labels))] + [(other, own) for other in range(len(labels))]
    confused = [
        Confused(labels[true], labels[given], counts[true][given], of_base[true][given] if of_base else None)
        for true, given in cells
        if true != given and counts[true][given]
    ]
    return sorted(confused, key=lambda line: -line.module)[:SHOWN_CONFUSIONS]


def _classes(module: Module, base: Report | None, scale: Scale) -> list[ClassLine]:
    known = {row.id: row.f1 for row in base.classes} if base else {}
    return [
        ClassLine(
            label=row.label,
            own=row.f1,
            base=known.get(row.id),
            at=scale.at(row.f1),
            base_at=scale.at(known[row.id]) if row.id in known else None,
            support=row.support,
            concern=row.id == module.concern.id,
            threshold=row.threshold,
        )
        for row in module.report.classes
    ]
