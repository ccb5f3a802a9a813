"""What each layer is to a layer that reads heads: query, key, value, all three, or a projection of positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.families import Attention
from worker.families.tracing import NumberSource

Number = tuple[int, int, NumberSource | None]
"""Where a number was read, position and feature, and where a layer's output it was made of; None for nowhere."""


@dataclass
class HeadRoles:
    """The layers of one attention part, of so many heads of this width, as far as they are known."""

    heads: int
    width: int
    query: list[str] = field(default_factory=list)
    key: list[str] = field(default_factory=list)
    value: list[str] = field(default_factory=list)
    fused: list[str] = field(default_factory=list)
    interleaved: list[str] = field(default_factory=list)
    positions: list[str] = field(default_factory=list)

    @staticmethod
    def possible_widths(seen: Sequence[tuple[int, int, Mapping[str, NumberSource]]], features: int) -> list[int]:
        """What a head's width may be, by what the first number was made of: two heads at least.

        Of a query these are features of the number's own position; of a fused layer, a key and one of a value.
        """
        if not seen:
            return []
        position, _, sources = seen[0]
        counts = [len(source.features) for source in sources.values() if source.positions == {position}]
        counts += [len(source.elsewhere(position)) - 1 for source in sources.values()]
        return [width for width in dict.fromkeys(counts) if 0 < width < features and features % width == 0]

    def add(self, layer: str, outputs: int, numbers: Sequence[Number], *, alike: bool) -> None:
        """Notes what `layer` is, if it is the same to every number; `alike` if it writes as many positions as are

        read.
        """
        found = [(position, feature, source) for position, feature, source in numbers if source is not None]
        if len(found) < len(numbers) or outputs % self.width:
            return
        places = outputs // self.width
        roles = {
            "query": alike and places == self.heads and all(self._is_query(*number) for number in found),
            "key": alike and self.heads % places == 0 and all(self._is_key(places, *number) for number in found),
            "value": alike and self.heads % places == 0 and all(self._is_value(places, *number) for number in found),
            "fused": alike and all(self._is_fused(places, *number) for number in found),
            "interleaved": alike and places == 3 * self.heads and all(self._is_interleaved(*n) for n in found),
            "positions": not alike and places == self.heads and all(self._is_position(*number) for number in found),
        }
        for role, held in roles.items():
            if held:
                getattr(self, role).append(layer)

    @property
    def whole(self) -> bool:
        """Whether there is one layer for each role."""
        apart, together = [len(layers) for layers in (self.query, self.key, self.value)], self.fused + self.interleaved
        return apart == [0, 0, 0] if len(together) == 1 else not together and apart == [1, 1, 1]

    def attention(self, output: str) -> Attention:
        """The part that `output` reads, under its name."""
        if together := self.fused or self.interleaved:
            (layer,) = together
            return Attention(output, layer, layer, layer, output, fused=True, interleaved=bool(self.interleaved))
        query, key, value = self.query[0], self.key[0], self.value[0]
        return Attention(output, query, key, value, output, positions=tuple(self.positions))

    def _head(self, place: int) -> frozenset[int]:
        return frozenset(range(place * self.width, (place + 1) * self.width))

    def _is_query(self, position: int, feature: int, source: NumberSource) -> bool:
        return source.positions == {position} and source.features == self._head(feature // self.width)

    def _is_key(self, groups: int, _position: int, feature: int, source: NumberSource) -> bool:
        return len(source.positions) > 1 and source.features == self._head(self._group(feature, groups))

    def _is_value(self, groups: int, _position: int, feature: int, source: NumberSource) -> bool:
        own = self._group(feature, groups) * self.width + feature % self.width
        return len(source.positions) > 1 and source.features == {own}

    def _is_fused(self, places: int, position: int, feature: int, source: NumberSource) -> bool:
        groups = (places - self.heads) // 2
        if groups < 1 or self.heads % groups or places != self.heads + 2 * groups:
            return False
        group = self._group(feature, groups)
        value = (self.heads + groups + group) * self.width + feature % self.width
        keys = self._head(self.heads + group) | {value}
        return self._is_all(position, source, self._head(feature // self.width), keys)

    def _is_interleaved(self, position: int, feature: int, source: NumberSource) -> bool:
        first = 3 * (feature // self.width)
        keys = self._head(first + 1) | {(first + 2) * self.width + feature % self.width}
        return self._is_all(position, source, self._head(first), keys)

    def _is_position(self, _position: int, feature: int, source: NumberSource) -> bool:
        return source.features == self._head(feature // self.width)

    @staticmethod
    def _is_all(position: int, source: NumberSource, query: frozenset[int], keys: frozenset[int]) -> bool:
        return source.elsewhere(position) == keys and source.features == keys | query

    def _group(self, feature: int, groups: int) -> int:
        """The group of the head that a feature belongs to."""
        return feature // self.width * groups // self.heads
