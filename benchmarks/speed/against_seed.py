"""Benchmark 1: the seed system's way of working beside ours, on one machine, in one run, with the same tables."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import seedway
from benchmarks.seedway import Asked, Row, Split
from benchmarks.speed.findings import Figure, Part, Table, middle, phases
from benchmarks.speed.ours import Outcome, measured, repeated, sources_of, tokens_of
from benchmarks.speed.workload import POSITIONS, tiny
from microlith.contract import Sampling
from worker.sampling.concern import draw_available
from worker.sources.open_sources import Sources

CONCERNS, SLOW, RUNS = 10, 4, 3
"""Modules of ours; how many of them the seed's way makes too; and how often ours are made."""
SMALL, LARGE = (2_000, 500), (30_000, 7_000)
TARGETS = {SMALL: (60, 30), LARGE: (90, 80)}
"""Of the defaults and of exact mode, by test and validation examples."""

TOLERANCES = {
    "precision": 5e-5,
    "recall": 5e-5,
    "f1": 5e-5,
    "exp_loss": 1e-5,
    "cca": 1e-4,
    "linear_cka": 1e-5,
    "kernel_cka": 1e-5,
}
"""The most that a cell may differ: what four printed digits hide, and what a weight at a tie moves.

Where no tie falls otherwise than in the seed only rounding is left, a hundredth of this or less. Both sides must see
the same samples, which `check_samples` makes sure of.
"""

HOW = """\
Ten concerns of a tiny BERT (2 × 128; the demo's, cut to ten classes and given 512 positions), half of the feed-forward
weights removed by `ci`, texts of {tokens:.1f} tokens in the mean. Both sides begin with the model and the texts in
memory and end with measured modules; both count tokenisation of the splits they measure on; neither exports anything.

The seed's way is [seedway.py](../seedway.py): one concern after another, every input padded to {positions} positions,
16 at a time. It is run at {small} (test / validation) for {slow} of the ten, and its time is that of the concern in the
middle, ten times; at {large} it is extrapolated from that run: the time of each phase, multiplied with the examples of
its split.
Ours is the median of {runs} runs at the first size and one run at the second; it measures the base on the test split
besides, which the seed's way does not, and with defaults takes similarity over up to 256 samples a side instead of 16.
In exact mode calibration and similarity are padded to {positions} as the seed pads them, and the tables of the {slow}
modules are compared with those of the seed's way, cell by cell: nothing is reported where they differ by more than the
tolerances in
[against_seed.py](../speed/against_seed.py)."""


@dataclass(frozen=True)
class Slow:
    """The seed's way at `SMALL`, of some concerns."""

    rows: Sequence[Row]
    tokenising: float  # seconds

    @property
    def spent(self) -> dict[str, float]:
        """Seconds of each phase, for the concern in the middle: one costs what another does."""
        return middle([row.seconds for row in self.rows])

    @property
    def seconds(self) -> float:
        """Of all concerns, were each the one in the middle."""
        return self.tokenising + CONCERNS * sum(self.spent.values())

    @property
    def at_large(self) -> float:
        """Seconds that the run would take at `LARGE`."""
        test, validation = (large / small for large, small in zip(LARGE, SMALL, strict=True))
        growth = {"evaluate": test, "exp_loss": validation, "exp_loss of the base": validation}
        each = sum(seconds * growth.get(phase, 1.0) for phase, seconds in self.spent.items())
        return CONCERNS * each + self.tokenising * test


