"""What is mended after pruning, from the statistics of the unpruned model.

`ti`, tangling identification, gives back units that set the concern apart from the rest. The seed restores the
`int(in · ratio)` best of a row, which at the ratio it pruned with is everything it had removed (and it never ran). Here
so many more are removed as are then restored: the ratio holds, and `ti` decides the last of those to go.

`bias` folds the mean of what was removed into the bias that follows.
"""

from __future__ import annotations

from torch import Tensor, nn

from app.domain.errors import UnsupportedModel
from microlith.contract import CiMethod, JobSpec
from worker.families.anatomy import Anatomy
from worker.families.layers import linear
from worker.pruning.masks import Bias, Mask, keeping, kept_rows
from worker.pruning.scores.ci import contrast, tangled_coefficient, weight_scores
from worker.pruning.selection import Scorer
from worker.pruning.statistics import LayerStatistics, Statistics


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


def mended_biases(
    model: nn.Module, mask: Mask, anatomy: Anatomy, statistics: Statistics, concern: int
) -> dict[str, Bias]:
    """b' = b + (W − W∘M) · mean(x) of every layer with a bias that reads less than before.

    mean(x) is over the tokens of the concern's positive and negative samples. The layers that write removed neurons or
    heads lose those outputs, biases and all. Layers without a bias are left as they are; raises UnsupportedModel where
    none has one.
    """
    written = kept_rows(model, mask, anatomy)
    biases: dict[str, Bias] = {}
    for name, kept in keeping(model, mask, anatomy).items():
        layer = linear(model, name)
        if layer.bias is None or name not in statistics.layers:
            continue
        removed = layer.weight.detach().cpu().double().masked_fill(kept, 0.0)  # [out, in], W − W∘M
        mended = layer.bias.detach().cpu().double() + removed @ mean_input(
            statistics.layers[name], statistics.concerns.index(concern)
        )
        if name in written:
            mended = mended.masked_fill(~written[name], 0.0)
        biases[name] = mended.float().numpy()
    if not biases:
        raise UnsupportedModel(
            "None of the pruned layers has a bias to fold what was removed into.",
            hint="Use recovery `none` or `ti`.",
            pointer="/recovery",
        )
    return biases


def mean_input(layer: LayerStatistics, place: int) -> Tensor:
    """The mean input over the tokens of both sides of a concern [in], 0 where there were none."""
    mean: Tensor = layer.total[place].sum(0) / layer.count[place].sum().clamp(min=1.0)
    return mean
