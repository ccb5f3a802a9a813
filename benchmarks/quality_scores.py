"""How every classifier of `benchmarks.quality` is scored, and how its answers are kept."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from microlith.contract import JobSpec
from worker.compute.arrays import Labels, Logits
from worker.compute.examples import Examples
from worker.evaluation.binary import best_threshold, margins
from worker.evaluation.binary import measure as measure_binary
from worker.evaluation.runner import predict
from worker.sources.open_sources import Sources

Record = dict[str, Any]
"""One line of the table."""


@dataclass(frozen=True)
class Scored:
    """What is asked of every classifier: the test split, and the validation split for thresholds."""

    test: Examples
    validation: Examples
    names: list[str]

    @classmethod
    def of(cls, spec: JobSpec, sources: Sources) -> Scored:
        """The splits of a spec."""
        evaluation = spec.evaluation
        splits = (sources.thinned(role, evaluation.limit) for role in (evaluation.split, evaluation.validation_split))
        return cls(*splits, sources.model.labels)

    def ask(self, model: torch.nn.Module) -> Record:
        """The scores of a model."""
        return self.judge(predict(model, self.test), predict(model, self.validation))

    def judge(self, test: Logits, validation: Logits) -> Record:
        """Macro-F1, the mean F1 of all classes against the rest at thresholds of the validation split, the answers."""
        binary = []
        for concern in range(len(self.names)):
            threshold = best_threshold(margins(validation, concern), self.validation.labels == concern)
            binary.append(measure_binary(margins(test, concern), self.test.labels == concern, threshold).f1)
        answers = test.argmax(axis=1)
        return {"macro_f1": self.macro_f1(answers), "binary_f1": float(np.mean(binary)), "answers": pack(answers)}

    def macro_f1(self, answers: Labels) -> float:
        """The unweighted mean of F1 over the classes."""
        hits, sizes = [], []
        for label in range(len(self.names)):
            true, given = self.test.labels == label, answers == label
            hits.append(2 * int((true & given).sum()))
            sizes.append(int(true.sum() + given.sum()))
        return float(np.mean([hit / size if size else 0.0 for hit, size in zip(hits, sizes, strict=True)]))


def pack(ids: Labels) -> str:
    """Class ids as text."""
    return base64.b64encode(zlib.compress(ids.astype("<u2").tobytes(), 9)).decode()


def unpack(text: str) -> Labels:
    """Class ids [rows] from their text."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype="<u2").astype(np.int64)
