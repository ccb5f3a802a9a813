"""Module: the result for one concern at one ratio, with its measures beside the base's."""

from typing import Literal

from pydantic import Field

from microlith.contract.artifact import Artifact
from microlith.contract.base import Answer
from microlith.contract.footprint import Latency, Size
from microlith.contract.job import Concern


class Ratio(Answer):
    """The fraction of prunable units removed in the chosen layers, as asked and as it came out."""

    requested: float
    achieved: float


class Sparsity(Answer):
    """Zeroed and removed weights and biases of ALL linear layers, against the base's; per layer by dotted name."""

    overall: float
    layers: dict[str, float]


class OwnScore(Answer):
    """One class's precision, recall and F1, with the number of its examples and F1's 95 % interval."""

    precision: float
    recall: float
    f1: float
    support: int
    f1_interval: tuple[float, float] | None = None


class OthersOwn(Answer):
    """What the job's other modules of the same ratio score on this class, in the mean; null when there are none."""

    f1: float | None


class ClassScore(OwnScore):
    """A row of the report."""

    id: int
    label: str


class Macro(Answer):
    """Unweighted means over the classes."""

    precision: float
    recall: float
    f1: float


class Report(Answer):
    """Per class, macro and overall measures; loss is the mean cross-entropy in nats on the evaluation split.

    `exp_loss` is exp(mean cross-entropy) on the validation split. `confusion` counts the examples of each true class
    (row) by the class they were given (column), both in the order of `classes`; null for more than 100 classes.
    """

    classes: list[ClassScore]
    macro: Macro
    accuracy: float
    loss: float
    exp_loss: float
    confusion: list[list[int]] | None = None


class SimilarityValues(Answer):
    """How close the module's hidden states are to the base's: 1 is the same. Null where too few samples decide.

    CCA is the mean over the principal directions of `samples` points; `directions` is how many, base and module.
    """

    cca: float | None
    linear_cka: float | None
    kernel_cka: float | None
    samples: int | None = None
    directions: list[int] | None = None


class SideSimilarity(SimilarityValues):
    """On one side, concern or rest: the last hidden states, the answers, and every layer where asked.

    `agreement` is the fraction of samples with the same predicted class, `kl` the mean KL(base ‖ module) in nats.
    """

    agreement: float | None = None
    kl: float | None = None
    layers: list[SimilarityValues] | None = None


class LegacySimilarity(Answer):
    """The seed system's definitions: over neurons, pads counted."""

    concern: SimilarityValues
    rest: SimilarityValues


class Similarity(Answer):
    """Similarity to the base on samples of the concern and on the rest."""

    concern: SideSimilarity
    rest: SideSimilarity
    legacy: LegacySimilarity | None = None


class BinaryScore(Answer):
    """Concern against rest at a threshold."""

    threshold: float
    precision: float
    recall: float
    f1: float
    auroc: float


class EarlyScore(Answer):
    """A first idea of F1 of a concern's own class on the whole split, from so many examples, as many of each class."""

    f1: float
    f1_interval: tuple[float, float]
    examples: int


class Numerics(Answer):
    """What a model's answers were computed in, where bfloat16 was tried.

    `agreement` is the fraction of so many `examples` that bfloat16 and float32 predict the same class of.
    """

    dtype: Literal["bfloat16", "float32"]
    agreement: float
    examples: int


class TrimmedVocabulary(Answer):
    """What is left of the base's tokens, and the module's scores on the evaluation split when it reads with them.

    `unknown` is the fraction of the split's tokens that are the unknown one, `base_unknown` with the whole vocabulary.
    """

    tokens: int
    base_tokens: int
    guard: float
    sha256: str
    unknown: float | None
    base_unknown: float | None
    own: OwnScore
    macro: Macro
    accuracy: float
    loss: float


class Module(Answer):
    """What a concern needs of the base, measured: `own` is its class, `base_own` the base on the same examples."""

    id: str
    object: Literal["module"] = "module"
    job_id: str
    concern: Concern
    method: str
    structure: str
    ratio: Ratio
    sparsity: Sparsity
    size: Size
    own: OwnScore
    base_own: OwnScore
    others_own: OthersOwn
    report: Report
    similarity: Similarity | None = None
    binary: BinaryScore | None = None
    latency: Latency | None = Field(None, description="Of one input, in the first layout that was timed.")
    latencies: list[Latency] = Field([], description="By layout and batch size.")
    numerics: Numerics | None = Field(None, description="Where the splits were answered in bfloat16, or tried to.")
    vocabulary: TrimmedVocabulary | None = Field(
        None, description="With a trimmed vocabulary, which its files have; `own` and `report` are with the whole one."
    )
    artifacts: list[Artifact]
    timings: dict[str, float] = Field({}, description="Seconds spent on this module in each phase.")
