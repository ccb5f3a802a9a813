"""What a student learns from: texts or images, the teacher's answers to them, and their labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from app.domain.distilling import BATCH
from worker.compute.arrays import Logits, Rows
from worker.compute.examples import Examples

ANSWERS = 0.7
"""How much the teacher's answers count in the loss; the labels count the rest."""


@dataclass(frozen=True)
class Lessons:
    """Examples with the teacher's logits, which are taken once; `seed` decides the order of every epoch."""

    examples: Examples
    answers: Logits  # [rows, classes]
    temperature: float
    seed: int

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return len(self.batches(0))

    def batches(self, epoch: int) -> list[Rows]:
        """Every row once, in batches of like length; which come together, and when, is by the seed and the epoch."""
        draw = np.random.default_rng([self.seed, epoch])
        rows = draw.permutation(len(self.examples)).astype(np.int64)
        lengths = self.examples.lengths(rows)
        order = np.argsort(lengths, kind="stable")
        rows, lengths = rows[order], lengths[order]
        cuts = set(range(BATCH, len(rows), BATCH))
        if not self.examples.padded:
            cuts |= set((np.flatnonzero(np.diff(lengths)) + 1).tolist())
        batches = np.split(rows, sorted(cuts))
        return [batches[place] for place in draw.permutation(len(batches))]

    def loss(self, logits: Tensor, rows: Rows) -> Tensor:
        """The sum over the rows of .7 · T² · KL(teacher ‖ student) at temperature T and .3 · cross-entropy.

        `logits` are the student's [b, classes]. Source: Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural
        Network" (2015), section 2.
        """
        warmth, own = self.temperature, logits.float()
        teacher = torch.from_numpy(self.answers[rows]).to(own.device)
        labels = torch.from_numpy(self.examples.labels[rows]).to(own.device)
        soft, aims = F.log_softmax(own / warmth, dim=1), F.log_softmax(teacher / warmth, dim=1)
        divergence = F.kl_div(soft, aims, reduction="sum", log_target=True)
        return ANSWERS * warmth**2 * divergence + (1 - ANSWERS) * F.cross_entropy(own, labels, reduction="sum")
