"""One thing and all its facts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import get_args

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from microlith.contract import (
    DatasetFacts,
    DatasetInfo,
    Job,
    ModelFacts,
    ModelInfo,
    Module,
    Phase,
    Plan,
    Report,
    Resolved,
    Splits,
)
from microlith.display import numbers, tables
from microlith.display.structure_notes import structure_notes

Facts = Mapping[str, RenderableType | None]


def sheet(facts: Facts) -> Table:
    """Name and value, line by line; what is None is left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts.items():
        if value is not None:
            tables.row(grid, name, value)
    return grid


def job(shown: Job) -> RenderableType:
    """What was asked, how far it is, and why it failed if it did."""
    spec, over = shown.spec, shown.finished
    options = spec.method.model_dump(exclude={"name"})
    grid = sheet(
        {
            "job": shown.id,
            "state": _state(shown),
            "progress": None if over else f"{shown.progress.percent:.0f} %",
            "time left": None if over else numbers.duration(shown.progress.eta_seconds),
            "concerns": _concerns(shown),
            "error": Text(f"{shown.error.code}: {shown.error.message}", "red") if shown.error else None,
            "hint": shown.error.hint if shown.error else None,
            "model": _source(spec.model, shown.resolved.model),
            "dataset": _source(spec.source.ref, shown.resolved.dataset),
            "method": ", ".join([spec.method.name, *(f"{option} {value}" for option, value in options.items())]),
            "structure": spec.structure,
            "ratio": tables.ratios(shown),
            "layers": _layers(shown.resolved),
            "labels": ", ".join(f"{key}={value}" for key, value in shown.labels.items()) or None,
            "attempts": str(shown.attempts),
            "made": numbers.when(shown.created_at),
            "started": _when(shown.started_at),
            "finished": _when(shown.finished_at),
            "expires": _when(shown.expires_at),
            "spent": _spent(shown.timings),
        }
    )
    return Group(grid, _files(shown)) if shown.artifacts else grid


def _source(ref: str, source: ModelFacts | DatasetFacts | None) -> str:
    """The reference, after what people call it where that is something else."""
    name = numbers.source_name(ref, source)
    return ref if name == ref else f"{name}, {ref}"


def _when(moment: datetime | None) -> str | None:
    return numbers.when(moment) if moment else None


def _state(shown: Job) -> Text:
    text = numbers.state(shown.state)
    if shown.phase:
        text.append(f", {shown.phase}", "default")
    if shown.queue_position:
        text.append(f", number {shown.queue_position} in the queue", "default")
    return text


def _concerns(shown: Job) -> str:
    counts = shown.concerns
    failed = f", {counts.failed} failed" if counts.failed else ""
    return f"{counts.succeeded} of {counts.total} done{failed}"


def _layers(resolved: Resolved) -> str | None:
    return "\n".join(resolved.layers) or None


def _spent(timings: Mapping[str, float]) -> str | None:
    """Seconds of each phase, in the order they come."""
    phases = [phase for phase in get_args(Phase) if phase in timings]
    return ", ".join(f"{phase} {numbers.duration(timings[phase])}" for phase in phases) or None


