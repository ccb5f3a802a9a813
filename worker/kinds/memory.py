"""What is remembered across jobs by what decides it, in the object store.

A memory that cannot be read, or is of something else, is no memory: what it was of is measured, and it is made anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.services.sweeping import BASES
from app.storage import ObjectStore
from worker.attempt.retrying import reach_store

LARGEST_BYTES = 32 * 1024**2
"""No memory is as long: what is, was not written here, and is not read."""


@dataclass(frozen=True)
class Memory:
    """One memory, by its facts; `check` is called between tries of a store that is away."""

    facts: dict[str, Any]
    objects: ObjectStore
    scratch: Path
    check: Callable[[], None]

    @property
    def key(self) -> str:
        """The name of the memory."""
        return f"{BASES}/{_digest(self.facts)}.json"

    def recall(self) -> Any:
        """What was kept, as JSON gives it; None where there is nothing, or nothing that can be trusted."""
        stored = reach_store(self._read, self.check)
        try:
            known = json.loads(stored)
            sound = known["facts"] == self.facts and known["sha256"] == _digest(known["kept"])
        except (ValueError, KeyError, TypeError):
            return None
        return known["kept"] if sound else None

    def keep(self, measures: Any) -> None:
        """Remembers what JSON takes, in the place of what was there. What is too long is not remembered."""
        text = json.dumps({"facts": self.facts, "kept": measures, "sha256": _digest(measures)})
        if len(text) > LARGEST_BYTES:
            return
        file = self.scratch / "memory.json"
        file.write_text(text, encoding="utf-8")
        reach_store(lambda: self.objects.put_file(self.key, file, "application/json", replace=True), self.check)

    def _read(self) -> bytes:
        size = self.objects.head(self.key)
        if size is None or size > LARGEST_BYTES:
            return b""
        with closing(self.objects.open(self.key)) as chunks:
            return b"".join(chunks)


def _digest(document: Any) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
