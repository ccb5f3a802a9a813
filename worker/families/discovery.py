"""The parts of a model of no known family, found by following numbers back through one run of it.

A layer that reads neurons reads each from one feature at the same position of the layers that write them. A layer that
reads heads reads each of its numbers from one head of the query at the same position, and from one head of the key and
one feature of the value at several. Parts are looked for in blocks: what has a number in its dotted name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from torch import Tensor, nn

from app.domain.families import Attention, FeedForward
from worker.compute.batches import Batch
from worker.families.anatomy import Anatomy, anatomy
from worker.families.head_roles import HeadRoles
from worker.families.tracing import NumberSource, Trace

NO_NEURONS = "No block has linear layers with nothing but an element-wise activation between them."
NO_HEADS = "No block has linear layers of query, key and value that another one reads head by head."
EXPERTS = "Its feed-forward layers are experts that share one tensor, not linear layers of their own."

NumberSources = Mapping[str, NumberSource]
FoundPart = TypeVar("FoundPart", FeedForward, Attention)


def find_parts(model: nn.Module, batch: Batch) -> Anatomy:
    """The anatomy of a model as a run of `batch` shows it; what is found is still to be proved.

    The batch has two examples of equal length, none of it padding. The model is left in eval mode.
    """
    known = anatomy(model)
    search = _Search(Trace.of(model, batch), len(batch), known.shapes)
    feed_forwards, attentions = search.parts()
    lacking: dict[str, str] = {}
    if not feed_forwards:
        lacking["neurons"] = EXPERTS if _has_experts(model) else NO_NEURONS
    if not attentions:
        lacking["heads"] = NO_HEADS
    named = _named_by_block(attentions)
    return replace(
        known,
        feed_forwards=tuple(_named_by_block(feed_forwards)),
        attentions=tuple(named),
        classifier=search.classifier(),
        head_counts={part.block: search.heads[part.output] for part in named},
        lacking=lacking,
    )


@dataclass
class _Search:
    trace: Trace
    examples: int
    shapes: Mapping[str, tuple[int, int]]
    heads: dict[str, int] = field(default_factory=dict)
    """How many heads each layer reads, of those that read any."""

    def parts(self) -> tuple[list[FeedForward], list[Attention]]:
        """Every part by the layer that reads it, in the model's order; named by that layer for now."""
        found = [self._part(reader) for reader in self.shapes if reader in self.trace.reads and _block_of([reader])]
        feed_forwards = [part for part in found if isinstance(part, FeedForward)]
        return feed_forwards, [part for part in found if isinstance(part, Attention)]

    def _part(self, reader: str) -> FeedForward | Attention | None:
        """What a layer reads, if it reads nothing else and nothing else reads it."""
        length = self._positions(self.trace.reads[reader]) // self.examples
        for position in (length - 1, length // 2):  # the last sees all, unless it is alone in its window
            seen = list(self._seen(reader, position))
            if part := self._feed_forward(reader, seen) or self._attention(reader, seen):
                writers = [name for name in part.layers if name != reader]
                number, others = self._read(reader)[seen[0][:2]], set(self._near(reader))
                whole = self.trace.made_alone(number, writers, others)
                return part if whole and self.trace.reads_alone(reader, writers) else None
        return None

    def _read(self, reader: str) -> Tensor:
        """What a layer reads [positions, in]."""
        read = self.trace.reads[reader]
        return read.reshape(-1, read.shape[-1])

    def _near(self, reader: str) -> list[str]:
        """The other layers of its block."""
        return [name for name in self.shapes if name != reader and _block_of([name, reader])]

    def classifier(self) -> str | None:
        """The layer that writes the logits as they are; None where there is none."""
        classes = self.trace.logits.shape[-1]
        wide = [name for name, (outputs, _) in self.shapes.items() if outputs == classes]
        for name, source in self.trace.sources(self.trace.logits[0, classes - 1], wide).items():
            if source.features == {classes - 1} and len(source.positions) == 1 and source.slope == 1.0:
                return name
        return None

    def _seen(self, reader: str, position: int) -> Iterator[tuple[int, int, NumberSources]]:
        """Position, feature and sources of a large number in each third of what a layer reads at a position.

        They end where a number hangs on everything before it.
        """
        flat, near = self._read(reader), self._near(reader)
        features = flat.shape[1]
        for third in range(3):
            start, stop = third * features // 3, (third + 1) * features // 3
            if start < stop:
                feature = start + int(flat[position, start:stop].abs().argmax())
                sources = self.trace.sources(flat[position, feature], near)
                if all(source.dense for source in sources.values()):
                    return
                yield position, feature, sources

    def _feed_forward(self, reader: str, seen: Sequence[tuple[int, int, NumberSources]]) -> FeedForward | None:
        """The part whose neurons a layer reads."""
        neurons = self.shapes[reader][1]
        agreed = []
        for position, feature, sources in seen:
            fitting = {neurons: frozenset({feature}), 2 * neurons: frozenset({feature, feature + neurons})}
            agreed.append(
                {
                    name
                    for name, source in sources.items()
                    if source.positions == {position}
                    and source.features == fitting.get(self.shapes[name][0])
                    and self._meets(name, reader)
                }
            )
        found = set.intersection(*agreed) if agreed else set()
        writers = tuple(name for name in self.shapes if name in found)
        widths = [self.shapes[name][0] // neurons for name in writers]
        return FeedForward(reader, writers, reader, widths == [2]) if widths in ([1], [1, 1], [2]) else None

    def _attention(self, reader: str, seen: Sequence[tuple[int, int, NumberSources]]) -> Attention | None:
        """The part whose heads a layer reads."""
        features = self.shapes[reader][1]
        for width in HeadRoles.possible_widths(seen, features):
            roles = HeadRoles(features // width, width)
            for name, (outputs, _) in self.shapes.items():
                given = [(position, feature, sources.get(name)) for position, feature, sources in seen]
                roles.add(name, outputs, given, alike=self._meets(name, reader))
            if roles.whole:
                self.heads[reader] = roles.heads
                return roles.attention(reader)
        return None

    def _meets(self, writer: str, reader: str) -> bool:
        """Whether a layer writes as many positions as another one reads."""
        if writer not in self.trace.writes:
            return False
        return self._positions(self.trace.writes[writer]) == self._positions(self.trace.reads[reader])

    @staticmethod
    def _positions(tensor: Tensor) -> int:
        return tensor.numel() // tensor.shape[-1]


def _named_by_block(parts: Sequence[FoundPart]) -> list[FoundPart]:
    """The parts under the names of their blocks; those that share a block, under what their own layers share."""
    inner = [_block_of(part.layers) for part in parts]
    twice = {name for name, count in Counter(inner).items() if count > 1}
    names = [_prefix(part.layers) if name in twice else name for part, name in zip(parts, inner, strict=True)]
    again = {name for name, count in Counter(names).items() if count > 1}
    return [
        replace(part, block=part.output if name in again else name) for part, name in zip(parts, names, strict=True)
    ]


def _block_of(layers: Iterable[str]) -> str:
    """The innermost numbered module that holds all of `layers`; empty where none does."""
    names = _prefix(layers).split(".")
    while names and not names[-1].isdecimal():
        names.pop()
    return ".".join(names)


def _prefix(layers: Iterable[str]) -> str:
    """The module that holds all of `layers`."""
    paths = [name.split(".")[:-1] for name in layers]
    shared = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)


def _has_experts(model: nn.Module) -> bool:
    return any(parameter.dim() == 3 and "expert" in name for name, parameter in model.named_parameters())
