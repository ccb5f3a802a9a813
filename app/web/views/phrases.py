"""Numbers, times and jobs in the words that every page uses."""

from __future__ import annotations

from datetime import UTC, datetime

from microlith.contract import CombineSpec, Job, LayoutOrder, PredictionOrder
from microlith.display import numbers

SMALLEST_CHANGE = 0.0005
"""A difference that rounds to nothing is none."""

STATE_MARKS = {
    "queued": "○",
    "running": "◐",
    "cancelling": "◐",
    "succeeded": "●",
    "failed": "✕",
    "cancelled": "⊘",
    "expired": "⊘",
}
"""What tells states apart without colour."""


def signed(value: float) -> str:
    """A difference to three places with its sign; the minus is a true one."""
    return f"{value:+.3f}".replace("-", "−") if abs(value) > SMALLEST_CHANGE else "±0.000"


def tone(change: float) -> str:
    """`gain`, `loss` or `same`."""
    if abs(change) <= SMALLEST_CHANGE:
        return "same"
    return "gain" if change > 0 else "loss"


def percent(fraction: float) -> str:
    """`31.7 %`, and nothing after the point where nothing is to be said there."""
    return f"{100 * fraction:.1f}".removesuffix(".0") + " %"


def moment(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def ago(time: datetime) -> str:
    """`12 s ago`, `5 min ago`, `3 h ago`, `2 days ago`: as exact as anybody asks."""
    seconds = max(0, round((datetime.now(UTC) - time).total_seconds()))
    for unit, length in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length * (2 if unit == "days" else 1):
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def count(number: int, noun: str) -> str:
    """`1 module`, `3 modules`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def short_name(ref: str) -> str:
    """What people call a reference: `bert-tiny-wordnet` of `demo:bert-tiny-wordnet`, the last part of a path."""
    return ref.partition("@")[0].rstrip("/").rpartition("/")[2].rpartition(":")[2]


def model_name(job: Job) -> str:
    """What people call the job's model."""
    model = job.resolved.model
    return (model and model.name) or short_name(job.spec.model)


def dataset_name(job: Job) -> str:
    """What people call the job's data."""
    data = job.resolved.dataset
    return (data and data.name) or short_name(job.spec.source.ref)


def title(job: Job) -> str:
    """A job in a few words."""
    order = job.order
    if isinstance(order, CombineSpec):
        kind = "Class set" if order.mode == "class_set" else "Recomposition"
        return f"{kind} of {count(len(order.modules), 'module')}"
    if isinstance(order, LayoutOrder):
        what = "class set" if order.module.startswith("job_") else "module"
        return f"Layout {order.layout} of a {what} of {model_name(job)}"
    if isinstance(order, PredictionOrder):
        return f"Try of a module of {model_name(job)}"
    return model_name(job)


def origin(job: Job) -> tuple[str, str] | None:
    """The page of what an order is about, and what that is."""
    if not isinstance(job.order, LayoutOrder | PredictionOrder):
        return None
    about = job.order.module
    return (f"/jobs/{about}", "this class set") if about.startswith("job_") else (f"/modules/{about}", "this module")


def request(job: Job) -> str:
    """What was asked for, in one line."""
    spec = job.spec
    if isinstance(job.order, CombineSpec):
        return f"measured on {dataset_name(job)}"
    if isinstance(job.order, PredictionOrder):
        return count(len(job.order.inputs), "text")
    ratios = ", ".join(f"{ratio:g}" for ratio in spec.ratios)
    concerns = count(job.concerns.total, "concern") if job.concerns.total else "all concerns"
    return f"{concerns} · {spec.structure} · {spec.method.name} · ratio {ratios}"


def took(job: Job) -> str | None:
    """How long it has run, or ran."""
    if job.started_at is None:
        return None
    return numbers.duration(round(((job.finished_at or datetime.now(UTC)) - job.started_at).total_seconds()))
