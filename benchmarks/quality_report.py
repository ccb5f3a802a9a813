"""The table of `benchmarks.quality` for people: means with intervals, what each step gains, and a picture.

Intervals hold 95 % of 1,000 paired bootstrap resamples of the test examples: every classifier meets the same ones. A
cell's figure is the mean over its modules and seeds, in every resample anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.quality_picture import Dot, draw
from benchmarks.quality_scores import unpack

Record = Mapping[str, Any]
Values = npt.NDArray[np.float64]
Groups = dict[tuple[str, str, str, float], list[Record]]
"""The seeds of every cell, by what is removed, method, recovery and ratio."""

RESAMPLES, SEED = 1000, 0
LINES = ("first ", "bag of words", "majority", "base")


def write_report(rows: Mapping[str, Record], name: str, file: Path) -> None:
    """The report in Markdown, and its picture beside it."""
    if "base" not in rows:
        return
    judge = Judge(rows["base"])
    groups = _grouped(rows.values())
    picture = file.with_suffix(".svg")
    picture.write_text(draw(_dots(rows, groups)), encoding="utf-8")
    head = (
        f"`make bench-quality`, {name}, {judge.rows:,} test examples of {judge.classes} classes. Cost is the "
        "arithmetic of the encoder for a token against the base’s, embeddings apart; a weight at zero costs as much as "
        "any other. Macro-F1 is the mean over modules and seeds, and `to the base` its change with the 95 % interval "
        "of paired resamples of the examples. Binary F1 is the mean over all classes, each against the rest at a "
        "threshold chosen on the validation split. Seconds are those that one module takes to make, "
        "after what all modules share and without evaluation."
    )
    parts = [
        f"# Quality for its cost: {name}",
        head,
        f"![Cost against macro-F1]({picture.name})",
        "## What must be beaten",
        _floor(rows, judge),
        "## Modules",
        _modules(groups, judge),
        _steps(groups, judge),
    ]
    file.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


class Judge:
    """Resamples of the test examples that every classifier is measured on."""

    def __init__(self, base: Record) -> None:
        self.labels, self.classes = unpack(base["labels"]), int(base["classes"])
        self.rows = len(self.labels)
        drawn = np.random.default_rng(SEED).multinomial(self.rows, np.full(self.rows, 1 / self.rows), RESAMPLES)
        self._weights = np.concatenate([np.ones((1, self.rows)), drawn]).astype(np.float32)
        self.base = self.macro_f1(base["answers"])

    def macro_f1(self, answers: str) -> Values:
        """Of one classifier's packed answers: as they are, then in every resample [1 + resamples]."""
        truth, given = (ids[:, None] == np.arange(self.classes) for ids in (self.labels, unpack(answers)))
        hits = self._weights @ (truth & given).astype(np.float32)
        sizes = self._weights @ (truth.astype(np.float32) + given)
        f1 = np.divide(2 * hits, sizes, out=np.zeros_like(hits), where=sizes > 0)
        means: Values = f1.mean(axis=1, dtype=np.float64)
        return means

    def mean(self, answers: Sequence[str]) -> Values:
        """The mean of several classifiers [1 + resamples]."""
        means: Values = np.mean([self.macro_f1(one) for one in answers], axis=0)
        return means


def interval(change: Values) -> str:
    """A difference and its interval, in thousandths of F1."""
    low, high = np.quantile(change[1:], [0.025, 0.975])
    return f"{change[0]:+.3f} [{low:+.3f}, {high:+.3f}]".replace("-", "−")


def _grouped(rows: Iterable[Record]) -> Groups:
    """The seeds of every cell."""
    groups: dict[tuple[str, str, str, float], list[Record]] = {}
    for row in rows:
        if "modules" in row:
            groups.setdefault((row["structure"], row["method"], row["recovery"], row["ratio"]), []).append(row)
    return groups


def _floor(rows: Mapping[str, Record], judge: Judge) -> str:
    lines = ["| alternative | cost | macro-F1 | to the base | binary F1 |", "|---|--:|--:|--:|--:|"]
    for cell, row in rows.items():
        if cell.startswith(LINES):
            change = interval(judge.macro_f1(row["answers"]) - judge.base) if "answers" in row else ""
            binary = f"{row['binary_f1']:.3f}" if "binary_f1" in row else ""
            lines.append(f"| {cell} | {row['flops_ratio']:.2f} | {row['macro_f1']:.3f} | {change} | {binary} |")
    return "\n".join(lines)


def _modules(groups: Groups, judge: Judge) -> str:
    lines = [
        "| removed | ratio | chosen by | recovery | cost | parameters | macro-F1 | to the base | binary F1 "
        "| seeds × modules | seconds |",
        "|---|--:|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for key in sorted(groups, key=lambda one: (one[0], one[3], one[1], one[2])):
        structure, method, recovery, ratio = key
        some = groups[key]
        values = judge.mean([ids for row in some for ids in row["modules"]])
        means = {name: float(np.mean([row[name] for row in some])) for name in ("flops_ratio", "parameters_ratio")}
        lines.append(
            f"| {structure} | {ratio:g} | {method} | {recovery} | {means['flops_ratio']:.2f} "
            f"| {means['parameters_ratio']:.2f} | {values[0]:.3f} | {interval(values - judge.base)} "
            f"| {np.mean([row['binary_f1'] for row in some]):.3f} | {len(some)} × {len(some[0]['modules'])} "
            f"| {np.mean([row['seconds'] for row in some]):.0f} |"
        )
    return "\n".join(lines) if groups else "None is measured yet."


def _steps(groups: Groups, judge: Judge) -> str:
    lines = ["| removed | ratio | chosen by | step | gain |", "|---|--:|---|---|--:|"]
    for (structure, method, recovery, ratio), some in sorted(groups.items(), key=lambda one: one[0]):
        plain = {row["seed"]: row for row in groups.get((structure, method, "none", ratio), [])}
        pairs = [(row, plain[row["seed"]]) for row in some if row["seed"] in plain]
        if recovery == "none" or not pairs:
            continue
        both = [[ids for pair in pairs for ids in pair[side]["modules"]] for side in (0, 1)]
        gain = judge.mean(both[0]) - judge.mean(both[1])
        lines.append(f"| {structure} | {ratio:g} | {method} | {recovery} | {interval(gain)} |")
    said = "Macro-F1 of a recovery less that of the same masks without one."
    return "\n\n".join(["## What each step gains", said, "\n".join(lines)]) if len(lines) > 2 else ""


def _dots(rows: Mapping[str, Record], groups: Groups) -> list[Dot]:
    """What the picture shows: alternatives, and the mean of every cell."""
    dots = [
        Dot(cell, "alternative", row["flops_ratio"], row["macro_f1"])
        for cell, row in rows.items()
        if cell.startswith(LINES) and cell != "majority"
    ]
    for (structure, method, recovery, ratio), some in groups.items():
        at, score = (float(np.mean([row[name] for row in some])) for name in ("flops_ratio", "macro_f1"))
        dots.append(Dot(f"{structure} {ratio:g}, {method}, {recovery}", structure, at, score))
    return dots
