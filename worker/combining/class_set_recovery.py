"""Recovery of a class set: its union has lost less than each of its modules, so what mended them does not mend it.

Bias and refit are solved anew for what the union lacks, over examples of all its classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from microlith.contract import Calibration
from microlith.contract.combine import UnionRecovery
from worker.combining.parts import LabelledRows, Origin
from worker.compute.batches import Checkpoint, unwatched
from worker.pruning.masks import Mask, keeping
from worker.pruning.reconstruction import reconstruct
from worker.pruning.recovery import folded_biases, mean_inputs, no_biases
from worker.pruning.statistics import CalibrationPass
from worker.sampling.concern import ConcernSamples

PER_CLASS = 64
"""Examples of each class that the means and moments are taken over, at most."""


def examples_of(rows: LabelledRows, labels: Sequence[str]) -> LabelledRows:
    """The first `PER_CLASS` of each label, class by class."""
    chosen = [row for label in labels for row in [r for r, own in enumerate(rows.labels) if own == label][:PER_CLASS]]
    return LabelledRows([rows.inputs[row] for row in chosen], [rows.labels[row] for row in chosen])


def mended_union(
    mask: Mask, origin: Origin, recovery: UnionRecovery, rows: LabelledRows, *, checkpoint: Checkpoint = unwatched
) -> Mask:
    """The union with what recovery puts in the place of weights and biases, by what the base computes of `rows`.

    `checkpoint` hears the rows done. Raises UnsupportedModel where there is no bias to fold anything into.
    """
    examples = origin.encoder(rows.inputs)
    model, anatomy = origin.model, origin.anatomy
    if recovery == "bias":
        samples = {0: ConcernSamples(positive=tuple(range(len(rows))), negative=())}
        layers = list(keeping(model, mask, anatomy))
        statistics = CalibrationPass(model, layers, examples, samples, Calibration()).run(checkpoint)
        biases = folded_biases(model, mask, anatomy, mean_inputs(statistics, 0))
        if not biases:
            raise no_biases()
        mask = replace(mask, tensors=biases)
    if recovery == "refit" or mask.layers:
        solved = reconstruct(model, mask, anatomy, examples, readers=recovery == "refit", checkpoint=checkpoint)
        mask = replace(mask, tensors={**mask.tensors, **solved})
    return mask
