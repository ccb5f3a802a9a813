"""What a job would do, before it is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.web.views import phrases
from microlith.contract import Plan
from microlith.display import numbers


@dataclass(frozen=True)
class PlanView:
    """Figures of the plan, the layers it touches, and the request that says the same."""

    facts: list[tuple[str, str]]
    layers: list[str]
    warnings: list[str]
    spec: str
    curl: str


def plan_view(plan: Plan, spec: Mapping[str, Any], address: str) -> PlanView:
    """`address` is where this server is reached."""
    concerns = len({module.concern.id for module in plan.modules})
    ratios = len(plan.spec.ratios)
    made = "known once a worker has downloaded the model"
    if plan.modules:
        made = phrases.count(len(plan.modules), "module")
        made += f": {phrases.count(concerns, 'concern')} at {phrases.count(ratios, 'ratio')}" if ratios > 1 else ""
    estimate = plan.estimate
    facts = [
        ("Makes", made),
        (
            "Prunes",
            phrases.count(len(plan.resolved.layers), "layer") if plan.resolved.layers else "the usual layers",
        ),
        (
            "Work",
            f"about {numbers.duration(round(estimate.seconds))}" if estimate.seconds is not None else "unknown",
        ),
        ("Files", f"about {numbers.size(estimate.bytes)}" if estimate.bytes is not None else "unknown"),
    ]
    body = json.dumps(spec, ensure_ascii=False)
    quoted = body.replace("'", "'\\''")
    curl = f"curl {address}/v1/jobs -H 'Content-Type: application/json' -d '{quoted}'"
    return PlanView(facts, plan.resolved.layers, plan.warnings, json.dumps(spec, indent=2, ensure_ascii=False), curl)
