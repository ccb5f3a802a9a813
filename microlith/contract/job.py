"""Job: one request and its life."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from microlith.contract.artifact import Artifact
from microlith.contract.base import Answer
from microlith.contract.combine import CombineSpec
from microlith.contract.order import LayoutOrder
from microlith.contract.prediction import Prediction, PredictionOrder
from microlith.contract.references import by_role
from microlith.contract.spec import JobSpec

State = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled", "expired"]
Kind = Literal["decompose", "export", "combine", "predict"]
Phase = Literal["resolving", "sampling", "scoring", "pruning", "evaluating", "exporting", "verifying"]

TERMINAL_STATES: frozenset[str] = frozenset({"succeeded", "failed", "cancelled", "expired"})


class Concern(Answer):
    """One class of the classifier."""

    id: int
    label: str


class Progress(Answer):
    """How far the job is, in steps of its own work; `eta_seconds` is null until there is something to judge by."""

    percent: float = 0.0
    done: int = 0
    total: int = 0
    eta_seconds: float | None = None


class ConcernCounts(Answer):
    """How many concerns the job has and how many of them are finished."""

    total: int
    succeeded: int = 0
    failed: int = 0


class ModelFacts(Answer):
    """The model a reference stood for when the job ran; `name` is what people call it."""

    ref: str
    name: str | None = None
    revision: str | None
    sha256: str | None
    architecture: str | None
    labels: list[str]


class DatasetFacts(Answer):
    """The data a reference stood for when the job ran, and what people call it; rows per split."""

    ref: str
    name: str | None = None
    revision: str | None
    sha256: str | None = None
    splits: dict[str, str]
    rows: Annotated[dict[str, int], AfterValidator(by_role)]
    warnings: list[str] = Field([], description="What was guessed about the files, and what to mind.")


class Resolved(Answer):
    """What the spec came to: nothing here depends on when or where it is read again."""

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
    """Where everything of the job is."""

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
        "decompose", description="A decomposition, one more layout of a module, a combination, or a try."
    )
    state: State
    phase: Phase | None = None
    progress: Progress = Progress()
    concerns: ConcernCounts
    queue_position: int | None = Field(
        None, description="1 is next; 1000 is there or further on; null when the job is not queued."
    )
    spec: JobSpec = Field(description="Of the decomposition, also where the job is about a module that came of it.")
    order: LayoutOrder | CombineSpec | PredictionOrder | None = Field(
        None, description="What is asked about modules that are there."
    )
    resolved: Resolved
    error: JobError | None = None
    attempts: int = 0
    prediction: Prediction | None = Field(None, description="Of a try that has succeeded.")
    artifacts: list[Artifact] = Field([], description="Of a combination; those of modules are the modules' own.")
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

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        from microlith.display import notebook_html

        return notebook_html.job(self)


class PlannedModule(Answer):
    """A module the job would make."""

    concern: Concern
    ratio: float


class Estimate(Answer):
    """A forecast from the arithmetic of the job; null where a source is remote.

    Seconds of work, bytes of artifacts, and the most memory that the worker's process should take.
    """

    seconds: float | None
    bytes: int | None
    memory_bytes: int | None = None


class Plan(Answer):
    """What a spec would do, without doing it; a `hub:` source is only known once the worker has fetched it."""

    object: Literal["plan"] = "plan"
    spec: JobSpec
    resolved: Resolved
    modules: list[PlannedModule]
    estimate: Estimate
    warnings: list[str] = Field([], description="What to mind before the job is submitted.")
