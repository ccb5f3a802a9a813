"""Where a live model keeps its neurons and heads: rows and columns of its linear layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from app.domain.families import Attention, Family, FeedForward
from app.domain.layers import NOT_KNOWN, FoundParts, Whereabouts
from worker.families.layers import family_of_model, linear_layers

LayerRows = list[tuple[str, slice]]
"""Rows of linear layers, by name."""

HEADS_STAY = frozenset({"mpnet"})
"""Families whose position bias has a column per head of the whole model: their removed heads stay, as zeros."""


@dataclass(frozen=True)
class HeadPlace:
    """Where a layer writes heads: the row of the first, how many query heads share each, and how far apart they are.

    `step` is in widths of a head: 1 where one head's rows follow another's.
    """

    layer: str
    row: int = 0
    share: int = 1
    step: int = 1


@dataclass(frozen=True)
class Anatomy:
    """The blocks of one model, first block first, and the sizes that place neurons and heads in them.

    A model of no known family has linear layers, and the parts that were found in it. Where layers share their weights
    (ALBERT) there is one block for all of them.
    """

    family: Family | None
    feed_forwards: tuple[FeedForward, ...]
    attentions: tuple[Attention, ...]
    classifier: str | None
    """The linear layer that writes the logits; None where it is not known."""
    shapes: Mapping[str, tuple[int, int]]
    """[out, in] of every linear layer."""
    blocks: tuple[str, ...] = ()
    """Every block by dotted name: the name of the stack that all stand in, and a number."""
    removable: tuple[str, ...] = ()
    """Blocks in whose place another can stand: not the first one, where it is made otherwise than the rest."""
    head_counts: Mapping[str, int] = field(default_factory=dict)
    """Query heads of each attention part, by its block."""
    widths: tuple[str, ...] = ()
    """The config settings that hold the number of neurons, the same for every block; none where no setting does."""
    heads_stay: bool = False
    """Whether removed heads stay as zeros, because more than the layers of their part counts them."""
    lacking: Mapping[str, str] = field(default_factory=dict)
    """Why there are no parts of `neurons`, or of `heads`."""

    @property
    def whereabouts(self) -> Whereabouts:
        """What tells where units are: the family, or what was found."""
        return self.family or FoundParts(self.feed_forwards, self.attentions, self.lacking)

    @property
    def stack(self) -> str:
        """The dotted name of the list that the blocks stand in."""
        return self.blocks[0].rpartition(".")[0]

    def neurons(self, part: FeedForward) -> int:
        """How many neurons a feed-forward part has."""
        return self.shapes[part.output][1]

    def neuron_rows(self, part: FeedForward) -> list[tuple[str, int]]:
        """Layers and offsets: neuron j is row offset + j of each."""
        if part.fused:
            return [(part.intermediate, 0), (part.intermediate, self.neurons(part))]
        return [(writer, 0) for writer in part.writers]

    def heads(self, part: Attention) -> int:
        """How many query heads an attention part has."""
        return self.head_counts[part.block]

    def groups(self, part: Attention) -> int:
        """How many heads it has of key and value: as many, or fewer that query heads share in turn."""
        written = self.shapes[part.key][0] // self._head_width(part)
        return (written - self.heads(part)) // 2 if part.fused else written

    def head_rows(self, part: Attention, *heads: int) -> LayerRows:
        """The rows that go with `heads`: of the query, and of key and value where a whole group is among `heads`.

        With grouped heads (llama, qwen2) key and value serve several query heads, so name all removed heads at once.
        """
        groups = self._whole_groups(part, frozenset(heads))
        return [
            *((place.layer, self._rows(part, place, head)) for head in heads for place in self._query_places(part)),
            *((place.layer, self._rows(part, place, group)) for group in groups for place in self._key_places(part)),
        ]

    def head_places(self, part: Attention) -> list[HeadPlace]:
        """Every place where a layer writes heads."""
        return self._query_places(part) + self._key_places(part)

    def head_columns(self, part: Attention, head: int) -> slice:
        """The columns of the output layer that read a head."""
        width = self._head_width(part)
        return slice(head * width, (head + 1) * width)

    def _head_width(self, part: Attention) -> int:
        return self.shapes[part.output][1] // self.heads(part)

    def _rows(self, part: Attention, place: HeadPlace, head: int) -> slice:
        width = self._head_width(part)
        start = place.row + head * place.step * width
        return slice(start, start + width)

    def _query_places(self, part: Attention) -> list[HeadPlace]:
        """Where there is a row per query head and feature."""
        step = 3 if part.interleaved else 1
        return [HeadPlace(part.query, step=step), *map(HeadPlace, part.positions)]

    def _key_places(self, part: Attention) -> list[HeadPlace]:
        """Where a group of heads has its rows of key and value."""
        heads, groups, width = self.heads(part), self.groups(part), self._head_width(part)
        if part.interleaved:
            return [HeadPlace(part.key, width, step=3), HeadPlace(part.value, 2 * width, step=3)]
        starts = (heads, heads + groups) if part.fused else (0, 0)
        layers = zip((part.key, part.value), starts, strict=True)
        return [HeadPlace(layer, start * width, heads // groups) for layer, start in layers]

    def _whole_groups(self, part: Attention, heads: frozenset[int]) -> list[int]:
        size = self.heads(part) // self.groups(part)
        return [
            group for group in range(self.groups(part)) if heads.issuperset(range(group * size, (group + 1) * size))
        ]


def anatomy(model: Any) -> Anatomy:
    """The anatomy of a loaded Hugging Face classifier by the names of its family; without a family, no blocks."""
    family = family_of_model(model)
    shapes = {name: (layer.out_features, layer.in_features) for name, layer in linear_layers(model).items()}
    if family is None:
        lacking = dict.fromkeys(("neurons", "heads"), NOT_KNOWN)
        return Anatomy(None, feed_forwards=(), attentions=(), classifier=None, shapes=shapes, lacking=lacking)
    attentions, blocks = tuple(family.attentions(shapes)), tuple(family.blocks(shapes))
    return Anatomy(
        family=family,
        feed_forwards=tuple(family.feed_forwards(shapes)),
        attentions=attentions,
        classifier=family.classifier if family.classifier in shapes else None,
        shapes=shapes,
        blocks=blocks,
        removable=() if family.shared else _removable(model, blocks),
        head_counts={part.block: int(model.config.num_attention_heads) for part in attentions},
        widths=(family.width,),
        heads_stay=family.name in HEADS_STAY,
    )


def _removable(model: nn.Module, blocks: Sequence[str]) -> tuple[str, ...]:
    kinds = [{name: p.shape for name, p in model.get_submodule(block).named_parameters()} for block in blocks]
    if any(kind != kinds[-1] for kind in kinds[1:]):
        return ()
    return tuple(blocks) if kinds and kinds[0] == kinds[-1] else tuple(blocks[1:])
