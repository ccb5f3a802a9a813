"""Cost against quality as a picture: SVG that needs no style sheet and reads on a light and on a dark ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 20, 90
INKS = ("#2f4fe0", "#b5420e", "#0f766e", "#7c3aed", "#a16207", "#be185d")
GREY = "#7d8491"
LOWEST = 0.6
"""Macro-F1 that the picture begins at, at the lowest: what is worse is in the table alone."""


@dataclass(frozen=True)
class Dot:
    """A classifier at its cost and quality; `series` are told apart by colour, `alternative` is grey and named."""

    name: str
    series: str
    cost: float
    quality: float


def draw(dots: Sequence[Dot]) -> str:
    """The picture of all that is good enough to be on it."""
    shown = [dot for dot in dots if dot.quality >= LOWEST]
    low = min([dot.quality for dot in shown] or [LOWEST]) - 0.01
    high = max([dot.quality for dot in shown] or [1.0]) + 0.01
    series = list(dict.fromkeys(dot.series for dot in shown if dot.series != "alternative"))
    inks = {name: INKS[place % len(INKS)] for place, name in enumerate(series)} | {"alternative": GREY}

    def at(cost: float) -> float:
        return LEFT + cost * (WIDTH - LEFT - RIGHT)

    def up(quality: float) -> float:
        return TOP + (high - quality) / (high - low) * (HEIGHT - TOP - BOTTOM)

    floor = HEIGHT - BOTTOM
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" fill="{GREY}" role="img" aria-label="Macro-F1 against the arithmetic of the encoder">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for tick in (0.0, 0.125, 0.25, 0.5, 0.75, 1.0):
        lines.append(f'<line x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="{TOP}" y2="{floor}" stroke="#e2e5ea"/>')
        lines.append(f'<text x="{at(tick):.1f}" y="{floor + 18}" text-anchor="middle">{tick:g}</text>')
    step = 0.01 if high - low < 0.1 else 0.05
    for count in range(int(low / step) + 1, int(high / step) + 1):
        level = up(count * step)
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level:.1f}" y2="{level:.1f}" stroke="#e2e5ea"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{level + 4:.1f}" text-anchor="end">{count * step:.2f}</text>')
    for dot in shown:
        title = f"<title>{escape(dot.name)}: {dot.quality:.3f} at {dot.cost:.2f}</title>"
        place = f'cx="{at(dot.cost):.1f}" cy="{up(dot.quality):.1f}"'
        lines.append(f'<circle {place} r="4" fill="{inks[dot.series]}" fill-opacity="0.8">{title}</circle>')
        if dot.series == "alternative":
            side = ("end", -8) if dot.cost > 0.8 else ("start", 8)
            where = f'x="{at(dot.cost) + side[1]:.1f}" y="{up(dot.quality) + 4:.1f}" text-anchor="{side[0]}"'
            lines.append(f"<text {where}>{escape(dot.name)}</text>")
    lines.append(f'<text x="{WIDTH - RIGHT}" y="{floor + 36}" text-anchor="end">cost (the base’s is 1)</text>')
    for place, name in enumerate(series):
        x, y = LEFT + 230 * (place % 3), HEIGHT - 34 + 20 * (place // 3)
        lines.append(f'<circle cx="{x}" cy="{y - 4}" r="4" fill="{inks[name]}"/>')
        lines.append(f'<text x="{x + 10}" y="{y}">{escape(name)}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"
