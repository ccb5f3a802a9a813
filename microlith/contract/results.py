"""Results: one document with the base's report, every module and the comparison of the two."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from microlith.contract.base import Answer
from microlith.contract.combine import Combination
from microlith.contract.job import Resolved
from microlith.contract.module import Module, Numerics, Report


class BaseResult(Answer):
    """The base model, measured once per job."""

    parameters: int
    size_bytes: int | None = Field(None, description="The size of its weights at the precision of the modules.")
    report: Report
    numerics: Numerics | None = None


class SimpleScore(Answer):
    """How well a very simple classifier does on the evaluation examples: macro F1, and F1 of each class by label."""

    macro_f1: float
    own_f1: dict[str, float]


class BagOfWords(SimpleScore):
    """TF-IDF of words and pairs of words with logistic regression, trained on `rows` rows of the train split.
    `size_bytes` is the size of its words and weights.
    """

    size_bytes: int
    rows: int


class Baselines(Answer):
    """What is had without a transformer: always the most frequent class of the train split, and a bag of words.
    `reason` says why one of them is null.
    """

    majority: SimpleScore | None
    bag_of_words: BagOfWords | None
    reason: str | None = None


class Comparison(Answer):
    """The mean F1 of modules and base on the modules' own classes at one ratio, over the concerns finished so far."""

    ratio: float
    concerns: int
    own_f1: float
    base_own_f1: float
    change: float


class Overlap(Answer):
    """How much the modules of one ratio share: the Jaccard index of their kept units, pair by pair in the order of
    `concerns`, and the fraction of all units that every module keeps (`core`), overall and per layer.
    """

    ratio: float
    concerns: list[int]
    jaccard: list[list[float]]
    core: float
    layers: dict[str, float]


class Results(Answer):
    """`base` is null until the base has been measured. `modules` grows while the job runs."""

    object: Literal["results"] = "results"
    job_id: str
    state: str
    resolved: Resolved
    base: BaseResult | None
    baselines: Baselines | None = Field(
        None, description="Null until they have been measured, and in a job that reproduces the research notebook."
    )
    verdict: str | None = Field(None, description="One sentence about the modules that are ready, made of numbers.")
    modules: list[Module]
    comparison: list[Comparison]
    overlap: list[Overlap] = []
    combination: Combination | None = Field(None, description="The result of a job that combined modules.")

    if TYPE_CHECKING:  # microlith.display, which the client imports, attaches them

        def rows(self) -> list[dict[str, Any]]:
            """One row for each module: every measure that is one number, with the base's beside it."""

        def to_pandas(self) -> Any:
            """The rows as a pandas DataFrame. Raises MissingExtra without pandas."""
