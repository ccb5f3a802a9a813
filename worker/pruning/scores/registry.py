"""Every method by its name in the contract."""

from __future__ import annotations

from microlith.contract import JobSpec
from worker.pruning.scores.ci import ConcernIdentification
from worker.pruning.scores.method import Scoring
from worker.pruning.scores.plain import Lots, Magnitude, Zscore
from worker.pruning.scores.taylor import Taylor
from worker.pruning.scores.wanda import Wanda

SCORINGS: dict[str, Scoring] = {
    "ci": ConcernIdentification(),
    "wanda": Wanda(),
    "magnitude": Magnitude(),
    "zscore": Zscore(),
    "random": Lots(),
    "taylor": Taylor(),
    "heads": Scoring(),
}


def scoring_of(spec: JobSpec) -> Scoring:
    """The method that the spec names."""
    return SCORINGS[spec.method.name]
