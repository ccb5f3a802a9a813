"""What is removed, and how its importance is scored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from microlith.contract.base import Request
from microlith.contract.references import Fraction, Pattern


class CiMethod(Request):
    """Concern identification: a weight matters if its input responds to the concern and separates it from the rest."""

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


class WandaMethod(Request):
    """Weights times the norm of their inputs: cheap and strong, the baseline to beat."""

    name: Literal["wanda"] = "wanda"
    samples: Literal["concern", "all"] = Field(
        "concern",
        description="Which inputs count: those of the concern's samples, or those of every sample of the job (one "
        "mask for all concerns).",
    )


class MagnitudeMethod(Request):
    """Removes the smallest weights, whatever the data. Every concern gets the same mask."""

    name: Literal["magnitude"] = "magnitude"


class ZscoreMethod(Request):
    """Removes the weights closest to the mean of their row, in units of its standard deviation. Uses no data."""

    name: Literal["zscore"] = "zscore"
    rule: Literal["rank", "quantile"] = Field(
        "rank",
        description="`rank` removes exactly the requested fraction. `quantile` cuts at the quantiles of a normal "
        "distribution, as the research notebook does, so the achieved ratio is only close to the "
        "requested one.",
    )


class RandomMethod(Request):
    """A control: removes units at random, by the sampling seed, the concern and the layer."""

    name: Literal["random"] = "random"


class TaylorMethod(Request):
    """First-order effect on the loss: |weight × gradient| over the concern's samples, from one backward pass."""

    name: Literal["taylor"] = "taylor"


class HeadsMethod(Request):
    """Attention heads by |gradient × context| over the concern's samples; for structure `heads`."""

    name: Literal["heads"] = "heads"


Method = Annotated[
    CiMethod | WandaMethod | MagnitudeMethod | ZscoreMethod | RandomMethod | TaylorMethod | HeadsMethod,
    Field(discriminator="name"),
]

Structure = Literal["weights", "neurons", "heads", "heads+neurons", "heads+weights"]
Scope = Annotated[str, StringConstraints(pattern=r"^(row|layer|global|[1-9]\d?:[1-9]\d?)$")]


class RatioRule(Request):
    """Another ratio for some units: those of one structure, those of layers whose names contain a pattern, or both."""

    structure: Literal["weights", "neurons", "heads"] | None = None
    layers: Pattern | None = None
    ratio: Fraction
