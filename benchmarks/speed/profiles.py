"""Where the time goes: the operators of torch that take most of it, and the functions of Python."""

from __future__ import annotations

import cProfile
import pstats
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

from benchmarks.speed.findings import Part, Table
from benchmarks.speed.ours import measured, sources_of
from benchmarks.speed.workload import Workload, six_layers, tiny
from microlith.contract import JobSpec
from worker.sources.open_sources import Sources

TOP = 12

HOW = """\
One run of ours with defaults under each profiler (which slows it; shares are of the profiled run). Operators by their
own CPU time, functions of Python by their own time, calls of C included."""


def run(folder: Path) -> Part:
    """The tiny model with all its concerns, and the six-layer one with one, where it is at hand."""
    cases = [("tiny BERT, 10 concerns, 2,000 / 500", tiny(folder / "tiny", 2_000, 500), 10)]
    if larger := six_layers(folder / "six", 1_000, 300):
        cases.append(("six layers, 1 concern, 1,000 / 300", larger, 1))
    tables = [table for case in cases for table in tables_of(*case)]
    return Part("profile", "Where the time goes", HOW, [], tables)


def tables_of(name: str, workload: Workload, concerns: int) -> list[Table]:
    """Both profiles of one case."""
    spec = workload.spec(concerns=concerns)
    sources = sources_of(spec)
    measured(workload.spec(concerns=1), sources)
    return [
        Table([f"operator: {name}", "share", "calls"], operators(spec, sources)),
        Table([f"function: {name}", "share", "calls"], functions(spec, sources)),
    ]


def operators(spec: JobSpec, sources: Sources) -> list[list[str]]:
    """Torch's operators, the costliest first."""
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as watched:
        measured(spec, sources)
    events = sorted(watched.key_averages(), key=lambda event: -event.self_cpu_time_total)
    whole = sum(event.self_cpu_time_total for event in events)
    return [[f"`{e.key}`", share(e.self_cpu_time_total, whole), f"{e.count:,}"] for e in events[:TOP]]


def functions(spec: JobSpec, sources: Sources) -> list[list[str]]:
    """Python's functions and built-in calls, the costliest first."""
    watched = cProfile.Profile()
    watched.runcall(measured, spec, sources)
    stats = pstats.Stats(watched)
    rows = sorted(stats.stats.items(), key=lambda row: -row[1][2])  # type: ignore[attr-defined]
    whole = sum(row[1][2] for row in rows)
    return [[f"`{place(key)}`", share(values[2], whole), f"{values[1]:,}"] for key, values in rows[:TOP]]


def place(key: tuple[str, int, str]) -> str:
    """A function as a reader finds it: the end of its file's path and its name."""
    file, _, name = key
    return name if file == "~" else f"{'/'.join(Path(file).parts[-2:])}: {name}"


def share(part: float, whole: float) -> str:
    """A percentage."""
    return f"{100 * part / whole:.1f} %"
