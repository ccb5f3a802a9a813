"""`decomposition.json`: all that is needed to make the module again, and what it measured."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from app.sources.demo import Licence
from microlith.contract import (
    BinaryScore,
    Concern,
    JobSpec,
    OwnScore,
    Ratio,
    Report,
    Resolved,
    Similarity,
    Size,
    Sparsity,
    TrimmedVocabulary,
)
from worker.packaging.facts import ModuleFacts, SampleRows

FORMAT = 1
_LIBRARIES = ("microlith", "torch", "transformers")
_CALLED = {"model": {"name"}, "dataset": {"name"}}
"""What somebody called a file says nothing about what is in it: equal content gives an equal document."""


def decomposition(facts: ModuleFacts) -> dict[str, Any]:
    """The document, ready for JSON: equal facts give an equal document."""
    return {
        "format": FORMAT,
        "versions": {library: version(library) for library in _LIBRARIES},
        "spec": facts.recipe(),
        "resolved": facts.resolved.model_dump(mode="json", exclude=_CALLED),
        "concern": facts.concern.model_dump(mode="json"),
        "ratio": facts.ratio.model_dump(mode="json"),
        "seed": facts.spec.sampling.seed,
        "samples": _samples(facts),
        "mask": {"sha256": facts.mask_sha256},
        "sparsity": facts.sparsity.model_dump(mode="json"),
        "size": facts.size.model_dump(mode="json"),
        "vocabulary": facts.vocabulary and facts.vocabulary.model_dump(mode="json"),
        "metrics": {
            "own": facts.own.model_dump(mode="json"),
            "base_own": facts.base_own.model_dump(mode="json"),
            "report": facts.report.model_dump(mode="json"),
            "similarity": facts.similarity and facts.similarity.model_dump(mode="json"),
            "binary": facts.binary and facts.binary.model_dump(mode="json"),
            "base_report": facts.base_report.model_dump(mode="json"),
        },
    }


def facts_of(document: dict[str, Any], model_licence: Licence | None, dataset_licence: Licence | None) -> ModuleFacts:
    """The facts that `decomposition` made the document of."""
    metrics, samples, vocabulary = document["metrics"], document["samples"], document.get("vocabulary")
    return ModuleFacts(
        concern=Concern.model_validate(document["concern"]),
        spec=JobSpec.model_validate(document["spec"]),
        resolved=Resolved.model_validate(document["resolved"]),
        ratio=Ratio.model_validate(document["ratio"]),
        sparsity=Sparsity.model_validate(document["sparsity"]),
        size=Size.model_validate(document["size"]),
        own=OwnScore.model_validate(metrics["own"]),
        base_own=OwnScore.model_validate(metrics["base_own"]),
        report=Report.model_validate(metrics["report"]),
        base_report=Report.model_validate(metrics["base_report"]),
        similarity=metrics["similarity"] and Similarity.model_validate(metrics["similarity"]),
        binary=metrics["binary"] and BinaryScore.model_validate(metrics["binary"]),
        samples=SampleRows(samples["positive"], samples["negative"], samples.get("boundary")),
        mask_sha256=document["mask"]["sha256"],
        vocabulary=vocabulary and TrimmedVocabulary.model_validate(vocabulary),
        model_licence=model_licence,
        dataset_licence=dataset_licence,
    )


def _samples(facts: ModuleFacts) -> dict[str, Any]:
    """Which rows, and of what: a split, or a set made at the decision boundary."""
    rows = {"positive": facts.samples.positive, "negative": facts.samples.negative}
    if facts.samples.boundary is not None:
        return {"boundary": facts.samples.boundary, **rows}
    return {"split": facts.spec.sampling.split, **rows}
