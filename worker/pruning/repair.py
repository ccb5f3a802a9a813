"""Repair: what a mask takes is made up for when its module is made, so that masks in memory are bits alone.

Every worker that makes modules of a job has a repair of its own, and all of them mend alike, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from torch import nn

from app.domain.methods import parts_of
from microlith.contract import JobSpec
from worker.compute.batches import Checkpoint, unwatched
from worker.compute.examples import Examples
from worker.families.anatomy import Anatomy
from worker.families.layers import linear
from worker.pruning.masks import Mask
from worker.pruning.reconstruction import reconstruct
from worker.pruning.recovery import MeanInputs, folded_biases, mean_inputs, no_biases
from worker.pruning.removable_parts import targets_of
from worker.pruning.statistics import Statistics


@dataclass
class Repair:
    """The recovery of a job; made while the base is whole. Raises UnsupportedModel where nothing can be mended.

    `examples` draws examples of all classes, when they are needed. `means` are what layers read on the samples of each
    concern, in the mean.
    """

    spec: JobSpec
    model: nn.Module
    anatomy: Anatomy
    layers: Sequence[str]
    examples: Callable[[], Examples]
    means: Mapping[int, MeanInputs] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.spec.recovery == "bias":
            self._check_biases()

    @property
    def at_once(self) -> bool:
        """Whether mending takes no time to speak of: nothing passes through a model. What has learned is mended."""
        return self.spec.recovery == "distil" or not (self._solves or "layers" in parts_of(self.spec.structure))

    @property
    def rows(self) -> int:
        """Rows that pass through a model for each module: through the base and through the module."""
        return 0 if self.at_once else 2 * len(self._examples)

    def learn(self, statistics: Statistics | None) -> None:
        """Takes of the statistics of all concerns what is needed to mend."""
        if statistics is not None and self.spec.recovery == "bias":
            self.means = {concern: mean_inputs(statistics, concern) for concern in statistics.concerns}

    def mend(self, mask: Mask, concern: int, checkpoint: Checkpoint = unwatched) -> Mask:
        """The mask with what stands in the place of weights and biases. `checkpoint` hears the rows done."""
        if self.spec.recovery == "bias":
            mask = replace(mask, tensors=folded_biases(self.model, mask, self.anatomy, self.means[concern]))
        if not self.at_once:
            solved = reconstruct(
                self.model, mask, self.anatomy, self._examples, readers=self._solves, checkpoint=checkpoint
            )
            mask = replace(mask, tensors={**mask.tensors, **solved})
        checkpoint(self.rows)
        return mask

    @property
    def _solves(self) -> bool:
        return self.spec.recovery == "refit"

    @cached_property
    def _examples(self) -> Examples:
        return self.examples()

    def _check_biases(self) -> None:
        targets = targets_of(self.anatomy, self.spec, self.layers)
        readers = [*targets.weights, *(part.output for part in targets.neurons)]
        readers += [part.output for part in targets.heads]
        if all(linear(self.model, name).bias is None for name in readers):
            raise no_biases()
