"""Benchmark 6: the full sizes on a CUDA device, and small ones of the same shapes without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.speed.arithmetic import evaluation_flops
from benchmarks.speed.findings import Figure, Part, Table, phases
from benchmarks.speed.machine import best_rate
from benchmarks.speed.ours import measured, pads_of, sources_of, tokens_of
from benchmarks.speed.workload import Workload, base_shape, tiny

RATIOS = (0.3, 0.4, 0.5, 0.6)

HOW = """\
All phases of ours with defaults, on {device}. Utilisation is the arithmetic of the texts' own tokens (see above) a
second of `evaluating`, divided by what a large float32 product reaches on the same device. Pads are a share of the
positions that the test split is run in: all that attention without padding could spare. For orientation: the seed
system printed 538 s for the first case at full size, on a GPU."""
SMALL = """\


**There is no CUDA device here**: the sizes are small, and the targets, which are of the full sizes (8 s and 180 s), are
not judged."""


@dataclass(frozen=True)
class Case:
    """A workload and how much is asked of it; `seconds` is the target, None where it is not judged."""

    name: str
    workload: Workload
    concerns: int
    ratios: tuple[float, ...]
    seconds: float | None


def run(folder: Path) -> Part:
    """Both shapes."""
    full = torch.cuda.is_available()
    on = "cuda" if full else "cpu"
    found = [measure(case, on, best_rate(on)) for case in (full_size(folder) if full else small(folder))]
    heads = ["", "modules", "test, validation", "tokens a text", "pads", *found[0][2], "seconds"]
    return Part(
        "device",
        "On a device",
        HOW.format(device=torch.cuda.get_device_name() if full else "the CPU") + ("" if full else SMALL),
        [figure for figures, _, _ in found for figure in figures],
        [Table(heads, [row for _, row, _ in found])],
    )


def full_size(folder: Path) -> list[Case]:
    """What the targets are of."""
    return [
        Case("tiny BERT", tiny(folder / "tiny", 30_000, 7_000), 10, (0.5,), 8),
        Case("BERT-base", base_shape(folder / "base", 16, 12_791, 1_000), 16, RATIOS, 180),
    ]


def small(folder: Path) -> list[Case]:
    """The same shapes in a size for two cores."""
    return [
        Case("tiny BERT", tiny(folder / "tiny", 2_000, 500), 10, (0.5,), None),
        Case("BERT-base", base_shape(folder / "base", 16, 24, 16), 2, RATIOS[:2], None),
    ]


def measure(case: Case, on: str, rate: float) -> tuple[list[Figure], list[str], dict[str, float]]:
    """Figures, a row of the table, and seconds by phase."""
    spec = case.workload.spec(concerns=case.concerns, ratios=case.ratios)
    sources = sources_of(spec, on)
    outcome = measured(spec, sources)
    used = evaluation_flops(sources, len(outcome.modules)) / outcome.seconds["evaluating"] / rate
    figures = [
        Figure(f"{case.name}, {len(outcome.modules)} modules, seconds", outcome.total, case.seconds, at_most=True),
        Figure(f"{case.name}: utilisation", used),
    ]
    size = f"{case.workload.test:,}, {case.workload.validation:,}"
    told = [case.name, str(len(outcome.modules)), size, f"{tokens_of(sources, 'test').mean():.1f}"]
    pads = f"{pads_of(sources, 'test', on):.1%}"
    return figures, [*told, pads, *phases(outcome.seconds)], outcome.seconds