def run(folder: Path) -> Part:
    """The whole benchmark; raises AssertionError when the tables differ."""
    workload = tiny(folder / "tiny", *SMALL)
    sources = sources_of(workload.spec())
    check_samples(sources)
    measured(workload.spec(concerns=1), sources)  # the first run of a process pays for what later ones find ready
    fast = {exact: repeated(workload.spec(exact=exact), sources, RUNS) for exact in (False, True)}
    slow = the_seeds_way(sources)
    apart = differences(slow.rows, fast[True])
    for name, worst in apart.items():
        assert worst <= TOLERANCES[name], f"the tables differ: {name} by {worst}"
    longer = tiny(folder / "tiny", *LARGE)
    fuller = sources_of(longer.spec())
    faster = {exact: measured(longer.spec(exact=exact), fuller) for exact in (False, True)}
    return Part(
        "seed",
        "The seed's way and ours",
        HOW.format(
            tokens=tokens_of(sources, "test").mean(),
            positions=POSITIONS,
            small=sized(SMALL),
            large=sized(LARGE),
            runs=RUNS,
            slow=SLOW,
        ),
        [*figures(SMALL, slow.seconds, fast), *figures(LARGE, slow.at_large, faster)],
        [
            Table(
                ["examples", "seed's way", "ours", *fast[False].seconds, "seconds"],
                [*rows(SMALL, slow.seconds, fast), *rows(LARGE, slow.at_large, faster)],
            ),
            Table([f"seed's way, median of {SLOW} concerns", *slow.spent, "seconds"], [["", *phases(slow.spent)]]),
            Table(["greatest difference in", *apart], [["", *(f"{worst:.1e}" for worst in apart.values())]]),
        ],
    )


def check_samples(sources: Sources) -> None:
    """Raises AssertionError where a split is too small to compare: what a class cannot give, ours takes from others."""
    classes = len(sources.model.labels)
    for role in ("train", "validation"):
        labels = sources.labels(role)
        for concern in range(CONCERNS):
            ours = draw_available(labels, concern, classes, Sampling())
            theirs = seedway.sample(labels, concern, classes)
            assert (list(ours.positive), list(ours.negative)) == theirs, f"{role} has too few examples of some class"


def the_seeds_way(sources: Sources) -> Slow:
    """One row for each concern, and what tokenising took."""
    splits = {role: split(sources, role) for role in ("train", "validation", "test")}
    made = (splits[role][0] for role in ("train", "validation", "test"))
    rows = list(seedway.decompose(sources.model.model, *made, range(SLOW), Asked(len(sources.model.labels))))
    return Slow(rows, splits["validation"][1] + splits["test"][1])


def split(sources: Sources, role: str) -> tuple[Split, float]:
    """A split tokenised as the seed does it, and the seconds that took."""
    texts, labels = sources.data.split(role)
    began = time.perf_counter()
    made = sources.model.tokenizer(
        texts, padding="max_length", truncation=True, max_length=POSITIONS, return_tensors="pt"
    )
    return Split(made["input_ids"], made["attention_mask"], labels), time.perf_counter() - began


def differences(slow: Sequence[Row], exact: Outcome) -> dict[str, float]:
    """The greatest difference of any module in each column of the tables."""
    worst = dict.fromkeys(TOLERANCES, 0.0)
    for row in slow:
        report, similarity = exact.modules[row.concern, 0.5].report, exact.modules[row.concern, 0.5].similarity
        assert similarity is not None
        assert similarity.legacy is not None
        for name in ("precision", "recall", "f1"):
            cells = zip(report.classes, getattr(row, name), strict=True)
            worst[name] = max(worst[name], *(abs(getattr(ours, name) - theirs) for ours, theirs in cells))
        worst["exp_loss"] = max(worst["exp_loss"], abs(report.exp_loss - row.exp_loss))
        sides = ((similarity.legacy.concern, row.concern_similarity), (similarity.legacy.rest, row.rest_similarity))
        for name in ("cca", "linear_cka", "kernel_cka"):
            worst[name] = max(worst[name], *(abs(getattr(ours, name) - theirs[name]) for ours, theirs in sides))
    return worst


def figures(size: tuple[int, int], slow: float, fast: dict[bool, Outcome]) -> list[Figure]:
    """The two ratios at one size."""
    named = zip(("ours with defaults", "ours in exact mode"), (fast[False], fast[True]), TARGETS[size], strict=True)
    return [
        Figure(f"{sized(size)}: seed's way / {name}", slow / outcome.total, target) for name, outcome, target in named
    ]


def rows(size: tuple[int, int], slow: float, fast: dict[bool, Outcome]) -> list[list[str]]:
    """The seconds behind them."""
    return [
        [sized(size), f"{slow:.1f} s", "exact" if exact else "defaults", *phases(outcome.seconds)]
        for exact, outcome in fast.items()
    ]


def sized(size: tuple[int, int]) -> str:
    """Test and validation examples, as people read them."""
    return f"{size[0]:,} / {size[1]:,} examples"
