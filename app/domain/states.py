"""The life of a job as one table: which action is allowed in which state, and where it leads.

    queued ──claim──▶ running ──succeed──▶ succeeded
      │ ▲               │ │ └────fail─────▶ failed
      │ └───release─────┘ └─cancel─▶ cancelling ──stop──▶ cancelled
      ├──cancel──▶ cancelled
      └──expire──▶ expired

`retry` takes a failed, cancelled or expired job back to `queued`, `repair` a succeeded one whose files may be damaged.
Once cancelling, a job ends as cancelled, whatever its worker reports: the caller was told so.
"""

from typing import Literal

from app.domain.errors import Conflict
from microlith.contract import TERMINAL_STATES, State

Action = Literal["claim", "release", "succeed", "fail", "cancel", "stop", "expire", "retry", "repair"]

TRANSITIONS: dict[tuple[State, Action], State] = {
    ("queued", "claim"): "running",
    ("queued", "cancel"): "cancelled",
    ("queued", "expire"): "expired",
    ("queued", "fail"): "failed",
    ("running", "succeed"): "succeeded",
    ("running", "fail"): "failed",
    ("running", "release"): "queued",
    ("running", "cancel"): "cancelling",
    ("cancelling", "cancel"): "cancelling",
    ("cancelling", "stop"): "cancelled",
    ("cancelling", "release"): "cancelled",
    ("cancelling", "succeed"): "cancelled",
    ("cancelling", "fail"): "cancelled",
    ("failed", "retry"): "queued",
    ("cancelled", "retry"): "queued",
    ("expired", "retry"): "queued",
    ("succeeded", "repair"): "queued",
}

HELD_STATES: frozenset[State] = frozenset({"running", "cancelling"})
"""States in which a worker holds the job's lease."""


def next_state(state: State, action: Action) -> State:
    """Where `action` leads from `state`. Raises Conflict when it is not allowed there."""
    try:
        return TRANSITIONS[state, action]
    except KeyError:
        over = " It is over." if state in TERMINAL_STATES else ""
        allowed = ", ".join(sorted(where for where, what in TRANSITIONS if what == action))
        raise Conflict(f"The job is {state}.{over} To {action} it, it must be one of: {allowed}.") from None
