"""`mask.json`: what the bits of a mask mean, and which tensors they are for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from microlith.contract.base import Answer
from microlith.contract.job import Concern
from microlith.contract.uploads import Sha256

Count = Annotated[int, Field(ge=1, le=2**31)]
FirstRow = Annotated[int, Field(ge=0, le=2**31)]


class BaseModelFacts(Answer):
    """The base: `sha256` is that of its tensors (see `tensors.digest`); the rest tells people where to find it."""

    sha256: Sha256
    ref: str
    revision: str | None = None
    architecture: str | None = None


class Writer(Answer):
    """A layer whose rows write units: from row `start` on, each unit's in turn; `share` units share theirs.

    The rows of one unit begin `step` times its width after those of the unit before.
    """

    layer: str
    start: FirstRow = 0
    share: Count = 1
    step: Count = 1


class MaskedUnits(Answer):
    """The neurons or heads of one block: `width` rows of every writer and columns of the reader each.

    A removed unit has zeros there, biases included; rows that are shared go when all that share them are removed.
    """

    block: str
    count: Count
    width: Count = 1
    writers: list[Writer]
    reader: str


class MaskedLayers(Answer):
    """A list of `count` blocks, by its dotted name. Those that stay close ranks and take the first numbers."""

    stack: str
    count: Count


class ConfigSettings(Answer):
    """What a module's config says otherwise than the base's. No other setting is ever taken from a mask."""

    intermediate_size: Count | None = None
    hidden_dim: Count | None = None
    d_ff: Count | None = None
    d_inner: Count | None = None
    ffn_dim: Count | None = None
    ffn_hidden_size: Count | None = None
    encoder_ffn_dim: Count | None = None
    decoder_ffn_dim: Count | None = None
    n_inner: Count | None = None
    num_hidden_layers: Count | None = None
    layer_types: list[str] | None = None
    id2label: dict[int, str] | None = None
    problem_type: Literal["single_label_classification"] | None = None


WIDTHS = (
    *("intermediate_size", "hidden_dim", "d_ff", "d_inner", "ffn_dim", "ffn_hidden_size"),
    *("encoder_ffn_dim", "decoder_ffn_dim", "n_inner"),
)
"""What architectures call the number of neurons of a block."""


class MaskDocument(Answer):
    """Bits are in `mask.safetensors`, eight to a byte, the highest first, 1 is kept: `weights/LAYER`, `neurons/BLOCK`,

    `heads/BLOCK` and `layers/STACK`. `tensors/NAME` are tensors that the module has otherwise than masking leaves them.
    `stored` is how many neurons each of the blocks keeps: the kept ones first, then zeros; null leaves them where they
    were. A module has one `concern`, a class set has several `concerns`.
    """

    kind: Literal["microlith-mask"]
    format: Literal[1]
    base: BaseModelFacts
    module_sha256: Sha256
    concern: Concern | None = None
    concerns: list[Concern] = []
    ratio: float
    structure: str
    weights: dict[str, Annotated[list[Count], Field(min_length=2, max_length=2)]] = {}
    neurons: list[MaskedUnits] = []
    heads: list[MaskedUnits] = []
    layers: list[MaskedLayers] = []
    stored: Count | None = None
    settings: ConfigSettings = ConfigSettings()
    versions: dict[str, str] = {}
