"""What modules come to, seen from afar: quality, speed and size, each with the base's beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from app.domain.verdicts import fastest, mean_change, speedup
from app.web.views import phrases
from microlith.contract import BaseResult, Module
from microlith.display import numbers


@dataclass(frozen=True)
class Headline:
    """A figure to be seen from afar; `under` says what it is beside."""

    name: str
    value: str
    under: str


def headline(modules: Sequence[Module], base: BaseResult | None) -> list[Headline]:
    """Three figures about the mean of some modules; there is one module at least."""
    return [_quality(modules), _speed(modules), _size(modules, base)]


def _quality(modules: Sequence[Module]) -> Headline:
    own, base = fmean(module.handed_out.f1 for module in modules), fmean(module.base_own.f1 for module in modules)
    binary = [(module.delivered or module.binary).f1 for module in modules if module.binary]
    if len(binary) == len(modules):
        return Headline("F1 against the rest", f"{fmean(binary):.3f}", f"base {base:.3f} on the same class")
    change, name = mean_change(modules), "F1, own class" if len(modules) == 1 else "Mean F1, own class"
    if change is None:
        return Headline(name, f"{own:.3f}", f"base {base:.3f}")
    low, high = phrases.signed(change.low), phrases.signed(change.high)
    return Headline(name, f"{own:.3f}", f"base {base:.3f} · macro-F1 {phrases.signed(change.value)} [{low}, {high}]")


def _speed(modules: Sequence[Module]) -> Headline:
    pace = fastest(latency for module in modules for latency in module.latencies)
    if pace is None:
        return Headline("Speed", numbers.NOTHING, "not measured, or the times varied too much")
    own, base = numbers.milliseconds(pace.milliseconds), numbers.milliseconds(pace.base_milliseconds)
    return Headline(
        "Speed", f"{speedup(pace):.2f}×", f"{own} ms, base {base} ms · {pace.layout}, 1 input, {pace.device}"
    )


def _size(modules: Sequence[Module], base: BaseResult | None) -> Headline:
    sizes = [module.artifacts[0].size_bytes for module in modules if module.artifacts]
    stored = numbers.quantity(round(fmean(module.size.parameters for module in modules)))
    whole = numbers.quantity(modules[0].size.base_parameters)
    of_base = f"base {numbers.size(base.size_bytes)} · " if base and base.size_bytes else ""
    under = f"{of_base}{stored} parameters, base {whole}"
    if not sizes:
        return Headline("A module’s file", numbers.NOTHING, under)
    layout = modules[0].artifacts[0].layout if modules[0].artifacts else ""
    return Headline(f"A module’s file, {layout}", numbers.size(round(fmean(sizes))), under)
