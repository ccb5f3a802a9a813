"""Which options of a job go together, and which ratio a unit falls under: the same rules in the API and in the worker.

| method | weights | neurons | heads | heads+neurons, heads+weights |
|---|---|---|---|---|
| ci, wanda, magnitude, zscore, taylor | yes | yes | – | heads by `heads`, then the rest by the method |
| random | yes | yes | yes | all by lot |
| heads | – | – | yes | – |

`layers` goes alone, or before any of these: whole layers by what their removal costs, with `random` by lot.
Each method of `microlith.contract.methods` says so itself.

Scopes are those of single weights; neurons and heads are compared within a block (`layer`) or over the model
(`global`). With a scope N:M the ratio is N/M, and has to say so.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from app.domain.errors import InvalidInput
from microlith.contract import Distillation, JobSpec

UnitKind = Literal["weights", "neurons", "heads", "layers"]
"""What one step of a structure removes; a chain has several, `layers` first and `heads` next."""


def parts_of(structure: str) -> tuple[UnitKind, ...]:
    """What is removed, first part first."""
    known: tuple[UnitKind, ...] = ("layers", "heads", "neurons", "weights")
    return tuple(part for part in known if part in structure.split("+"))


def pattern_of(scope: str | None) -> tuple[int, int] | None:
    """N and M of a scope N:M; None for the others."""
    if scope is None or ":" not in scope:
        return None
    removed, group = scope.split(":")
    return int(removed), int(group)


def scope_of(spec: JobSpec, part: UnitKind) -> str:
    """The scope among which the lowest units of a part are found.

    By default weights are compared within an output row (magnitude: within a matrix), neurons within a block, heads
    and whole layers over the model. A scope of weights leaves the other parts of a chain at theirs.
    """
    if part == "weights":
        return spec.scope or spec.method.weight_scope
    if part != "layers" and spec.scope in ("layer", "global"):
        return spec.scope
    return "layer" if part == "neurons" else "global"


def rule_for(spec: JobSpec, part: UnitKind, layers: Collection[str]) -> int | None:
    """The place of the first ratio rule that fits a unit of `part` whose layers have these names; None for none."""
    for index, rule in enumerate(spec.ratio_rules):
        named = rule.layers is None or any(rule.layers in layer for layer in layers)
        if named and rule.structure in (None, part):
            return index
    return None


def ratios_for(spec: JobSpec, part: UnitKind, layers: Collection[str]) -> list[float]:
    """The fraction removed at each ratio of the sweep: that ratio, or the same of the first rule that fits."""
    rule_number = rule_for(spec, part, layers)
    return spec.ratios if rule_number is None else [spec.ratio_rules[rule_number].ratio] * len(spec.ratios)


def check_method(spec: JobSpec) -> None:
    """Raises InvalidInput, with the place and what to do, unless method, structure, scope, ratios and recovery fit."""
    if spec.structure not in spec.method.structures:
        raise InvalidInput(
            f"Method `{spec.method.name}` does not score structure `{spec.structure}`.",
            hint=f"It scores: {', '.join(spec.method.structures)}.",
            pointer="/structure",
        )
    _check_scope(spec)
    _check_rules(spec)
    _check_quantile(spec)
    _check_recovery(spec)


def check_widths(spec: JobSpec, inputs: Mapping[str, int]) -> None:
    """Raises InvalidInput where a scope N:M does not divide the inputs of a layer, given by name."""
    pattern = pattern_of(spec.scope)
    uneven = [f"{name} ({width})" for name, width in inputs.items() if pattern and width % pattern[1]]
    if pattern and uneven:
        raise InvalidInput(
            f"Scope `{spec.scope}` needs layers whose inputs are a multiple of {pattern[1]}; these are not: "
            f"{_few(uneven)}.",
            hint="Leave them out with `layers`, or choose another M.",
            pointer="/scope",
        )


def check_depth(spec: JobSpec, blocks: int) -> None:
    """Raises InvalidInput where a ratio of whole layers comes to none of the `blocks` that may go."""
    for ratio in ratios_for(spec, "layers", ()):
        if int(blocks * ratio) < 1:
            raise InvalidInput(
                f"Ratio {ratio:g} of {blocks} layers is less than one layer.",
                hint=f"Use at least {math.ceil(1000 / blocks) / 1000:g}, or leave `layers` out of the structure.",
                pointer="/ratio",
            )


def _check_recovery(spec: JobSpec) -> None:
    parts = parts_of(spec.structure)
    if parts == ("layers",) and spec.recovery not in ("none", "distil"):
        raise InvalidInput(
            f"Recovery `{spec.recovery}` mends layers that have lost some of their units. Structure `layers` removes "
            "whole ones, and always solves what follows them anew.",
            hint="Use recovery `none` or `distil`, or a structure like `layers+neurons`.",
            pointer="/recovery",
        )
    _check_distil(spec)
    if spec.recovery == "ti" and (not {"weights", "neurons"}.intersection(parts) or pattern_of(spec.scope)):
        raise InvalidInput(
            "Recovery `ti` restores single weights or neurons, outside any fixed pattern.",
            hint="Use structure `weights` or `neurons` without a scope N:M, or recovery `none` or `bias`.",
            pointer="/recovery",
        )


def _check_distil(spec: JobSpec) -> None:
    if spec.recovery != "distil" and spec.distil != Distillation():
        raise InvalidInput(
            f"`distil` says how recovery `distil` learns, and the recovery is `{spec.recovery}`.",
            hint='Use `"recovery": "distil"`, or leave `distil` out.',
            pointer="/distil",
        )
    if spec.recovery == "distil" and "weights" in parts_of(spec.structure):
        raise InvalidInput(
            f"Recovery `distil` makes a smaller model, and structure `{spec.structure}` leaves zeros in a large one.",
            hint="Use a structure of neurons, heads or layers, such as `heads+neurons`; or recovery `refit`.",
            pointer="/recovery",
        )


def _check_scope(spec: JobSpec) -> None:
    if spec.scope in (None, "layer", "global"):
        return
    if "weights" not in parts_of(spec.structure):
        raise InvalidInput(
            f"Scope `{spec.scope}` compares single weights; structure `{spec.structure}` removes none.",
            hint="Neurons and heads have the scopes `layer` and `global`.",
            pointer="/scope",
        )
    if pattern := pattern_of(spec.scope):
        _check_pattern(spec, *pattern)


def _check_pattern(spec: JobSpec, removed: int, group: int) -> None:
    if removed >= group:
        raise InvalidInput(f"Scope `{spec.scope}` would remove every weight; N must be less than M.", pointer="/scope")
    ratio = removed / group
    if not all(math.isclose(asked, ratio, abs_tol=1e-9) for asked in spec.ratios):
        raise InvalidInput(
            f"Scope `{spec.scope}` removes the fraction {ratio:.12g}; another ratio contradicts it.",
            hint=f"Use ratio {ratio:.12g}, or leave out the scope.",
            pointer="/ratio",
        )
    for index, rule in enumerate(spec.ratio_rules):
        if rule.structure in (None, "weights") and not math.isclose(rule.ratio, ratio, abs_tol=1e-9):
            raise InvalidInput(
                f"Scope `{spec.scope}` fixes the ratio of weights at {ratio:.12g}.", pointer=f"/ratio_rules/{index}"
            )


def _check_rules(spec: JobSpec) -> None:
    parts = parts_of(spec.structure)
    for index, rule in enumerate(spec.ratio_rules):
        if rule.structure is not None and rule.structure not in parts:
            raise InvalidInput(
                f"Structure `{spec.structure}` removes no {rule.structure}, so this rule never applies.",
                pointer=f"/ratio_rules/{index}/structure",
            )
        if rule.structure == "layers" and rule.layers is not None:
            raise InvalidInput(
                "Whole layers are compared with each other, so they have one ratio.",
                hint="Leave `layers` out of this rule; the spec's own `layers` says which ones may go.",
                pointer=f"/ratio_rules/{index}/layers",
            )


def _check_quantile(spec: JobSpec) -> None:
    if not spec.method.cuts_at_bounds:
        return
    if "weights" not in parts_of(spec.structure) or spec.scope not in (None, "row") or spec.recovery == "ti":
        raise InvalidInput(
            "Rule `quantile` cuts the rows of single weights at fixed bounds.",
            hint="Use it with weights, scope `row` and recovery `none` or `bias`; or rule `rank`.",
            pointer="/method/rule",
        )


def _few(names: Iterable[str], shown: int = 5) -> str:
    listed = list(names)
    more = f" and {len(listed) - shown} more" if len(listed) > shown else ""
    return ", ".join(listed[:shown]) + more
