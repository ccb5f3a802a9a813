"""What is mended by the statistics of the unpruned model; what is solved anew is in `reconstruction`.

`ti`, tangling identification, gives back units that set the concern apart from the rest. The seed restores the
`int(in · ratio)` best of a row, which at the ratio it pruned with is everything it had removed (and it never ran). Here
so many more are removed as are then restored: the ratio holds, and `ti` decides the last of those to go.

`bias` folds the mean of what was removed into the bias that follows.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from app.domain.errors import UnsupportedModel
from microlith.contract import CiMethod, JobSpec
from worker.families.anatomy import Anatomy
from worker.families.layers import linear
from worker.pruning.masks import Mask, ParameterValues, keeping, kept_rows
from worker.pruning.scores.ci import contrast, tangled_coefficient, weight_scores
from worker.pruning.selection import Scorer
from worker.pruning.statistics import Statistics

MeanInputs = Mapping[str, Tensor]
"""What layers read in the mean [in], by name; float64."""


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


def folded_biases(model: nn.Module, mask: Mask, anatomy: Anatomy, means: MeanInputs) -> dict[str, ParameterValues]:
    """b' = b + (W − W∘M) · mean(x) of every layer with a bias that reads less than before, by the bias's name.

    `means` are those of the inputs [in] of each layer; one that is not there is left as it is, and so is a layer
    without a bias. The layers that write removed neurons or heads lose those outputs, biases and all.
    """
    written = kept_rows(model, mask, anatomy)
    biases: dict[str, ParameterValues] = {}
    for name, kept in keeping(model, mask, anatomy).items():
        layer = linear(model, name)
        if layer.bias is None or name not in means:
            continue
        removed = layer.weight.detach().cpu().double().masked_fill(kept, 0.0)  # [out, in], W − W∘M
        bias = layer.bias.detach().cpu().double() + removed @ means[name]
        if name in written:
            bias = bias.masked_fill(~written[name], 0.0)
        biases[f"{name}.bias"] = bias.float().numpy()
    return biases


def no_biases() -> UnsupportedModel:
    """What is said where biases are to be mended and there are none."""
    return UnsupportedModel(
        "None of the pruned layers has a bias to fold what was removed into.",
        hint="Use recovery `none`, `ti` or `refit`.",
        pointer="/recovery",
    )


def mean_inputs(statistics: Statistics, concern: int) -> dict[str, Tensor]:
    """The mean input of each layer [in] over the tokens of both sides of a concern, 0 where there were none."""
    place = statistics.concerns.index(concern)
    return {
        name: layer.total[place].sum(0) / layer.count[place].sum().clamp(min=1.0)
        for name, layer in statistics.layers.items()
    }
