"""Benchmark 3: what twelve concerns cost more than one, and four ratios more than one."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from benchmarks.speed.child import peak_of
from benchmarks.speed.findings import Figure, Part, Table
from benchmarks.speed.ours import Outcome, decided, sources_of
from benchmarks.speed.workload import seeded
from microlith.contract import JobSpec
from worker.sources.open_sources import Sources

CONCERNS, RUNS = 12, 7
RATIOS = (0.3, 0.4, 0.5, 0.6)
PHASES = ("sampling", "scoring", "pruning")

HOW = """\
A tiny BERT of 12 classes, defaults, 2,000 test and 500 validation examples. One concern calibrates on 32 examples and
twelve on the union of theirs, {union}: the first figure is of the whole pass, which cannot be far below the ratio of
examples, 6, unless what a pass costs at all hides them; the second is against as many examples for one concern alone,
so it is what serving eleven more concerns costs. Ratios: sampling, scoring and pruning of all
twelve concerns. Times are medians of {runs} runs; memory is the peak of a fresh process that opens, calibrates, prunes
and measures."""


def run(folder: Path) -> Part:
    """All four ratios."""
    workload = seeded(folder / "twelve", CONCERNS, 2_000, 500)
    sources = sources_of(workload.spec())
    one, many = workload.spec(concerns=1), workload.spec()
    union = CONCERNS * one.sampling.per_concern
    as_many = one.model_copy(update={"sampling": one.sampling.model_copy(update={"per_concern": union // 2})})
    specs = {"1 concern": one, f"1 concern, {union} examples": as_many, "12 concerns": many}
    specs["12 concerns, 4 ratios"] = workload.spec(ratios=RATIOS)
    decided(one, sources, Outcome())  # warms up
    spent = {name: seconds(spec, sources) for name, spec in specs.items()}
    one_s, as_many_s, many_s, sweep_s = spent.values()
    peaks = {name: peak_of(spec) for name, spec in (("1 concern", one), ("12 concerns", many))}
    return Part(
        "sharing",
        "Concerns and ratios share their work",
        HOW.format(union=union, runs=RUNS),
        [
            Figure("calibration: 12 concerns / 1 concern", many_s["scoring"] / one_s["scoring"], 1.5, at_most=True),
            Figure(
                "calibration: 12 concerns / 1 concern with as many examples",
                many_s["scoring"] / as_many_s["scoring"],
                1.5,
                at_most=True,
            ),
            Figure("4 ratios / 1 ratio", sum(sweep_s.values()) / sum(many_s.values()), 1.6, at_most=True),
            Figure(
                "peak memory: 12 concerns / 1 concern", peaks["12 concerns"] / peaks["1 concern"], 1.15, at_most=True
            ),
        ],
        [
            Table(
                ["milliseconds", *PHASES],
                [[name, *(f"{1000 * value:.0f}" for value in phases.values())] for name, phases in spent.items()],
            ),
            Table(["peak memory, MB", *peaks], [["", *(f"{peak:.0f}" for peak in peaks.values())]]),
        ],
    )


def seconds(spec: JobSpec, sources: Sources) -> dict[str, float]:
    """The median of each phase before evaluation."""
    runs = [Outcome() for _ in range(RUNS)]
    for outcome in runs:
        decided(spec, sources, outcome)
    return {phase: median(outcome.seconds[phase] for outcome in runs) for phase in PHASES}
