"""A pass runs rows through a model, and the object that runs them is the one that tells how many they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

from worker.compute.batches import Checkpoint, unwatched
from worker.compute.memory import Result

Result_co = TypeVar("Result_co", covariant=True)


class Pass(Protocol[Result_co]):
    """Rows that are to run through a model."""

    @property
    def rows(self) -> int:
        """How many they are: what the checkpoint of `run` counts up to."""

    def run(self, checkpoint: Checkpoint = unwatched) -> Result_co:
        """What comes of them. `checkpoint` hears the rows done after each batch and may raise."""


@dataclass
class Meter:
    """One count of rows over passes that follow each other."""

    checkpoint: Checkpoint
    done: int = 0

    def run(self, next_pass: Pass[Result]) -> Result:
        """What comes of the pass, whose rows are counted on from those before it."""
        before, self.done = self.done, self.done + next_pass.rows
        return next_pass.run(lambda rows: self.checkpoint(before + rows))
