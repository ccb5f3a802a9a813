"""Lists of things, and the results of a job: module beside base, concern by concern."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from microlith.contract import (
    Baselines,
    Combination,
    Comparison,
    DatasetInfo,
    Job,
    Latency,
    Methods,
    ModelInfo,
    Module,
    Prediction,
    Results,
)
from microlith.display import numbers


def plain(*headers: str, right: Iterable[str] = (), title: str | None = None) -> Table:
    """A table without walls; what is an id or a name is never cut."""
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for header in headers:
        table.add_column(header, justify="right" if header in right else "left", overflow="fold")
    return table


def row(table: Table, *cells: RenderableType, style: str | None = None) -> None:
    """Add a row. Text is taken as it is: a label with brackets is not markup."""
    table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells), style=style)


def jobs(items: Iterable[Job]) -> Table:
    """A line a job, with its percent while it runs and its age."""
    table = plain("id", "state", "concerns", "model", "dataset", "ratio", "made", right=("concerns",))
    table.columns[0].no_wrap = True
    for job in items:
        state = numbers.state(job.state)
        if job.state == "running":
            state.append(f" {job.progress.percent:.0f} %")
        row(
            table,
            job.id,
            state,
            f"{job.concerns.succeeded}/{job.concerns.total}",
            numbers.source_name(job.spec.model, job.resolved.model),
            numbers.source_name(job.spec.source.ref, job.resolved.dataset),
            ratios(job),
            numbers.ago(job.created_at),
        )
    return table


def results(document: Results) -> RenderableType:
    """One block per ratio: precision, recall and F1 on the concern's own class, each with the base's beside it."""
    if not document.comparison:
        return Text("No module is ready yet.", "dim")
    blocks: list[RenderableType] = [Text(document.verdict, "bold")] if document.verdict else []
    blocks += [_table_of_ratio(document, comparison) for comparison in document.comparison]
    return Group(*blocks, Text(_legend(document), "dim"))


def _table_of_ratio(document: Results, comparison: Comparison) -> Table:
    modules = [module for module in document.modules if module.ratio.requested == comparison.ratio]
    achieved = sorted({numbers.score(module.ratio.achieved) for module in modules})
    between = "–".join(dict.fromkeys((achieved[0], achieved[-1])))
    title = f"Requested ratio {comparison.ratio:g} (achieved {between}), {comparison.concerns} concerns"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", padding=0)
    table.add_column("concern", overflow="fold", vertical="bottom")
    for header in (
        "precision\n/ base",
        "recall\n/ base",
        "F1\n/ base",
        "F1\nchange",
        "spar-\nsity",
        "\nsize",
        "ms\n/ base",
    ):
        table.add_column(header, justify="right", no_wrap=True)
    for module in modules:
        row(table, *_row(module))
    table.add_section()
    means = _beside(comparison.own_f1, comparison.base_own_f1)
    row(table, Text("mean", "bold"), "", "", means, numbers.change(comparison.change))
    return table


def _row(module: Module) -> list[str | Text]:
    own, base = module.handed_out, module.base_own
    return [
        module.concern.label,
        _beside(own.precision, base.precision),
        _beside(own.recall, base.recall),
        _beside(own.f1, base.f1),
        numbers.change(own.f1 - base.f1),
        numbers.score(module.sparsity.overall),
        numbers.size(module.artifacts[0].size_bytes if module.artifacts else None),
        _latency(module.latency),
    ]


def _latency(latency: Latency | None) -> str | Text:
    if latency is None or not latency.stable:
        return numbers.NOTHING
    base = numbers.milliseconds(latency.base_milliseconds)
    return Text.assemble(numbers.milliseconds(latency.milliseconds), (f"/{base}", "dim"))


def _beside(own: float, base: float) -> Text:
    return Text.assemble(numbers.score(own), (f"/{numbers.score(base)}", "dim"))


def _legend(document: Results) -> str:
    note = f"{_floor(document.baselines)}Sparsity counts all linear layers. {_files(document.modules)}"
    if document.base is None:
        return note
    report = document.base.report
    examples = sum(row.support for row in report.classes) if report.examples is None else report.examples
    accuracy = f"its accuracy {report.accuracy:.3f}"
    if report.micro:
        accuracy = f"its micro F1 {report.micro.f1:.3f}; every label is right of {report.accuracy:.3f}"
    whole = f"The base's macro F1 is {report.macro.f1:.3f}, {accuracy}"
    return f"{whole}, on {examples} examples. {note}"


def _floor(known: Baselines | None) -> str:
    """What is had without a transformer."""
    if known is None:
        return ""
    scores = {"a bag of words": known.bag_of_words, "the most frequent class alone": known.majority}
    said = [f"{name} {numbers.score(score.macro_f1)}" for name, score in scores.items() if score]
    return f"Macro F1 without the base: {', '.join(said)}. " if said else f"{known.reason} "


def _files(modules: Sequence[Module]) -> str:
    """The mean size of the files of each layout, and what the milliseconds are of."""
    sizes: dict[str, list[int]] = {}
    for artifact in (artifact for module in modules for artifact in module.artifacts):
        sizes.setdefault(artifact.layout, []).append(artifact.size_bytes)
    means = ", ".join(f"{layout} {numbers.size(round(fmean(counts)))}" for layout, counts in sizes.items())
    timed = next((module.latency for module in modules if module.latency), None)
    unit = f" Milliseconds are of one input on {timed.device}, as {timed.layout}." if timed else ""
    restless = " Some varied too much to be printed: the machine was busy." if _any_unstable(modules) else ""
    return f"Mean file size: {means or 'no files yet'}.{unit}{restless}"


def _any_unstable(modules: Sequence[Module]) -> bool:
    return any(not module.latency.stable for module in modules if module.latency)


def modules(items: Iterable[Module]) -> Table:
    table = plain(
        "id", "concern", "ratio", "F1", "base F1", "change", "files", right=("ratio", "F1", "base F1", "change")
    )
    table.columns[0].no_wrap = True
    for module in items:
        own, base = module.handed_out.f1, module.base_own.f1
        files = ", ".join(f"{artifact.layout} {numbers.size(artifact.size_bytes)}" for artifact in module.artifacts)
        scores = (numbers.score(own), numbers.score(base), numbers.change(own - base))
        row(table, module.id, module.concern.label, f"{module.ratio.requested:g}", *scores, files)
    return table


def models(items: Iterable[ModelInfo]) -> Table:
    """A line for each: its architecture, how many classes it tells apart, how large it is."""
    counted = ("labels", "parameters", "size")
    table = plain("reference", "name", "architecture", *counted, "licence", right=counted)
    for model in items:
        labels = len(model.labels) if model.label_count is None else model.label_count
        facts = (str(labels), numbers.quantity(model.parameters), numbers.size(model.size_bytes))
        row(table, model.id, model.name or "", model.architecture or numbers.NOTHING, *facts, model.licence or "")
    return table


def datasets(items: Iterable[DatasetInfo]) -> Table:
    """A line for each: rows by split, and the columns that are read and that hold the labels."""
    table = plain("reference", "name", "rows", "input", "label", "size", "licence", right=("size",))
    for dataset in items:
        rows = ", ".join(f"{name} {split.rows}" for name, split in dataset.splits.items())
        inputs = (dataset.text_column, dataset.text_pair_column, dataset.image_column)
        columns = (
            ", ".join(filter(None, inputs)) or numbers.NOTHING,
            dataset.label_column or ", ".join(dataset.label_columns or []) or numbers.NOTHING,
        )
        row(
            table,
            dataset.id,
            dataset.name or "",
            rows,
            *columns,
            numbers.size(dataset.size_bytes),
            dataset.licence or "",
        )
    return table


def methods(offered: Methods) -> RenderableType:
    """Methods with their options, structures, and every other part of a spec with its default."""
    scoring = plain("method", "structures", "what it does", title="Methods")
    for method in offered.methods:
        row(scoring, method.name, ", ".join(method.structures), method.description)
        for name, option in method.json_schema.get("properties", {}).items():
            if name != "name":
                choices = " | ".join(map(str, option.get("enum", []))) or option.get("type", "")
                row(scoring, f"  {name}", choices, option.get("description", ""))
    structures = plain("structure", "what is removed", title="Structures")
    for structure in offered.structures:
        row(structures, structure.name, structure.description)
    options = plain("option", "default", "what it means", title="Options")
    for option in offered.options:
        row(options, option.name, _default(option.default), option.description)
    return Group(scoring, structures, options)


def _default(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_default(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_default, value)) or "none"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def combination(document: Combination) -> Table:
    """The combined classifier beside the original: macro-F1, accuracy, and F1 of each concern, with intervals."""
    measures = document.comparison
    table = plain("", "module of", "combined", "original", "difference", right=("combined", "original", "difference"))
    lines = [("macro-F1", "", measures.macro_f1), ("accuracy", "", measures.accuracy)]
    lines += [(concern.label, concern.model, concern.f1) for concern in measures.concerns]
    for name, model, compared in lines:
        difference = compared.difference
        change = f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
        row(table, name, model, f"{compared.combined.value:.3f}", f"{compared.reference.value:.3f}", change)
    return table


def prediction(document: Prediction) -> Table:
    """Each text, or pair, with the answer of base and module, and how sure each is of its own."""
    table = plain("text", "base", "", "module", "", right=("",))
    for predicted in document.inputs:
        cells = []
        for answer, labels in ((predicted.base, document.labels), (predicted.module, document.module_labels)):
            cells += [answer.said, numbers.score(answer.probabilities[labels.index(answer.label)])]
        agree = predicted.base.said == predicted.module.said
        texts = "\n".join(filter(None, (predicted.text, predicted.text_pair)))
        row(table, texts, *cells, style=None if agree else "bold")
    return table


def ratios(job: Job) -> str:
    return ", ".join(f"{ratio:g}" for ratio in job.spec.ratios)
