"""Benchmark 2: how far evaluation is from what its arithmetic costs on this machine."""

from __future__ import annotations

from pathlib import Path

from benchmarks.speed.arithmetic import evaluation_flops, layer_rate
from benchmarks.speed.findings import Figure, Part, Table
from benchmarks.speed.machine import best_rate
from benchmarks.speed.ours import measured, repeated, sources_of, tokens_of
from benchmarks.speed.workload import SIX_LAYERS, Workload, six_layers, tiny

HOW = """\
The floor is the FLOPs of the base and every module on the texts' own tokens, without any padding and with nothing
shared between modules, divided by the rate at which this machine multiplies float32 matrices; the figure is the floor
divided by the seconds of the phase `evaluating`, which also holds similarity, reports and the laying on of masks.
The rate is that of a large square product, the best this machine does; the rate at the shapes of the model's own layers
stands beside it, for information."""

ABSENT = (
    f" The six-layer model is not at hand: it is looked for at `{SIX_LAYERS.name}` in `assets/` of MICROLITH_SHARED."
)


def run(folder: Path) -> Part:
    """Both models, or the tiny one alone where the other is not there."""
    cases = [("bert-tiny, 10 concerns", tiny(folder / "tiny", 2_000, 500), 10, 3, 0.35)]
    if larger := six_layers(folder / "six", 1_000, 300):
        cases.append(("six layers, 3 concerns", larger, 3, 1, 0.5))
    found = [figures_of(*case) for case in cases]
    return Part(
        "floor",
        "Distance to the floor",
        HOW + ("" if larger else ABSENT),
        [figure for figures, _ in found for figure in figures],
        [
            Table(
                ["", "tokens a text", "GFLOP", "evaluating, s", "GFLOP/s", "best, GFLOP/s", "at the layers' shapes"],
                [row for _, row in found],
            )
        ],
    )


def figures_of(
    name: str, workload: Workload, concerns: int, runs: int, target: float
) -> tuple[list[Figure], list[str]]:
    """One model's figures, and the numbers behind them."""
    spec = workload.spec(concerns=concerns)
    sources = sources_of(spec)
    measured(workload.spec(concerns=1), sources)
    rate, at_shapes = best_rate(), layer_rate(sources.model.model.config)
    seconds = repeated(spec, sources, runs).seconds["evaluating"]
    rate = max(rate, best_rate())  # the faster of before and after, if the machine was disturbed once
    flops = evaluation_flops(sources, concerns)
    figures = [
        Figure(f"{name}: floor / evaluating", flops / rate / seconds, target),
        Figure(f"{name}: the same at the rate of its layers' shapes", flops / at_shapes / seconds),
    ]
    cells = (flops / 1e9, seconds, flops / 1e9 / seconds, rate / 1e9, at_shapes / 1e9)
    return figures, [name, f"{tokens_of(sources, 'test').mean():.1f}", *(f"{cell:.1f}" for cell in cells)]
