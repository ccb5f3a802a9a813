"""Where a live model keeps its neurons and heads: rows and columns of its linear layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from app.domain.families import Attention, Family, FeedForward
from worker.families.layers import family_of_model, linear_layers

LayerRows = list[tuple[str, slice]]
"""Rows of linear layers, by name."""


@dataclass(frozen=True)
class Anatomy:
    """The blocks of one model, first block first, and the sizes that place neurons and heads in them.

    A model of no known family has linear layers and no blocks. Where layers share their weights (ALBERT) there is one
    block for all of them.
    """

    family: Family | None
    feed_forwards: tuple[FeedForward, ...]
    attentions: tuple[Attention, ...]
    classifier: str | None
    """The linear layer that writes the logits; None where it is not known."""
    shapes: Mapping[str, tuple[int, int]]
    """[out, in] of every linear layer."""
    query_heads: int
    blocks: tuple[str, ...] = ()
    """Every block by dotted name: the name of the stack that all stand in, and a number."""
    removable: tuple[str, ...] = ()
    """Blocks in whose place another can stand: not the first one, where it is made otherwise than the rest."""

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

    def heads(self, _part: Attention) -> int:
        """How many query heads an attention part has."""
        return self.query_heads

    def groups(self, part: Attention) -> int:
        """How many heads it has of key and value: as many, or fewer that query heads share in turn."""
        return self.heads(part) if part.fused else self.shapes[part.key][0] // self._head_width(part)

    def head_rows(self, part: Attention, *heads: int) -> LayerRows:
        """The rows that go with `heads`: of the query, and of key and value where a whole group is among `heads`.

        With grouped heads (llama, qwen2) key and value serve several query heads, so name all removed heads at once.
        """
        return [
            *((layer, self._slice(part, start + head)) for head in heads for layer, start in self._query_starts(part)),
            *(
                (layer, self._slice(part, start + group))
                for group in self._whole_groups(part, frozenset(heads))
                for layer, start in self._key_starts(part)
            ),
        ]

    def head_places(self, part: Attention) -> list[tuple[str, int, int]]:
        """Layers that write heads, the row of the first one, and how many query heads share each of theirs."""
        width, share = self._head_width(part), self.heads(part) // self.groups(part)
        queries = [(layer, start * width, 1) for layer, start in self._query_starts(part)]
        return queries + [(layer, start * width, share) for layer, start in self._key_starts(part)]

    def head_columns(self, part: Attention, head: int) -> slice:
        """The columns of the output layer that read a head."""
        return self._slice(part, head)

    def _head_width(self, part: Attention) -> int:
        return self.shapes[part.output][1] // self.heads(part)

    def _slice(self, part: Attention, place: int) -> slice:
        width = self._head_width(part)
        return slice(place * width, (place + 1) * width)

    def _query_starts(self, part: Attention) -> list[tuple[str, int]]:
        """Layers with a row per query head and feature, and the place of their first head."""
        return [(part.query, 0), *((layer, 0) for layer in part.positions)]

    def _key_starts(self, part: Attention) -> list[tuple[str, int]]:
        heads = self.heads(part)
        return [(part.key, heads), (part.value, 2 * heads)] if part.fused else [(part.key, 0), (part.value, 0)]

    def _whole_groups(self, part: Attention, heads: frozenset[int]) -> list[int]:
        size = self.heads(part) // self.groups(part)
        return [
            group for group in range(self.groups(part)) if heads.issuperset(range(group * size, (group + 1) * size))
        ]


def anatomy(model: nn.Module) -> Anatomy:
    """The anatomy of a loaded Hugging Face classifier, or of any module: then without family and blocks."""
    family = family_of_model(model)
    shapes = {name: (layer.out_features, layer.in_features) for name, layer in linear_layers(model).items()}
    blocks = tuple(family.blocks(shapes)) if family else ()
    return Anatomy(
        family=family,
        feed_forwards=tuple(family.feed_forwards(shapes)) if family else (),
        attentions=tuple(family.attentions(shapes)) if family else (),
        classifier=family.classifier if family and family.classifier in shapes else None,
        shapes=shapes,
        query_heads=int(getattr(model.config, "num_attention_heads", 0)) if family else 0,
        blocks=blocks,
        removable=() if family is None or family.shared else _removable(model, blocks),
    )


def _removable(model: nn.Module, blocks: Sequence[str]) -> tuple[str, ...]:
    kinds = [{name: p.shape for name, p in model.get_submodule(block).named_parameters()} for block in blocks]
    if any(kind != kinds[-1] for kind in kinds[1:]):
        return ()
    return tuple(blocks) if kinds and kinds[0] == kinds[-1] else tuple(blocks[1:])
