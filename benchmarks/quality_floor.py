"""What modules must beat: the base, what is had without it, and its first layers with a head of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmarks.quality_scores import Record, Scored, pack
from microlith.contract import JobSpec
from worker.compute.arrays import Logits
from worker.compute.batches import forward, mean_over_positions, run_batches
from worker.compute.examples import Examples
from worker.evaluation.baselines import bag_of_words, majority
from worker.evaluation.runner import evenly
from worker.sources.open_sources import Sources

HEAD_TEXTS = 6_000
"""Of the train split, that the head of the first layers learns from."""

STRENGTHS = (0.01, 0.1, 1.0)
"""Of that head; the best on the validation split."""


def measure_floor(spec: JobSpec, sources: Sources, scored: Scored) -> Iterator[Record]:
    """The base, and what is had without it."""
    began = time.monotonic()
    found = scored.ask(sources.model.model)
    yield {
        "cell": "base",
        **found,
        "flops_ratio": 1.0,
        "parameters_ratio": 1.0,
        "labels": pack(scored.test.labels),
        "classes": len(scored.names),
        "seconds": time.monotonic() - began,
    }
    (texts, labels), (tests, truth) = sources.data.split("train"), sources.data.split(spec.evaluation.split)
    rows = evenly(len(truth), spec.evaluation.limit)
    yield {"cell": "majority", "flops_ratio": 0.0, "macro_f1": majority(labels, truth[rows], scored.names).macro_f1}
    if sources.model.info.task == "text":
        began = time.monotonic()
        seen = [cast(str, tests[row]) for row in rows]
        words = bag_of_words((cast(list[str], texts), labels), (seen, truth[rows]), scored.names)
        if words:
            spent = time.monotonic() - began
            yield {"cell": "bag of words", "flops_ratio": 0.0, "macro_f1": words.macro_f1, "seconds": spent}


def measure_first_layers(sources: Sources, scored: Scored) -> Iterator[Record]:
    """The first k blocks, read by a logistic head on the mean of the positions and the first one."""
    began = time.monotonic()
    train = sources.thinned("train", HEAD_TEXTS)
    pooled = [_pooled(sources.model.model, examples) for examples in (train, scored.test, scored.validation)]
    depth, spent = len(pooled[0]), time.monotonic() - began
    for kept in range(1, depth):
        began = time.monotonic()
        scale = StandardScaler().fit(pooled[0][kept - 1])
        learned, tests, checks = (scale.transform(split[kept - 1]) for split in pooled)
        heads = [LogisticRegression(C=c, solver="newton-cg", tol=1e-3).fit(learned, train.labels) for c in STRENGTHS]
        head = max(heads, key=lambda one: float(one.score(checks, scored.validation.labels)))
        yield {
            "cell": f"first {kept} of {depth} layers",
            **scored.judge(*(_all_classes(head, split, len(scored.names)) for split in (tests, checks))),
            "flops_ratio": kept / depth,
            "seconds": spent + time.monotonic() - began,
        }


def _pooled(model: torch.nn.Module, examples: Examples) -> list[Logits]:
    """Mean and first position after each block [blocks] of [rows, 2 · hidden]."""
    found: dict[int, list[Logits]] = {}
    with torch.inference_mode():
        batches = run_batches(lambda batch: forward(model, batch, output_hidden_states=True).hidden_states, examples)
        for batch, states in batches:
            both = [torch.cat([mean_over_positions(s, batch), s[:, 0]], dim=1).numpy() for s in states[1:]]
            found.update(zip(batch.rows.tolist(), map(list, zip(*both, strict=True)), strict=True))
    return [np.stack([found[row][block] for row in range(len(examples))]) for block in range(len(found[0]))]


def _all_classes(head: LogisticRegression, features: Logits, classes: int) -> Logits:
    """Its logits for every class of the model; a class it has never seen is never answered."""
    logits = np.full((len(features), classes), -1e9, dtype=np.float32)
    logits[:, head.classes_] = head.decision_function(features)
    return logits
