"""Footprint: the size and the speed of a model that was made from a base."""

from microlith.contract.base import Answer


class Size(Answer):
    """The number of stored parameters of the module, of those that are not zero, and of the base's."""

    parameters: int
    nonzero: int
    base_parameters: int


class Cost(Answer):
    """What a module costs beside its base, in the smallest layout that was requested. 1 means as much as the base.
    `flops_ratio` compares the arithmetic of the encoder for one token in a text of 32 tokens. Embeddings and the
    classifier do not count. `parameters_ratio` compares all stored parameters. A weight at zero is stored and
    multiplied, so it costs as much as any other.
    """

    flops_ratio: float
    parameters_ratio: float


UNSTABLE = 0.5
"""A spread beyond which a time says too little to be printed."""


class Latency(Answer):
    """Median time of one forward pass of the module in a layout, and of the base, on the same inputs. The median is
    over `runs` passes with `batch` inputs of `positions` tokens or patches each. If `interleaved`, passes of module and
    base took turns. `spread` is the range of the middle half of the passes, as a fraction of their median: the larger
    one of both. Modules of equal shapes are timed once. `flops_ratio` is the arithmetic of this layout against the
    base's.
    """

    layout: str = "portable"
    device: str
    batch: int
    positions: int | None = None
    runs: int | None = None
    milliseconds: float
    base_milliseconds: float
    spread: float | None = None
    interleaved: bool = False
    flops_ratio: float | None = None

    @property
    def stable(self) -> bool:
        """Whether the times are worth printing."""
        return self.spread is None or self.spread <= UNSTABLE
