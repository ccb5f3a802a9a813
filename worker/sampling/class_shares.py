"""How many of some samples each class gives: evenly or in proportion, and never more than it has."""

from __future__ import annotations

from collections.abc import Mapping


def spread(samples: int, available: Mapping[int, int]) -> dict[int, int]:
    """How many of `samples` each class gives: evenly, the remainder one each to the first, never more than it has."""
    given = dict.fromkeys(available, 0)
    while (left := samples - sum(given.values())) and (able := [c for c in available if given[c] < available[c]]):
        each, extra = divmod(left, len(able))
        for place, label in enumerate(able):
            given[label] = min(available[label], given[label] + each + (place < extra))
    return given


def proportional(samples: int, available: Mapping[int, int], weights: Mapping[int, int]) -> dict[int, int]:
    """How many of `samples` each class gives: in proportion to its weight, by largest remainder, ties to the first.

    A class whose share is more than it has gives all of it, and the others share what is left, again in proportion.
    What the classes of positive weight cannot give is spread evenly over the rest; so is everything where there are
    none.
    """
    given = dict.fromkeys(available, 0)
    sharing = {label: weights.get(label, 0) for label in available if weights.get(label, 0) > 0}
    left = samples
    while full := [c for c, weight in sharing.items() if left * weight > available[c] * sum(sharing.values())]:
        for label in full:
            given[label] = available[label]
            del sharing[label]
        left = samples - sum(given.values())
    given |= _largest_remainder(left, sharing)
    unmet = spread(samples - sum(given.values()), {label: available[label] - given[label] for label in available})
    return {label: given[label] + unmet[label] for label in available}


def _largest_remainder(seats: int, weights: Mapping[int, int]) -> dict[int, int]:
    """Whole shares of `seats`: each exact share rounded down, and one more for the largest remainders."""
    whole = sum(weights.values())
    if not whole:
        return {}
    shares = {label: seats * weight // whole for label, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda label: -(seats * weights[label] % whole))
    for label in by_remainder[: seats - sum(shares.values())]:
        shares[label] += 1
    return shares
