"""What a job will cost, by the arithmetic of its spec: seconds, stored bytes, and the memory of its worker."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.budgets import KEPT_BYTES, SOLVED_TOKENS, TOKEN_BUDGET
from app.domain.distilling import epochs_for
from app.domain.families import family_named
from app.domain.layouts import share_of_base
from app.domain.methods import parts_of
from microlith.contract import DatasetInfo, JobSpec, ModelInfo
from microlith.contract.job import Estimate

TOKENS_PER_TEXT = 32
FLOPS_PER_SECOND = 2e10
"""Both on the careful side, a slow core and longish texts, so that a forecast errs on the long side."""

MB = 2**20
PROCESS = 700 * MB
"""Python with torch, transformers and what measures: before any model is opened."""

WEIGHT_COPIES = 4
"""The base, a module's own tensors, the file that is written of it, and that file on its way into an archive."""

STUDENT_COPIES = 8
"""Of what learns: values, gradients, two momenta, the last and the best state, and both on their way into the store."""

ROW, STORED = 400, 30
"""Bytes of an example besides its text; and of a text and its tokens in Python's lists, for each byte of its file."""

ANSWER = 16
"""Bytes of one class of one example: float32, and what measures make of all of them at once."""

LIVE = 16
"""How many tensors of a layer's width, some of them float64, live at the same time."""

SUM = 8

UNKNOWN = Estimate(seconds=None, bytes=None, memory_bytes=None)
"""Of a job whose sources only the worker can fetch."""


@dataclass(frozen=True)
class PlannedWork:
    """A job whose sources are known; `layers` are those that lose something, `concerns` how many there are."""

    spec: JobSpec
    model: ModelInfo
    dataset: DatasetInfo
    layers: list[str]
    concerns: int

    @property
    def estimate(self) -> Estimate:
        return Estimate(seconds=round(self.seconds, 1), bytes=round(self.stored), memory_bytes=round(self.memory))

    @property
    def seconds(self) -> float:
        """Two operations per linear weight and token, for every evaluated text, by the base and every module.

        Where layers are solved anew, every module and the base take SOLVED_TOKENS more, and as much for the sums. Where
        modules learn: once more by the base for every text that is learned from, and in every epoch three times as many
        for each weight that is left, unless the minutes for it are over before.
        """
        weights = sum(layer.shape[0] * layer.shape[1] for layer in self.model.layers)
        a_text = 2 * weights * TOKENS_PER_TEXT / FLOPS_PER_SECOND
        solved = 4 * SOLVED_TOKENS / TOKENS_PER_TEXT * self.modules * self.solved
        return a_text * (self.evaluated * (self.modules + 1) + self.learned + solved) + self._learning(a_text)

    def _learning(self, a_text: float) -> float:
        """Seconds of all students, where the base takes so many for a text."""
        if not self.learned:
            return 0.0
        epochs, limit = epochs_for(self.spec, self.learned), self.spec.distil.minutes
        each = (3 * a_text * epochs * self.learned * (1 - ratio) for ratio in self.spec.ratios)
        return sum(min(seconds, 60 * limit) if limit else seconds for seconds in each)

    @property
    def learned(self) -> int:
        """Examples that students learn from."""
        return self.dataset.splits[self.spec.distil.texts].rows if self.spec.recovery == "distil" else 0

    @property
    def stored(self) -> float:
        """A file for each layout of each module."""
        return self.modules * (self.model.size_bytes or 0) * share_of_base(self.spec, self.model.dtype)

    @property
    def memory(self) -> float:
        """Bytes, at most, of a fresh process that runs the job:

            700 MB                                                  the program itself
          + 4 · 4 · parameters                                      weights
          + 400 · rows + 30 · bytes of the data's files             texts and tokens
          + TOKEN_BUDGET · widest layer · 4 · 16                    activations of a batch or one long text, on a CPU
          + 8 · concerns · Σ inputs of the chosen layers · 5 · 2    statistics: two sums on each side, and a product
          + concerns · ratios · weights of the chosen layers / 8    masks, a bit a weight
          + 4 · SOLVED_TOKENS · inputs of a block's chosen layers   where layers are solved anew: what they read
          + 8 · 2 · SOLVED_TOKENS · least inputs of a layer         and the states of base and module
          + 4 · weights of the chosen layers                        and the new ones of one module
          + 16 · evaluated examples · classes                       answers
          + KEPT_BYTES                                              where pads are included: what concerns share
          + 4 · 8 · parameters + 4 · learned examples · classes     a student: its values, their gradients and momenta,
                                                                    the best so far and a copy; what the base answers

        One that has served other jobs may still hold up to 300 MB of theirs: at 1 GB it is replaced. The clean process
        that opens modules again takes the first two lines once more, beside it. What one concern needs for a moment
        (similarity, the sums that layers are solved by) fits into the share of the activations. On a GPU activations
        lie in its own memory, however large its batches are. What modules share of the splits' texts lies on the disk,
        up to FILED_BYTES for each split.
        """
        shapes = {layer.name: layer.shape for layer in self.model.layers}
        chosen = [shapes[name] for name in self.layers]
        widest = max((max(shape) for shape in shapes.values()), default=0)
        weights = sum(outputs * inputs for outputs, inputs in chosen)
        read = sum(inputs for _, inputs in chosen) / self.blocks + 4 * min((inputs for _, inputs in chosen), default=0)
        return (
            PROCESS
            + WEIGHT_COPIES * 4 * (self.model.parameters or 0)
            + ROW * sum(split.rows for split in self.dataset.splits.values())
            + STORED * (self.dataset.size_bytes or 0)
            + max(TOKEN_BUDGET, self.model.max_length or 0) * widest * 4 * LIVE
            + SUM * self.concerns * sum(inputs for _, inputs in chosen) * 5 * 2
            + self.modules * weights / 8
            + self.solved * 4 * (SOLVED_TOKENS * read + weights)
            + ANSWER * self.evaluated * len(self.model.labels)
            + (KEPT_BYTES if self.spec.calibration.pads == "include" else 0)
            + (STUDENT_COPIES * 4 * (self.model.parameters or 0) if self.learned else 0)
            + 4 * self.learned * len(self.model.labels)
        )

    @property
    def solved(self) -> bool:
        """Whether layers are solved anew."""
        return self.spec.recovery == "refit" or "layers" in parts_of(self.spec.structure)

    @property
    def blocks(self) -> int:
        """How many the model has, 1 where that is not known."""
        family = family_named(self.model.family)
        return max(1, len(family.blocks(layer.name for layer in self.model.layers))) if family else 1

    @property
    def modules(self) -> int:
        return self.concerns * len(self.spec.ratios)

    @property
    def evaluated(self) -> int:
        """Examples that the base and every module are measured on."""
        limit, roles = self.spec.evaluation.limit, (self.spec.evaluation.split, self.spec.evaluation.validation_split)
        rows = [self.dataset.splits[role].rows for role in roles]
        return sum(min(count, limit) if limit else count for count in rows)
