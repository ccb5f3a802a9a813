"""What is removed, and how the importance of it is scored."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from microlith.contract.base import Request
from microlith.contract.references import Fraction, Pattern


class CiMethod(Request):
    """Concern identification: a weight matters as its input reacts to the concern and sets it apart from the rest."""

    name: Literal["ci"] = "ci"
    form: Literal["sine", "alpha"] = Field(
        "sine", description="How the two norms are joined: `sine` widens p by sin·(p+n)/√(p²+n²), `alpha` adds α·n."
    )
    neurons_by: Literal["auto", "output", "input"] = Field(
        "auto",
        description="What a neuron is judged by under structure `neurons`: its `output` (activation and outgoing "
        "weights) or its `input` row, as the seed system does. `auto` is `output`, except with pairing `position`.",
    )


class WandaMethod(Request):
    """Weights times the norm of their inputs: cheap and strong, the baseline to beat."""

    name: Literal["wanda"] = "wanda"
    samples: Literal["concern", "all"] = Field(
        "concern",
        description="Whose inputs count: the concern's, or every sample of the job (one mask for all concerns).",
    )


class MagnitudeMethod(Request):
    """The smallest weights go, whatever the data: the same mask for every concern."""

    name: Literal["magnitude"] = "magnitude"


class ZscoreMethod(Request):
    """Weights closest to the mean of their row go, in units of its standard deviation; no data is used."""

    name: Literal["zscore"] = "zscore"
    rule: Literal["rank", "quantile"] = Field(
        "rank",
        description="`rank` removes exactly the asked fraction; `quantile` cuts where a normal distribution would, as "
        "the seed system does, so that the achieved ratio is only about the asked one.",
    )


class RandomMethod(Request):
    """A control: units go by lot, drawn by the sampling seed, the concern and the layer."""

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
    """Another ratio for some units: of one structure of a chain, of layers whose names hold a pattern, or both."""

    structure: Literal["weights", "neurons", "heads"] | None = None
    layers: Pattern | None = None
    ratio: Fraction
