"""What is mended after pruning, from the statistics of the unpruned model.

`ti`, tangling identification, gives back units that set the concern apart from the rest. The seed restores the
`int(in · ratio)` best of a row, which at the ratio it pruned with is everything it had removed (and it never ran). Here
so many more are removed as are then restored: the ratio holds, and `ti` decides the last of those to go.

`bias` folds the mean of what was removed into the bias that follows.

`refit` lets the neurons that stay speak for those that went: the weights that read them are solved anew by least
squares, so that the layer writes what it wrote, as nearly as it can, over the samples of the whole job.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from app.domain.errors import UnsupportedModel
from microlith.contract import CiMethod, JobSpec
from worker.families.anatomy import Anatomy
from worker.families.layers import linear
from worker.pruning.masks import Bias, Mask, Weight, keeping, kept_columns, kept_rows
from worker.pruning.scores.ci import contrast, tangled_coefficient, weight_scores
from worker.pruning.selection import Scorer
from worker.pruning.statistics import LayerStatistics, Moments, Statistics

RIDGE = 0.3
"""What is added to each kept neuron's second moment, of their mean and times the neurons to a token: it holds the
solution where neurons are too many for the tokens, and vanishes as tokens become many."""

ROUNDING = 1e-9
"""Of the same before the mean is taken off, which leaves rounding in the place of the zeros of constant neurons."""

TINY = 1e-300
"""For neurons that are all dead."""


def weight_restorer(model: nn.Module, statistics: Statistics | None, spec: JobSpec, concern: int) -> Scorer | None:
    """|W_ij| · |coef_j| with coef from sign(cos) · sin, by layer: what restoring a weight brings back [out, in].

    None where the spec does not ask for recovery `ti`.
    """
    if spec.recovery != "ti" or statistics is None:
        return None
    form = spec.method.form if isinstance(spec.method, CiMethod) else "sine"
    place = statistics.concerns.index(concern)

    def restoring(name: str) -> Tensor:
        features = contrast(statistics.layers[name], place)
        return weight_scores(linear(model, name).weight.detach().cpu().double(), tangled_coefficient(features, form))

    return restoring


def mended(model: nn.Module, mask: Mask, anatomy: Anatomy, statistics: Statistics, recovery: str, concern: int) -> Mask:
    """The mask with what its recovery puts in the place of weights and biases; raises UnsupportedModel as they do."""
    if recovery == "refit":
        mask = _refitted(model, mask, anatomy, statistics)
        biases = folded_biases(model, replace(mask, neurons={}), anatomy, statistics, concern)
        return replace(mask, biases={**biases, **mask.biases})
    if recovery != "bias":
        return mask
    biases = folded_biases(model, mask, anatomy, statistics, concern)
    if not biases:
        raise UnsupportedModel(
            "None of the pruned layers has a bias to fold what was removed into.",
            hint="Use recovery `none` or `ti`, or `refit` for neurons.",
            pointer="/recovery",
        )
    return replace(mask, biases=biases)


def folded_biases(
    model: nn.Module, mask: Mask, anatomy: Anatomy, statistics: Statistics, concern: int
) -> dict[str, Bias]:
    """b' = b + (W − W∘M) · mean(x) of every layer with a bias that reads less than before.

    mean(x) is over the tokens of the concern's positive and negative samples. The layers that write removed neurons or
    heads lose those outputs, biases and all. Layers without a bias are left as they are.
    """
    written = kept_rows(model, mask, anatomy)
    biases: dict[str, Bias] = {}
    for name, kept in keeping(model, mask, anatomy).items():
        layer = linear(model, name)
        if layer.bias is None or name not in statistics.layers:
            continue
        removed = layer.weight.detach().cpu().double().masked_fill(kept, 0.0)  # [out, in], W − W∘M
        bias = layer.bias.detach().cpu().double() + removed @ mean_input(
            statistics.layers[name], statistics.concerns.index(concern)
        )
        if name in written:
            bias = bias.masked_fill(~written[name], 0.0)
        biases[name] = bias.float().numpy()
    return biases


def _refitted(model: nn.Module, mask: Mask, anatomy: Anatomy, statistics: Statistics) -> Mask:
    """The mask with every layer that reads neurons solved anew, and its bias where it has one."""
    weights: dict[str, Weight] = {}
    biases: dict[str, Bias] = {}
    for name, kept in kept_columns(model, replace(mask, heads={}), anatomy).items():
        layer, moments = linear(model, name), statistics.layers[name].moments
        assert moments is not None
        weight = layer.weight.detach().cpu().double()
        solved = refit(weight, moments, kept, centred=layer.bias is not None)
        weights[name] = solved.float().numpy()
        if layer.bias is not None:
            mean = moments.total / moments.count.clamp(min=1.0)
            biases[name] = (layer.bias.detach().cpu().double() + weight @ mean - solved @ mean[kept]).float().numpy()
    return replace(mask, refits=weights, biases=biases)


def refit(weight: Tensor, moments: Moments, kept: Tensor, *, centred: bool) -> Tensor:
    """W' [out, kept] that makes W' x_kept as near to W x as it can be over the tokens of `moments`; float64, finite.

    Ridge regression of what is removed on what is kept, W' = W_kept + W_gone S_gone,kept (S_kept,kept + λI)⁻¹, so that
    what the tokens do not decide stays as it was: dead and constant neurons keep their weights, and the error is never
    more than with W_kept. S are second moments; central ones if `centred`, where a bias takes the mean.
    """
    if not kept.any():
        return weight[:, kept]
    second = moments.second
    if centred:
        mean = moments.total / moments.count.clamp(min=1.0)
        second = second - moments.count * torch.outer(mean, mean)
    own, across = second[kept][:, kept], second[~kept][:, kept]  # [kept, kept], [gone, kept]
    scarcity = len(own) / moments.count.clamp(min=1.0)
    ridge = RIDGE * scarcity * own.diagonal().mean() + ROUNDING * moments.second.diagonal()[kept].mean() + TINY
    factor = torch.linalg.cholesky(own + ridge * torch.eye(len(own), dtype=own.dtype))
    return weight[:, kept] + torch.cholesky_solve((weight[:, ~kept] @ across).T, factor).T


def mean_input(layer: LayerStatistics, place: int) -> Tensor:
    """The mean input over the tokens of both sides of a concern [in], 0 where there were none."""
    mean: Tensor = layer.total[place].sum(0) / layer.count[place].sum().clamp(min=1.0)
    return mean
