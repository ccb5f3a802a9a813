"""The verdict on modules: one sentence made of numbers, which says how much faster, how much smaller, at which loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Protocol

from microlith.contract import (
    Baselines,
    BinaryScore,
    Concern,
    Cost,
    DeliveredScore,
    Interval,
    Latency,
    Module,
    OwnScore,
)

FASTER, SMALLER = 1.1, 1.05
"""What is worth a word: less is within the noise of a clock, or of a head."""

BEARABLE = 0.01
"""Macro F1 that a module may lose to be shown as the best of a sweep."""


class Judged(Protocol):
    """What a verdict needs to know of a module."""

    @property
    def concern(self) -> Concern:
        """What it is for."""

    @property
    def cost(self) -> Cost | None:
        """What it costs; None where an earlier version made it."""

    @property
    def base_own(self) -> OwnScore:
        """The base's scores on its class."""

    @property
    def macro_change(self) -> Interval | None:
        """Of macro F1 against the base."""

    @property
    def delivered(self) -> DeliveredScore | None:
        """The scores of its files, where they are others."""

    @property
    def binary(self) -> BinaryScore | None:
        """Its scores where it answers the concern or the rest."""


def module_verdict(module: Module, baselines: Baselines | None) -> str | None:
    """The verdict on one module. None where its cost is not known."""
    return verdict([module], module.latencies, baselines)


def job_verdict(modules: Sequence[Module], baselines: Baselines | None) -> str | None:
    """The verdict on a job's modules at the highest ratio whose loss is bearable, else at the lowest. None as above."""
    chosen = best_of_sweep(modules)
    said = verdict(chosen, [pace for module in chosen for pace in module.latencies], baselines)
    if said is None or len(chosen) == 1:
        return said
    return f"Mean of {len(chosen)} modules at ratio {chosen[0].ratio.requested:g}: {said[0].lower()}{said[1:]}"


def best_of_sweep(modules: Sequence[Module]) -> list[Module]:
    """The modules of the highest ratio whose mean loss of macro F1 is bearable, else of the lowest."""
    by_ratio: dict[float, list[Module]] = {}
    for module in modules:
        by_ratio.setdefault(module.ratio.requested, []).append(module)
    if not by_ratio:
        return []
    bearable = [ratio for ratio, some in by_ratio.items() if (mean_change(some) or _NEVER).value >= -BEARABLE]
    return by_ratio[max(bearable, default=min(by_ratio))]


def mean_change(modules: Sequence[Judged]) -> Interval | None:
    """The mean change of macro F1, and an interval as wide as if all of them erred together. None if one has none."""
    changes = [module.macro_change for module in modules]
    known = [change for change in changes if change is not None]
    if not known or len(known) < len(changes):
        return None
    return Interval(**{name: fmean(getattr(change, name) for change in known) for name in ("value", "low", "high")})


def verdict(modules: Sequence[Judged], latencies: Iterable[Latency], baselines: Baselines | None) -> str | None:
    """The sentence about the mean of some modules. None where there is none, or the cost of one is not known."""
    costs = [module.cost for module in modules if module.cost is not None]
    if not modules or len(costs) < len(modules):
        return None
    flops, parameters = fmean(cost.flops_ratio for cost in costs), fmean(cost.parameters_ratio for cost in costs)
    pace, quality = fastest(latencies), _quality(modules)
    faster = _faster(pace) if pace else _less_arithmetic(flops)
    smaller = f"{1 / parameters:.1f} times smaller" if parameters * SMALLER <= 1 else None
    floor = f"; {said}" if (said := _floor(modules, baselines)) else ""
    if faster and smaller:
        return f"{faster} and {smaller} {quality}{floor}."
    if faster or smaller:
        but = ", not smaller," if faster else ", not faster," if pace else ""
        return f"{faster or smaller}{but} {quality}{floor}."
    neither = "Not smaller, not faster" if pace else "Not smaller"
    return f"{neither}{': zeros are stored' if flops * SMALLER > 1 else ''}, {quality}{floor}."


def fastest(latencies: Iterable[Latency]) -> Latency | None:
    """The mean pace for one input in the layout that gains most by it; None where no times hold."""
    by_layout: dict[str, list[Latency]] = {}
    for pace in latencies:
        if pace.batch == 1 and pace.stable:
            by_layout.setdefault(pace.layout, []).append(pace)
    means = [
        same[0].model_copy(
            update={name: fmean(getattr(pace, name) for pace in same) for name in ("milliseconds", "base_milliseconds")}
        )
        for same in by_layout.values()
    ]
    return max(means, key=speedup, default=None)


def speedup(pace: Latency) -> float:
    """How many times as fast as the base."""
    return pace.base_milliseconds / pace.milliseconds


def signed(value: float) -> str:
    """A difference to three places, with a true minus."""
    return f"{value:+.3f}".replace("-", "−")


_NEVER = Interval(value=float("-inf"), low=float("-inf"), high=float("-inf"))


def _faster(pace: Latency) -> str | None:
    times = speedup(pace)
    return f"{times:.1f} times faster ({pace.layout}, 1 input, {pace.device})" if times >= FASTER else None


def _less_arithmetic(flops: float) -> str | None:
    return f"{1 / flops:.1f} times less arithmetic" if 0 < flops * FASTER <= 1 else None


def _quality(modules: Sequence[Judged]) -> str:
    binary = [(module.delivered or module.binary).f1 for module in modules if module.binary is not None]
    base = fmean(module.base_own.f1 for module in modules)
    if len(binary) == len(modules):
        return f"at an F1 of {fmean(binary):.3f} against the rest (base {base:.3f})"
    change = mean_change(modules)
    if change is None:
        return f"where the base has an F1 of {base:.3f}"
    return f"at {signed(change.value)} macro-F1 [{signed(change.low)}, {signed(change.high)}]"


def _floor(modules: Sequence[Judged], baselines: Baselines | None) -> str | None:
    """What the best of the simple classifiers gets, by the same measure."""
    if baselines is None:
        return None
    simple, name = baselines.bag_of_words or baselines.majority, "a bag of words"
    if simple is None:
        return None
    if baselines.bag_of_words is None:
        name = "the most frequent class alone"
    binary = all(module.binary is not None for module in modules)
    score = fmean(simple.own_f1[m.concern.label] for m in modules) if binary else simple.macro_f1
    return f"{name} gets {score:.3f}"
