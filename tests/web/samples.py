"""Wire models with every measure filled in, so that each chart has something to draw."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from microlith.contract import (
    BaseResult,
    ClassScore,
    Comparison,
    Concern,
    ConcernCounts,
    Event,
    Job,
    JobSpec,
    Latency,
    ModelFacts,
    Module,
    OthersOwn,
    Overlap,
    OwnScore,
    Ratio,
    Report,
    Resolved,
    Results,
    SideSimilarity,
    Similarity,
    Size,
    Sparsity,
)
from microlith.contract.artifact import Artifact, ArtifactFile, ArtifactUrls
from microlith.contract.job import JobUrls
from microlith.contract.module import Macro

LABELS = ("act", "animal", "artifact")
MADE = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
JOB_ID = "job_00000000000000000000000001"


def job(state: str = "succeeded", **more: Any) -> Job:
    """A decomposition of the demo model into its first three classes."""
    spec = {"model": "demo:bert-tiny-wordnet", "dataset": "demo:wordnet-supersense"} | more.pop("spec", {})
    facts = ModelFacts(
        ref=spec["model"], revision=None, sha256=None, architecture="BertForSequenceClassification", labels=list(LABELS)
    )
    given: dict[str, Any] = {
        "id": JOB_ID,
        "state": state,
        "concerns": ConcernCounts(total=3),
        "spec": JobSpec.model_validate(spec),
        "resolved": Resolved(model=facts, seed=44),
        "created_at": MADE,
        "queued_at": MADE,
        "started_at": MADE,
        "finished_at": MADE + timedelta(seconds=80) if state == "succeeded" else None,
        "urls": JobUrls(self="/v1/jobs/x", events="/e", modules="/m", results="/r", cancel="/c"),
    }
    return Job.model_validate(given | more)


def report(f1: Sequence[float], confusion: list[list[int]] | None = None) -> Report:
    classes = [ClassScore(id=at, label=LABELS[at], precision=v, recall=v, f1=v, support=10) for at, v in enumerate(f1)]
    mean = sum(f1) / len(f1)
    macro = Macro(precision=mean, recall=mean, f1=mean)
    return Report(classes=classes, macro=macro, accuracy=mean, loss=0.5, exp_loss=1.6, confusion=confusion)


CONFUSION = [[8, 2, 0], [1, 9, 0], [0, 3, 7]]


def module(concern: int, f1: float, base: float, *, ratio: float = 0.5, **more: Any) -> Module:
    """`f1` on its own class with an interval of ± 0.03."""
    own = OwnScore(precision=f1, recall=f1, f1=f1, support=10, f1_interval=(f1 - 0.03, f1 + 0.03))
    given: dict[str, Any] = {
        "id": f"mod_{concern}_{ratio:g}",
        "job_id": JOB_ID,
        "concern": Concern(id=concern, label=LABELS[concern]),
        "method": "ci",
        "structure": "weights",
        "ratio": Ratio(requested=ratio, achieved=ratio),
        "sparsity": Sparsity(overall=0.3, layers={"layer.10.out": 0.5, "layer.9.out": 0.4, "head": 0.0}),
        "size": Size(parameters=100, nonzero=70, base_parameters=100),
        "own": own,
        "base_own": OwnScore(precision=base, recall=base, f1=base, support=10),
        "others_own": OthersOwn(f1=0.5),
        "report": report([f1] * 3, CONFUSION),
        "similarity": Similarity(concern=side(0.95), rest=side(0.9)),
        "latencies": [Latency(device="a core", batch=1, milliseconds=2.0, base_milliseconds=4.0)],
        "artifacts": [artifact(concern)],
    }
    return Module.model_validate(given | more)


def side(value: float | None) -> SideSimilarity:
    return SideSimilarity(cca=value, linear_cka=value, kernel_cka=value, agreement=0.9, kl=0.01)


def artifact(number: int = 0, layout: str = "portable", path: str = "config.json") -> Artifact:
    return Artifact(
        id=f"art_{number}",
        layout=layout,
        media_type="application/zip",
        size_bytes=9_000_000,
        sha256="ab" * 32,
        files=[ArtifactFile(path=path, size_bytes=10, sha256="cd" * 32)],
        created_at=MADE,
        urls=ArtifactUrls(self="/v1/artifacts/a", content="/v1/artifacts/a/content"),
    )


def results(modules: Sequence[Module], base: Sequence[float] = (0.8, 0.8, 0.8)) -> Results:
    ratios = sorted({one.ratio.requested for one in modules})
    return Results(
        job_id=JOB_ID,
        state="succeeded",
        resolved=Resolved(),
        base=BaseResult(parameters=100, report=report(base, CONFUSION)),
        modules=list(modules),
        comparison=[_comparison(ratio, [m for m in modules if m.ratio.requested == ratio]) for ratio in ratios],
        overlap=[Overlap(ratio=ratios[0], concerns=[0, 1], jaccard=[[1.0, 0.6], [0.6, 1.0]], core=0.2, layers={})]
        if ratios
        else [],
    )


def event(seq: int, kind: str, **data: Any) -> Event:
    return Event(id=f"evt_{seq}", job_id=JOB_ID, seq=seq, type=kind, data=data, created_at=MADE)  # type: ignore[arg-type]


def _comparison(ratio: float, modules: Sequence[Module]) -> Comparison:
    own = sum(m.own.f1 for m in modules) / len(modules)
    base = sum(m.base_own.f1 for m in modules) / len(modules)
    return Comparison(ratio=ratio, concerns=len(modules), own_f1=own, base_own_f1=base, change=own - base)
