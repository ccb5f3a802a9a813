"""What the contract's documents can do where people look at them. The contract itself knows neither HTML nor pandas."""

from __future__ import annotations

from microlith.contract import Job, Results
from microlith.display import data_frame, notebook_html


def attach() -> None:
    """Give every job and every results document its HTML for notebooks, and results their rows and data frame."""
    Job._repr_html_ = notebook_html.job  # type: ignore[attr-defined]
    Results._repr_html_ = notebook_html.results  # type: ignore[attr-defined]
    Results.rows = data_frame.rows  # type: ignore[method-assign, assignment]
    Results.to_pandas = data_frame.data_frame  # type: ignore[method-assign, assignment]
