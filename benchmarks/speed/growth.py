"""Benchmark 4: time grows with the examples and with the concerns, and no faster; memory does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks.speed.child import peak_of
from benchmarks.speed.findings import Figure, Part, Table
from benchmarks.speed.ours import measured, repeated, sources_of
from benchmarks.speed.workload import seeded
from microlith.contract import JobSpec

EXAMPLES = (1_000, 3_000, 10_000, 30_000)
CONCERNS = (2, 10, 30, 100)
CLASSES = 100
OFF, FLAT = 0.10, 1.15

HOW = """\
A tiny BERT of {classes} classes with weights by lot, defaults, all phases of ours. Examples: 2 concerns, test examples
as shown, 500 validation examples. Concerns: 1,000 test and 250 validation examples. A straight line (what a run costs
at all, and what each further example or concern adds) is fitted to the times by least relative squares; the figure is
the point that is furthest from it, relative to the line. Memory is the peak of a fresh process at either end."""


def run(folder: Path) -> Part:
    """Both kinds of growth."""
    by_examples = {rows: seeded(folder / "hundred", CLASSES, rows, 500) for rows in EXAMPLES}
    examples = {rows: workload.spec(concerns=2) for rows, workload in by_examples.items()}
    few = seeded(folder / "hundred", CLASSES, 1_000, 250)
    concerns = {count: few.spec(concerns=count) for count in CONCERNS}
    figures, tables = [], []
    for name, specs in (("test examples", examples), ("concerns", concerns)):
        found = of(name, specs)
        figures += found[0]
        tables.append(found[1])
    return Part("growth", "Growth", HOW.format(classes=CLASSES), figures, tables)


def of(name: str, specs: Mapping[int, JobSpec]) -> tuple[list[Figure], Table]:
    """What grows with a number, over specs by that number."""
    first, *_, last = specs
    measured(specs[first], sources_of(specs[first]))  # warms up
    seconds = {count: repeated(spec, sources_of(spec), 3 if count < last else 1).total for count, spec in specs.items()}
    peaks = {count: peak_of(specs[count]) for count in (first, last)}
    at_all, each = line(seconds)
    off = {count: taken / (at_all + each * count) - 1 for count, taken in seconds.items()}
    figures = [
        Figure(
            f"time off a straight line in {name}, {first:,} to {last:,}", max(map(abs, off.values())), OFF, at_most=True
        ),
        Figure(f"peak memory at {last:,} {name} / at {first:,}", peaks[last] / peaks[first], FLAT, at_most=True),
    ]
    rows = [
        [
            f"{count:,}",
            f"{taken:.2f}",
            f"{1000 * taken / count:.1f}",
            f"{100 * off[count]:+.1f} %",
            memory(peaks, count),
        ]
        for count, taken in seconds.items()
    ]
    return figures, Table([name, "seconds", "ms each", "off the line", "peak, MB"], rows)


def line(seconds: Mapping[int, float]) -> tuple[float, float]:
    """Seconds at all and for each; residuals are relative, so that small runs count as much as large ones."""
    counts, taken = (np.array(values, dtype=float) for values in (list(seconds), list(seconds.values())))
    points = np.stack([np.ones_like(counts), counts], axis=1) / taken[:, None]
    at_all, each = np.linalg.lstsq(points, np.ones_like(taken), rcond=None)[0]
    return float(at_all), float(each)


def memory(peaks: Mapping[int, float], count: int) -> str:
    """A cell of the table."""
    return f"{peaks[count]:.0f}" if count in peaks else ""
