"""Sparsity per layer as a small picture: a row for each block, a cell for each of its linear layers.

SVG: it is small, its bytes follow from its numbers, and the hub, code hosts and browsers show it beside a README. It
brings its own background, because a page that is dark tells a picture nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from microlith.contract import Sparsity

PICTURE = "sparsity.svg"
_CELL, _ROW, _LEFT, _TOP, _EDGE = 96, 20, 64, 30, 10
_INK, _FAINT, _GONE, _THERE = "#1f2937", "#6b7280", "#f59e0b", "#e5e7eb"


def alternative(sparsity: Sparsity) -> str:
    """The picture in words."""
    fractions = sorted(sparsity.layers.values())
    span = f", from {100 * fractions[0]:.1f} % to {100 * fractions[-1]:.1f} % by layer" if fractions else ""
    return f"{100 * sparsity.overall:.1f} % of all linear weights and biases are gone{span}"


def picture(sparsity: Sparsity) -> str:
    """The SVG document. Equal numbers give equal text."""
    places = {name: _place(name) for name in sparsity.layers}
    blocks = _in_order(block for block, _ in places.values())
    columns = _in_order(column for block, column in places.values() if block)
    titles = _titles(columns)
    alone = [name for name, (block, _) in places.items() if not block]
    width = 2 * _EDGE + _LEFT + _CELL * max(len(columns), 1)
    parts = [_text(_x(columns.index(c)), _TOP - 8, titles[c], _FAINT) for c in columns]
    shown = [block for block in blocks if block]
    for row, block in enumerate(shown):
        parts.append(_text(_EDGE, _y(row) + 12, f"block {block}", _FAINT))
        parts += [
            _cell(_x(columns.index(column)), _y(row), sparsity.layers[name], name)
            for name, (of, column) in places.items()
            if of == block
        ]
    for row, name in enumerate(alone, start=len(shown)):
        parts.append(_cell(_x(0), _y(row), sparsity.layers[name], name))
        parts.append(_text(_x(1), _y(row) + 12, name, _FAINT))
    height = _y(len(shown) + len(alone)) + _EDGE
    return _document(max(width, 2 * _EDGE + _LEFT + 4 * _CELL), height, alternative(sparsity), parts)


def _place(name: str) -> tuple[str, str]:
    """A layer's block, by its numbers, and which layer of a block it is."""
    words = name.split(".")
    last = max((number for number, word in enumerate(words) if word.isdecimal()), default=-1)
    return ".".join(word for word in words if word.isdecimal()), ".".join(words[last + 1 :])


def _titles(columns: Iterable[str]) -> dict[str, str]:
    """The shortest endings that tell the columns apart; `dense` tells nothing."""
    plain = {column: column.removesuffix(".dense") for column in columns}
    titles = {}
    for column, name in plain.items():
        words = name.split(".")
        endings = [".".join(words[-count:]) for count in range(1, len(words) + 1)]
        others = [other for other in plain.values() if other != name]
        alone = (e for e in endings if not any(f".{other}".endswith(f".{e}") for other in others))
        titles[column] = next(alone, name)
    return titles


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _x(column: int) -> int:
    return _EDGE + _LEFT + column * _CELL


def _y(row: int) -> int:
    return _TOP + row * _ROW


def _cell(x: int, y: int, gone: float, name: str) -> str:
    """A bar, filled as far as the layer is gone, and the number on it."""
    width, height = _CELL - 6, _ROW - 4
    return (
        f'<g><title>{escape(name)}</title><rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{_THERE}"/>'
        f'<rect x="{x}" y="{y}" width="{width * gone:.1f}" height="{height}" fill="{_GONE}"/>'
        f"{_text(x + 4, y + 12, f'{100 * gone:.1f} %', _INK)}</g>"
    )


def _text(x: int, y: int, text: str, fill: str) -> str:
    return f'<text x="{x}" y="{y}" fill="{fill}">{escape(text)}</text>'


def _document(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, sans-serif" font-size="11" role="img">\n<title>{escape(title)}</title>\n'
        f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>\n{body}\n</svg>\n'
    )
