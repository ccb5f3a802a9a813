"""Which options of a job go with a multi-label model: the same rules in the API and in the worker."""

from __future__ import annotations

from app.domain.errors import InvalidInput
from microlith.contract import JobSpec


def check_multi_label(spec: JobSpec) -> None:
    """Raises InvalidInput, with the place and what to do, for an option that needs exactly one class of each input."""
    if spec.sampling.source == "boundary":
        raise InvalidInput(
            "Boundary samples lie between two classes, and the labels of a multi-label model do not exclude one "
            "another.",
            hint='Draw samples from the data with `sampling: {"source": "dataset"}`.',
            pointer="/sampling/source",
        )
    if spec.recovery == "distil":
        raise InvalidInput(
            "Recovery `distil` learns from a base that gives each input one class.",
            hint="Use another recovery: `none`, `ti`, `bias` or `refit`.",
            pointer="/recovery",
        )
    if spec.sampling.negatives == "confusers":
        raise InvalidInput(
            "A multi-label model does not take one label for another, so a label has no confusers.",
            hint="Leave `sampling.negatives` out, or use `even`.",
            pointer="/sampling/negatives",
        )
