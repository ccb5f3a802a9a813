"""Jobs beside one another: F1 of each concern on its own class, a column for every job and ratio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from microlith.contract import Job, Results
from microlith.display import csv_cells, numbers, tables


@dataclass(frozen=True)
class Column:
    """A job at one ratio: what it was, and own-class F1 by concern, the module's and the base's."""

    number: int
    job: Job
    ratio: float
    f1: dict[str, float]
    base: dict[str, float]
    sparsity: float
    size_bytes: float | None

    @property
    def title(self) -> str:
        """Its job's number and its ratio: short enough for a table's head."""
        return f"{self.number} at {self.ratio:g}"


def compare(documents: Iterable[tuple[Job, Results]]) -> list[Column]:
    """The columns, job by job and ratio by ratio; a job without modules has none."""
    return [
        _column(number, job, document, comparison.ratio)
        for number, (job, document) in enumerate(documents, start=1)
        for comparison in document.comparison
    ]


def table(columns: Sequence[Column]) -> RenderableType:
    """For people: the best of each row in bold, the jobs explained below."""
    if not columns:
        return Text("No module is ready yet.", "dim")
    titles = [column.title for column in columns]
    shown = tables.plain("concern", "base", *titles, right=("base", *titles))
    for concern in concerns(columns):
        values = [column.f1.get(concern) for column in columns]
        tables.row(shown, concern, numbers.score(_base(columns, concern)), *_marked(values))
    shown.add_section()
    tables.row(
        shown,
        Text("mean", "bold"),
        numbers.score(_mean(_bases(columns))),
        *_marked([_mean(column.f1) for column in columns]),
    )
    tables.row(shown, "sparsity", "", *(numbers.score(column.sparsity) for column in columns))
    tables.row(shown, "file, mean", "", *(numbers.size(_whole(column.size_bytes)) for column in columns))
    return Group(shown, *(Text(line, "dim") for line in dict.fromkeys(_describe(column) for column in columns)))


def plain(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """For programs: an object a column."""
    return [
        {
            "job_id": column.job.id,
            "method": column.job.spec.method.name,
            "structure": column.job.spec.structure,
            "ratio": column.ratio,
            "mean_f1": _mean(column.f1),
            "mean_base_f1": _mean(column.base),
            "sparsity": column.sparsity,
            "size_bytes": column.size_bytes,
            "f1": column.f1,
            "base_f1": column.base,
        }
        for column in columns
    ]


def csv(columns: Sequence[Column], *, raw: bool = False) -> str:
    """For spreadsheets: a row a concern; with `raw` also names that they would run."""
    rows = [["concern", "base", *(f"{column.job.id} {column.ratio:g}" for column in columns)]]
    for concern in concerns(columns):
        values = [_base(columns, concern), *(column.f1.get(concern) for column in columns)]
        rows.append([concern, *("" if value is None else f"{value:.4f}" for value in values)])
    return csv_cells.table(rows, raw=raw)


def concerns(columns: Sequence[Column]) -> list[str]:
    """Every concern that any of them has, in their order."""
    return list(dict.fromkeys(concern for column in columns for concern in column.f1))


def _column(number: int, job: Job, document: Results, ratio: float) -> Column:
    modules = [module for module in document.modules if module.ratio.requested == ratio]
    sizes = [module.artifacts[0].size_bytes for module in modules if module.artifacts]
    return Column(
        number=number,
        job=job,
        ratio=ratio,
        f1={module.concern.label: module.handed_out.f1 for module in modules},
        base={module.concern.label: module.base_own.f1 for module in modules},
        sparsity=fmean(module.sparsity.overall for module in modules),
        size_bytes=fmean(sizes) if sizes else None,
    )


def _marked(values: Sequence[float | None]) -> list[Text]:
    best = max((value for value in values if value is not None), default=None)
    several = len(values) > 1
    return [Text(numbers.score(value), "bold" if several and value == best else "") for value in values]


def _base(columns: Sequence[Column], concern: str) -> float | None:
    """The base's F1, if all columns agree about it: jobs of other models or data have other bases."""
    values = {round(column.base[concern], 6) for column in columns if concern in column.base}
    return values.pop() if len(values) == 1 else None


def _bases(columns: Sequence[Column]) -> dict[str, float]:
    values = {concern: _base(columns, concern) for concern in concerns(columns)}
    return {concern: value for concern, value in values.items() if value is not None}


def _mean(values: dict[str, float]) -> float | None:
    return fmean(values.values()) if values else None


def _whole(size: float | None) -> int | None:
    return None if size is None else round(size)


def _describe(column: Column) -> str:
    spec, resolved = column.job.spec, column.job.resolved
    options = spec.method.model_dump(exclude={"name"}, exclude_defaults=True)
    method = " ".join([spec.method.name, *(f"{name} {value}" for name, value in options.items())])
    sources = (
        f"{numbers.source_name(spec.model, resolved.model)} on {numbers.source_name(spec.source.ref, resolved.dataset)}"
    )
    return f"{column.number}  {column.job.id}: {method}, {spec.structure}, {sources}"
