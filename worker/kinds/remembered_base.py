"""The base's own measures, remembered across jobs by what decides them: the model, the data, the splits, the way.

A memory that cannot be read, or is of something else, is no memory: the base is measured, and the memory made anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from app.services.sweeping import BASES
from app.storage import ObjectStore
from microlith.contract import BaseResult, JobSpec
from worker.attempt.retrying import reach_store
from worker.sources.open_sources import Sources

RECIPE = 3
"""Goes up whenever the same facts would be measured otherwise."""

LARGEST_BYTES = 4 * 1024**2
"""No report is as long: what is, was not written here, and is not read."""


@dataclass(frozen=True)
class BaseMemory:
    """Where the measures of one job's base are kept; `check` is called between tries of a store that is away."""

    facts: dict[str, Any]
    objects: ObjectStore
    scratch: Path
    check: Callable[[], None]

    @classmethod
    def of(
        cls, spec: JobSpec, sources: Sources, objects: ObjectStore, scratch: Path, check: Callable[[], None]
    ) -> BaseMemory:
        """The memory of what `spec` measures."""
        return cls(made_from(spec, sources), objects, scratch, check)

    @property
    def key(self) -> str:
        """The name of the memory, by its facts."""
        return f"{BASES}/{_digest(self.facts)}.json"

    def recall(self) -> BaseResult | None:
        """What an earlier job measured; None where there is nothing, or nothing that can be trusted."""
        stored = reach_store(self._read, self.check)
        try:
            known = json.loads(stored)
            base = BaseResult.model_validate(known["base"])
            sound = known["facts"] == self.facts and known["sha256"] == _digest(base.model_dump(mode="json"))
        except (ValueError, KeyError, TypeError):
            return None
        return base if sound else None

    def keep(self, base: BaseResult) -> None:
        """Remembers what was measured, in the place of what was there."""
        measures = base.model_dump(mode="json")
        file = self.scratch / "base.json"
        file.write_text(
            json.dumps({"facts": self.facts, "base": measures, "sha256": _digest(measures)}), encoding="utf-8"
        )
        reach_store(lambda: self.objects.put_file(self.key, file, "application/json", replace=True), self.check)

    def _read(self) -> bytes:
        size = self.objects.head(self.key)
        if size is None or size > LARGEST_BYTES:
            return b""
        with closing(self.objects.open(self.key)) as chunks:
            return b"".join(chunks)


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


def _digest(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
