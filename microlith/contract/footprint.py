"""Footprint: how large a model is that was made of a base, and how fast."""

from microlith.contract.base import Answer


class Size(Answer):
    """Parameters of the module as stored, those that are not zero, and the base's."""

    parameters: int
    nonzero: int
    base_parameters: int


class Latency(Answer):
    """Median time of one forward pass of the module in a layout, and of the base, on the same inputs.

    Of `runs` passes over `batch` inputs of `positions` each. Modules of equal shapes are timed once.
    """

    layout: str = "portable"
    device: str
    batch: int
    positions: int | None = None
    runs: int | None = None
    milliseconds: float
    base_milliseconds: float
