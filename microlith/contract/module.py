"""Module: the result for one concern at one ratio, with its measures beside the base's."""

from typing import Literal

from pydantic import Field

from microlith.contract.artifact import Artifact
from microlith.contract.base import Answer
from microlith.contract.combine import Interval
from microlith.contract.footprint import Cost, Latency, Size
from microlith.contract.job import Concern


class Ratio(Answer):
    """The fraction of prunable units removed in the chosen layers, as requested and as achieved."""

    requested: float
    achieved: float


class Sparsity(Answer):
    """The fraction of weights and biases of ALL linear layers that are zeroed or removed, against the base's. Per layer
    by dotted name.
    """

    overall: float
    layers: dict[str, float]


class Macro(Answer):
    """Unweighted means over the classes."""

    precision: float
    recall: float
    f1: float


class Micro(Answer):
    """Over the labels of all examples together."""

    precision: float
    recall: float
    f1: float


class OwnScore(Answer):
    """Precision, recall and F1 of one class, the number of its examples and the 95 % interval of its F1."""

    precision: float
    recall: float
    f1: float
    support: int
    f1_interval: tuple[float, float] | None = None


class DeliveredScore(OwnScore):
    """The scores of the files on the evaluation split. With a binary head they count the concern against the rest, and
    `macro` and `loss` are null.
    """

    accuracy: float
    macro: Macro | None = None
    micro: Micro | None = Field(None, description="Multi-label models only.")
    loss: float | None = None


class OthersOwn(Answer):
    """The mean scores of the job's other modules with the same ratio on this class. Null if there are none."""

    f1: float | None


class ClassScore(OwnScore):
    """A row of the report."""

    id: int
    label: str
    threshold: float | None = Field(
        None,
        description="Multi-label models: the logit from which on the label is given, chosen on the validation split.",
    )


class Report(Answer):
    """Per class, macro and overall measures. `loss` is the mean cross-entropy in nats on the evaluation split.
    `exp_loss` is exp(mean cross-entropy) on the validation split. `confusion` counts the examples of each true class
    (row) by their predicted class (column), both in the order of `classes`. It is null for more than 100 classes. For a
    multi-label model the cross-entropy is binary, a mean over the labels too, `accuracy` is the fraction of `examples`
    with every label right, and there is no confusion.
    """

    classes: list[ClassScore]
    macro: Macro
    micro: Micro | None = Field(None, description="Multi-label models only.")
    examples: int | None = Field(None, description="The number of rows of the evaluation split.")
    accuracy: float
    loss: float
    exp_loss: float
    confusion: list[list[int]] | None = None


class SimilarityValues(Answer):
    """How close the module's hidden states are to the base's. 1 means that they are the same, null that there are too
    few samples. CCA is the mean over the principal directions of `samples` points. `directions` is the number of
    directions of base and module.
    """

    cca: float | None
    linear_cka: float | None
    kernel_cka: float | None
    samples: int | None = None
    directions: list[int] | None = None


class SideSimilarity(SimilarityValues):
    """The similarity on one side, concern or rest: of the last hidden states, of the answers, and of every layer if
    requested. `agreement` is the fraction of samples with the same predicted class, or the same labels. `kl` is the
    mean KL(base ‖ module) in nats. For a multi-label model it is a sum over the labels.
    """

    agreement: float | None = None
    kl: float | None = None
    layers: list[SimilarityValues] | None = None


class LegacySimilarity(Answer):
    """The research notebook's definitions: over neurons, with padding."""

    concern: SimilarityValues
    rest: SimilarityValues


class Similarity(Answer):
    """Similarity to the base on samples of the concern and on the rest."""

    concern: SideSimilarity
    rest: SideSimilarity
    legacy: LegacySimilarity | None = None


class BinaryScore(Answer):
    """The module as a binary classifier, concern against rest, at a threshold."""

    threshold: float
    precision: float
    recall: float
    f1: float
    auroc: float


class EarlyScore(Answer):
    """A first estimate of the F1 of a concern's own class on the whole split. It uses `examples` examples, equally many
    of each class.
    """

    f1: float
    f1_interval: tuple[float, float]
    examples: int


class Numerics(Answer):
    """The number type of a model's answers, if bfloat16 was tried. `agreement` is the fraction of the `examples` for
    which bfloat16 and float32 predict the same class.
    """

    dtype: Literal["bfloat16", "float32"]
    agreement: float
    examples: int


class TrimmedVocabulary(Answer):
    """The tokens that a trimmed vocabulary keeps, and the module's scores on the evaluation split when it reads with
    them. `unknown` is the fraction of unknown tokens in the split, `base_unknown` the same with the whole vocabulary.
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
    """The part of the base that a concern needs, with its measures. `own` are the module's scores on its own class,
    `base_own` the base's on the same examples. `delivered` are the scores of the files, if they answer otherwise than
    what `own` and `report` measured: with two answers, fewer tokens or rounded weights.
    """

    id: str
    object: Literal["module"] = "module"
    job_id: str
    concern: Concern
    method: str
    structure: str
    ratio: Ratio
    sparsity: Sparsity
    size: Size
    cost: Cost | None = None
    own: OwnScore
    delivered: DeliveredScore | None = Field(None, description="Null if the files answer as `own` says.")
    base_own: OwnScore
    others_own: OthersOwn
    report: Report
    macro_change: Interval | None = Field(
        None,
        description="The change of macro F1 against the base on the same examples, as the files answer with the base's "
        "labels. The 95 % interval is that of a paired bootstrap.",
    )
    verdict: str | None = Field(None, description="One sentence: how much faster, how much smaller, at which loss.")
    similarity: Similarity | None = None
    binary: BinaryScore | None = None
    latency: Latency | None = Field(None, description="The latency for one input, in the first layout that was timed.")
    latencies: list[Latency] = Field([], description="The latencies by layout and batch size.")
    numerics: Numerics | None = Field(
        None, description="Present if the splits were answered in bfloat16, or if that was tried."
    )
    vocabulary: TrimmedVocabulary | None = Field(
        None,
        description="The scores with the trimmed vocabulary of its files. `own` and `report` use the whole vocabulary.",
    )
    artifacts: list[Artifact]
    timings: dict[str, float] = Field({}, description="Seconds spent on this module in each phase.")

    @property
    def handed_out(self) -> OwnScore:
        """The scores of the files, which lists and tables show."""
        return self.delivered or self.own
