"""The class that a module takes for its concern, or its concern for, more often than any other."""

from __future__ import annotations

from dataclasses import dataclass

from worker.packaging.module_facts import ModuleFacts


@dataclass(frozen=True)
class Direction:
    """How many of `total` examples of class `true` the module, and the base, gave the class `given`."""

    true: str
    given: str
    total: int
    module: int
    base: int


@dataclass(frozen=True)
class Nearest:
    """The nearest class, and both directions of the confusion."""

    label: str
    rows: tuple[Direction, Direction]


def nearest(facts: ModuleFacts) -> Nearest | None:
    """The class with the most mistakes either way, the first of equals; None where nothing is confused or counted."""
    of_module, of_base, own = facts.report.confusion, facts.base_report.confusion, facts.concern.id
    if not of_module or not of_base:
        return None
    mistakes = [of_module[own][other] + of_module[other][own] if other != own else 0 for other in range(len(of_module))]
    other = max(range(len(mistakes)), key=mistakes.__getitem__)
    if not mistakes[other]:
        return None

    def direction(true: int, given: int) -> Direction:
        classes = facts.report.classes
        counts = of_module[true][given], of_base[true][given]
        return Direction(classes[true].label, classes[given].label, classes[true].support, *counts)

    return Nearest(facts.report.classes[other].label, (direction(own, other), direction(other, own)))
