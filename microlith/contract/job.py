"""Job: one request and its life."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from microlith.contract.artifact import Artifact
from microlith.contract.base import Answer
from microlith.contract.combine import CombineSpec
from microlith.contract.options import NumberType
from microlith.contract.order import LayoutOrder
from microlith.contract.prediction import Prediction, PredictionOrder
from microlith.contract.references import by_role
from microlith.contract.spec import JobSpec

State = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled", "expired"]
Kind = Literal["decompose", "export", "combine", "predict"]
Phase = Literal["resolving", "sampling", "scoring", "pruning", "distilling", "evaluating", "exporting", "verifying"]

TERMINAL_STATES: frozenset[str] = frozenset({"succeeded", "failed", "cancelled", "expired"})


class Concern(Answer):
    """One class of the classifier."""

    id: int
    label: str


class Progress(Answer):
    """How far the job is, in steps of its own work. `eta_seconds` is null until it can be estimated."""

    percent: float = 0.0
    done: int = 0
    total: int = 0
    eta_seconds: float | None = None


class ConcernCounts(Answer):
    """The number of concerns in the job, and how many of them are finished."""

    total: int
    succeeded: int = 0
    failed: int = 0


class ModelFacts(Answer):
    """The model that the reference pointed to when the job ran. `name` is the name to show."""

    ref: str
    name: str | None = None
    revision: str | None
    sha256: str | None
    content_sha256: str | None = None
    architecture: str | None
    dtype: NumberType | None = None
    labels: list[str]
    multi_label: bool = False


class DatasetFacts(Answer):
    """The data that the reference pointed to when the job ran, with the name to show and the rows of each split."""

    ref: str
    name: str | None = None
    revision: str | None
    sha256: str | None = None
    splits: dict[str, str]
    rows: Annotated[dict[str, int], AfterValidator(by_role)]
    warnings: list[str] = Field([], description="What was guessed about the files, and what to mind.")


class Resolved(Answer):
    """What the job used for its spec. Nothing here changes when the references change later."""

    model: ModelFacts | None = None
    dataset: DatasetFacts | None = None
    layers: list[str] = []
    seed: int | None = None
    device: str | None = None


class JobError(Answer):
    """Why a job failed and what to do next."""

    code: str
    message: str
    hint: str | None = None


class JobUrls(Answer):
    """The addresses of everything that belongs to the job."""

    self: str
    events: str
    modules: str
    results: str
    cancel: str


class Job(Answer):
    """One request and its life, from `queued` to a terminal state."""

    id: str
    object: Literal["job"] = "job"
    kind: Kind = Field(
        "decompose",
        description="`decompose`, `export` (one more layout), `combine`, or `predict` (texts to try a module on).",
    )
    state: State
    phase: Phase | None = None
    progress: Progress = Progress()
    concerns: ConcernCounts
    queue_position: int | None = Field(
        None, description="1 is next. 1000 means 1000 or more. Null if the job is not queued."
    )
    spec: JobSpec = Field(
        description="The spec of the decomposition. A job about an existing module has the spec that made the module."
    )
    order: LayoutOrder | CombineSpec | PredictionOrder | None = Field(
        None, description="What the job does with existing modules."
    )
    resolved: Resolved
    error: JobError | None = None
    attempts: int = 0
    prediction: Prediction | None = Field(None, description="The answers of a try that succeeded.")
    artifacts: list[Artifact] = Field(
        [], description="The files of a combination. The files of modules are in the modules."
    )
    labels: dict[str, str] = {}
    timings: dict[str, float] = Field({}, description="Seconds spent in each phase.")
    created_at: datetime
    queued_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    urls: JobUrls

    @property
    def finished(self) -> bool:
        """Whether the state is terminal."""
        return self.state in TERMINAL_STATES


class PlannedModule(Answer):
    """A module that the job would make."""

    concern: Concern
    ratio: float


class Estimate(Answer):
    """A forecast from the arithmetic of the job: seconds of work, bytes of artifacts, and the peak memory of the
    worker's process. Null if a source is remote.
    """

    seconds: float | None
    bytes: int | None
    memory_bytes: int | None = None


class Plan(Answer):
    """What a spec would do, without doing it. A `hub:` source is only known once a worker has downloaded it."""

    object: Literal["plan"] = "plan"
    spec: JobSpec
    resolved: Resolved
    modules: list[PlannedModule]
    estimate: Estimate
    warnings: list[str] = Field([], description="What to mind before the job is submitted.")
