"""The base's own measures, remembered across jobs by what decides them: the model, the data, the splits, the way."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from app.storage import ObjectStore
from microlith.contract import BaseResult, JobSpec
from worker.compute.arrays import Truth
from worker.kinds.memory import Memory
from worker.sources.open_sources import Sources

RECIPE = 4
"""Goes up whenever the same facts would be measured otherwise."""


@dataclass(frozen=True)
class MeasuredBase:
    """The base, measured: what is told of it, and its answers to the evaluation split, as its `Meaning` gives them."""

    result: BaseResult
    answers: Truth


@dataclass(frozen=True)
class BaseMemory:
    """Where the measures of one job's base are kept."""

    memory: Memory

    @classmethod
    def of(
        cls, spec: JobSpec, sources: Sources, objects: ObjectStore, scratch: Path, check: Callable[[], None]
    ) -> BaseMemory:
        """The memory of what `spec` measures."""
        return cls(Memory(made_from(spec, sources), objects, scratch, check))

    def recall(self) -> MeasuredBase | None:
        """What an earlier job measured; None where there is nothing, or nothing that can be trusted."""
        known = self.memory.recall()
        if known is None:
            return None
        packed = zlib.decompress(base64.b64decode(known["answers"]))
        answers = np.frombuffer(packed, dtype="<u2").reshape(known["shape"])
        kind = np.bool_ if answers.ndim == 2 else np.int64
        return MeasuredBase(BaseResult.model_validate(known["result"]), answers.astype(kind))

    def keep(self, base: MeasuredBase) -> None:
        """Remembers what was measured, in the place of what was there."""
        packed = base64.b64encode(zlib.compress(base.answers.astype("<u2").tobytes())).decode()
        result = base.result.model_dump(mode="json")
        self.memory.keep({"result": result, "answers": packed, "shape": base.answers.shape})


def made_from(spec: JobSpec, sources: Sources) -> dict[str, Any]:
    """All that decides what the base's measures are, as JSON takes it."""
    model, data = sources.model.facts, sources.data.facts
    return {
        "recipe": RECIPE,
        "model": model.content_sha256 or model.revision,
        "labels": sources.model.labels,
        "dataset": data.sha256 or data.revision,
        "read": spec.source.model_dump(mode="json", exclude={"ref"}),
        "evaluation": spec.evaluation.model_dump(mode="json", include={"split", "validation_split", "limit", "dtype"}),
        "rows": data.rows,
        "device": sources.resolved.device,
        "versions": [torch.__version__, transformers.__version__],
    }
