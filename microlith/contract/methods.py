"""What is removed, and how its importance is scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, StringConstraints

from microlith.contract.base import Request
from microlith.contract.references import Fraction, Pattern

Structure = Literal[
    "weights",
    "neurons",
    "heads",
    "heads+neurons",
    "heads+weights",
    "layers",
    "layers+weights",
    "layers+neurons",
    "layers+heads",
    "layers+heads+neurons",
    "layers+heads+weights",
]
Scope = Annotated[str, StringConstraints(pattern=r"^(row|layer|global|[1-9]\d?:[1-9]\d?)$")]


class ScoringMethod(Request):
    """A method's options are its fields, its description is its docstring; what else there is to say stands here."""

    title: ClassVar[str]
    source: ClassVar[str]
    structures: ClassVar[tuple[Structure, ...]] = tuple(
        structure for structure in get_args(Structure) if structure not in ("heads", "layers+heads")
    )
    """What it can score. The heads of a chain are ranked as method `heads` does, whole layers by what they cost."""
    weight_scope: ClassVar[Literal["row", "layer"]] = "row"
    """Among which weights the lowest are found, unless the spec says otherwise."""

    @property
    def cuts_at_bounds(self) -> bool:
        """Whether rows of weights are cut at fixed scores, so that the achieved ratio is only about the asked one."""
        return False


class CiMethod(ScoringMethod):
    """Concern identification: a weight matters if its input responds to the concern and separates it from the rest."""

    title = "Concern identification"
    source = "The research notebook (form `sine`) and its later code (form `alpha`)."
    name: Literal["ci"] = "ci"
    form: Literal["sine", "alpha"] = Field(
        "sine", description="How the two norms are combined: `sine` adds sin·(p+n)/√(p²+n²) to p, `alpha` adds α·n."
    )
    neurons_by: Literal["auto", "output", "input"] = Field(
        "auto",
        description="How a neuron is scored with structure `neurons`: by its `output` (activation and outgoing "
        "weights) or by its `input` row, as in the research notebook. `auto` means `output`, except with "
        "pairing `position`.",
    )


class WandaMethod(ScoringMethod):
    """Weights times the norm of their inputs: cheap and strong, the baseline to beat."""

    title = "Weights and activations"
    source = "Sun et al. 2023, A Simple and Effective Pruning Approach for Large Language Models (arXiv:2306.11695)."
    name: Literal["wanda"] = "wanda"
    samples: Literal["concern", "all"] = Field(
        "concern",
        description="Which inputs count: those of the concern's samples, or those of every sample of the job (one "
        "mask for all concerns).",
    )


class MagnitudeMethod(ScoringMethod):
    """Removes the smallest weights, whatever the data. Every concern gets the same mask."""

    title = "Magnitude"
    source = "Han et al. 2015, Learning both Weights and Connections for Efficient Neural Networks (arXiv:1506.02626)."
    weight_scope = "layer"
    name: Literal["magnitude"] = "magnitude"


class ZscoreMethod(ScoringMethod):
    """Removes the weights closest to the mean of their row, in units of its standard deviation. Uses no data."""

    title = "z-score of the row"
    source = "The research notebook's `norm distribution` pruning."
    name: Literal["zscore"] = "zscore"
    rule: Literal["rank", "quantile"] = Field(
        "rank",
        description="`rank` removes exactly the requested fraction. `quantile` cuts at the quantiles of a normal "
        "distribution, as the research notebook does, so the achieved ratio is only close to the "
        "requested one.",
    )

    @property
    def cuts_at_bounds(self) -> bool:
        """Rule `quantile` does."""
        return self.rule == "quantile"


class RandomMethod(ScoringMethod):
    """A control: removes units at random, by the sampling seed, the concern and the layer."""

    title = "At random"
    source = "The usual control of pruning studies."
    structures = get_args(Structure)
    name: Literal["random"] = "random"


class TaylorMethod(ScoringMethod):
    """First-order effect on the loss: |weight × gradient| over the concern's samples, from one backward pass."""

    title = "First-order Taylor expansion"
    source = "Molchanov et al. 2019, Importance Estimation for Neural Network Pruning (arXiv:1906.10771)."
    name: Literal["taylor"] = "taylor"


class HeadsMethod(ScoringMethod):
    """Attention heads by |gradient × context| over the concern's samples; for `heads` and `layers+heads`."""

    title = "Gradient times context"
    source = "Michel et al. 2019, Are Sixteen Heads Really Better than One? (arXiv:1905.10650)."
    structures = ("heads", "layers+heads")
    name: Literal["heads"] = "heads"


Method = Annotated[
    CiMethod | WandaMethod | MagnitudeMethod | ZscoreMethod | RandomMethod | TaylorMethod | HeadsMethod,
    Field(discriminator="name"),
]

METHODS: Mapping[str, type[ScoringMethod]] = {
    kind.model_fields["name"].default: kind for kind in get_args(get_args(Method)[0])
}
"""Every method by its name, in the order that people are shown them."""


class RatioRule(Request):
    """Another ratio for some units: those of one structure, those of layers whose names contain a pattern, or both."""

    structure: Literal["weights", "neurons", "heads", "layers"] | None = None
    layers: Pattern | None = None
    ratio: Fraction