def _rows(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{role} {rows[role]}" for role in Splits.model_fields if role in rows)


def plan(made: Plan) -> RenderableType:
    """What a spec would do, before it is sent."""
    concerns = list(dict.fromkeys(planned.concern.label for planned in made.modules))
    model, dataset = made.resolved.model, made.resolved.dataset
    return sheet(
        {
            "model": _source(made.spec.model, model),
            "architecture": model.architecture if model else None,
            "dataset": _source(made.spec.source.ref, dataset),
            "rows": _rows(dataset.rows) if dataset else None,
            "layers": _layers(made.resolved) or "known once the model has been downloaded",
            "concerns": ", ".join(concerns) or "known once the model has been downloaded",
            "ratios": ", ".join(f"{ratio:g}" for ratio in made.spec.ratios),
            "modules": str(len(made.modules)),
            "about": f"{numbers.duration(made.estimate.seconds)} of work, {numbers.size(made.estimate.bytes)} of files",
            "mind": "\n".join(made.warnings) or None,
        }
    )


def module(shown: Module) -> RenderableType:
    """Identity, scores, the whole report and the files."""
    own, base = shown.handed_out, shown.base_own
    facts = sheet(
        {
            "verdict": shown.verdict,
            "module": shown.id,
            "concern": f"{shown.concern.label} (class {shown.concern.id})",
            "job": shown.job_id,
            "method": f"{shown.method}, {shown.structure}",
            "ratio": f"{shown.ratio.requested:g} requested, {shown.ratio.achieved:.4f} achieved",
            "sparsity": f"{shown.sparsity.overall:.4f} of all linear layers",
            "parameters": f"{_count(shown.size.nonzero)} not zero, {_count(shown.size.parameters)} stored; "
            f"{_count(shown.size.base_parameters)} in the base",
            "cost": _cost(shown),
            "own class": f"precision {own.precision:.3f} (base {base.precision:.3f}), "
            f"recall {own.recall:.3f} ({base.recall:.3f}), F1 {own.f1:.3f} ({base.f1:.3f}), {own.support} examples",
            "before": _before(shown),
            "other modules": f"F1 {numbers.score(shown.others_own.f1)} on this class, on average",
            "all classes": f"macro F1 {shown.report.macro.f1:.3f}, {_overall(shown.report)}, "
            f"loss {shown.report.loss:.3f}, exp_loss {shown.report.exp_loss:.3f}",
            "macro change": _macro_change(shown),
            "similarity": _similarity(shown),
        }
    )
    return Group(facts, _report(shown), _files(shown), *([_latencies(shown)] if shown.latencies else []))


def _before(shown: Module) -> str | None:
    """What was measured of the module before it was made ready to be handed out; the report is of that too."""
    if shown.delivered is None:
        return None
    had = [*(["every class"] if shown.binary else []), *(["the whole vocabulary"] if shown.vocabulary else [])]
    return f"F1 {shown.own.f1:.3f} with {' and '.join(had) or 'weights in float32'}, as in the report below"


def _cost(shown: Module) -> str | None:
    if shown.cost is None:
        return None
    return f"{shown.cost.flops_ratio:.3f} of the base's arithmetic, {shown.cost.parameters_ratio:.3f} of its parameters"


def _macro_change(shown: Module) -> str | None:
    change = shown.macro_change
    if change is None:
        return None
    return f"{change.value:+.3f} macro F1 to the base, 95 % interval {change.low:+.3f} to {change.high:+.3f}"


def _similarity(shown: Module) -> str | None:
    if shown.similarity is None:
        return None
    concern, rest = (numbers.score(side.linear_cka) for side in (shown.similarity.concern, shown.similarity.rest))
    return f"to the base, linear CKA: {concern} on the concern, {rest} on the rest"


def _overall(report: Report) -> str:
    if report.micro is None:
        return f"accuracy {report.accuracy:.3f}"
    return f"micro F1 {report.micro.f1:.3f}, every label right {report.accuracy:.3f}"


def _report(shown: Module) -> Table:
    several = shown.report.micro is not None
    scores = ("precision", "recall", "F1", "support", *(["threshold"] if several else []))
    table = tables.plain("class", *scores, right=scores)
    for row in shown.report.classes:
        values = (
            numbers.score(row.precision),
            numbers.score(row.recall),
            numbers.score(row.f1),
            str(row.support),
            *([numbers.score(row.threshold)] if several else []),
        )
        tables.row(table, row.label, *values, style="bold" if row.id == shown.concern.id else None)
    return table


def _files(shown: Module | Job) -> Table:
    table = tables.plain("artifact", "layout", "size", "sha256", right=("size",))
    for artifact in shown.artifacts:
        tables.row(table, artifact.id, artifact.layout, numbers.size(artifact.size_bytes), artifact.sha256)
    return table


def _latencies(shown: Module) -> Table:
    table = tables.plain("layout", "batch", "ms", "base ms", "varied", "on", right=("batch", "ms", "base ms", "varied"))
    for latency in shown.latencies:
        times = [numbers.milliseconds(value) for value in (latency.milliseconds, latency.base_milliseconds)]
        shown_times = times if latency.stable else [numbers.NOTHING] * 2
        varied = numbers.NOTHING if latency.spread is None else f"{100 * latency.spread:.0f} %"
        tables.row(table, latency.layout, str(latency.batch), *shown_times, varied, latency.device)
    return table


def model(shown: ModelInfo) -> RenderableType:
    """Its facts, and its layers with those that are pruned by default."""
    facts = sheet(
        {
            "model": shown.id,
            "name": shown.name,
            "origin": shown.origin,
            "revision": shown.revision,
            "sha256": shown.sha256,
            "content": shown.content_sha256,
            "architecture": shown.architecture,
            "family": shown.family or "not known by name",
            "labels": ", ".join(f"{number} {label}" for number, label in enumerate(shown.labels)) or None,
            "answers": "any number of labels" if shown.multi_label else None,
            "longest input": f"{shown.max_length} tokens" if shown.max_length else None,
            "parameters": _count(shown.parameters) if shown.parameters is not None else None,
            "number type": shown.dtype,
            "size": numbers.size(shown.size_bytes),
            "structures": ", ".join(shown.structures),
            **structure_notes(shown),
            "licence": shown.licence,
        }
    )
    layers = tables.plain("linear layer", "out × in", "pruned by default", right=("out × in",))
    for layer in shown.layers:
        tables.row(layers, layer.name, " × ".join(map(str, layer.shape)), "yes" if layer.feed_forward else "")
    return Group(facts, layers)


def dataset(shown: DatasetInfo) -> RenderableType:
    """Its facts, and how many of each label every split has."""
    facts = sheet(
        {
            "dataset": shown.id,
            "name": shown.name,
            "origin": shown.origin,
            "revision": shown.revision,
            "columns": ", ".join(f"{name} ({kind})" for name, kind in shown.columns.items()),
            "text": shown.text_column,
            "text pair": shown.text_pair_column,
            "image": shown.image_column,
            "label": shown.label_column or ", ".join(shown.label_columns or []) or None,
            "read with": ", ".join(f"{name} {value}" for name, value in shown.form.items()) or None,
            "sha256": shown.sha256,
            "mind": "\n".join(shown.warnings) or None,
            "size": numbers.size(shown.size_bytes),
            "licence": shown.licence,
        }
    )
    splits = tables.plain("label", *shown.splits, right=shown.splits)
    for label in sorted({label for split in shown.splits.values() for label in split.labels}):
        tables.row(splits, label, *(str(split.labels.get(label, 0)) for split in shown.splits.values()))
    splits.add_section()
    tables.row(splits, "rows", *(str(split.rows) for split in shown.splits.values()), style="bold")
    return Group(facts, splits, *([_first_rows(shown)] if shown.first_rows else []))


def _first_rows(shown: DatasetInfo) -> RenderableType:
    """How the first rows are read."""
    rows = tables.plain(*shown.first_rows[0])
    for row in shown.first_rows:
        tables.row(rows, *(numbers.NOTHING if value is None else value for value in row.values()))
    return rows


def _count(number: int) -> str:
    return f"{number:,}"
