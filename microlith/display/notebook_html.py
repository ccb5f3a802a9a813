"""A job and its results as HTML for notebooks: escaped, and readable on a light and on a dark ground."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from microlith.contract import Comparison, Job, Module, Results
from microlith.display import numbers, progress

_STYLE = """<style>
.microlith { --gain: #1a7f37; --loss: #cf222e; --bar: #0969da; font-variant-numeric: tabular-nums; }
@media (prefers-color-scheme: dark) { .microlith { --gain: #3fb950; --loss: #f85149; --bar: #4493f8; } }
[data-jp-theme-light="true"] .microlith { --gain: #1a7f37; --loss: #cf222e; --bar: #0969da; }
[data-jp-theme-light="false"] .microlith, .vscode-dark .microlith
  { --gain: #3fb950; --loss: #f85149; --bar: #4493f8; }
.microlith table { border-collapse: collapse; color: inherit; }
.microlith th, .microlith td { padding: .2em .7em; text-align: right; background: none; }
.microlith th:first-child, .microlith td:first-child { text-align: left; }
.microlith thead th { border-bottom: 1px solid currentColor; }
.microlith tfoot td { border-top: 1px solid currentColor; font-weight: bold; }
.microlith .gain { color: var(--gain); } .microlith .loss { color: var(--loss); } .microlith .base { opacity: .65; }
.microlith progress { width: 16em; accent-color: var(--bar); vertical-align: middle; }
</style>"""


def job(shown: Job) -> str:
    """Its state, a bar, and why it failed if it did."""
    bar = f'<progress max="100" value="{progress.percent(shown):.0f}" aria-label="progress"></progress>'
    lines = [
        f"<div><b>Job</b> <code>{escape(shown.id)}</code></div>",
        f"<div>{bar} {escape(progress.sentence(shown))}</div>",
    ]
    if shown.error:
        lines.append(f'<div class="loss">{escape(shown.error.code)}: {escape(shown.error.message)}</div>')
        lines += [f"<div>Hint: {escape(shown.error.hint)}</div>"] if shown.error.hint else []
    return _framed("".join(lines))


def results(document: Results) -> str:
    """One table per ratio: each module on its own class, the base beside it."""
    if not document.comparison:
        return _framed("No module is ready yet.")
    said = f"<p><b>{escape(document.verdict)}</b></p>" if document.verdict else ""
    return _framed(said + "".join(_table(document, comparison) for comparison in document.comparison))


def _table(document: Results, comparison: Comparison) -> str:
    heads = ("concern", "precision", "recall", "F1", "change", "support", "sparsity", "size")
    rows = [_row(module) for module in document.modules if module.ratio.requested == comparison.ratio]
    means = ("mean", "", "", _beside(comparison.own_f1, comparison.base_own_f1), _change(comparison.change), "", "", "")
    return (
        f"<table><caption>Ratio {comparison.ratio:g}, each module on its own class / the base</caption>"
        f"<thead><tr>{_cells(heads, 'th')}</tr></thead>"
        f"<tbody>{''.join(f'<tr>{_cells(row)}</tr>' for row in rows)}</tbody>"
        f"<tfoot><tr>{_cells(means)}</tr></tfoot></table>"
    )


def _row(module: Module) -> tuple[str, ...]:
    own, base = module.handed_out, module.base_own
    return (
        escape(module.concern.label),
        _beside(own.precision, base.precision),
        _beside(own.recall, base.recall),
        _beside(own.f1, base.f1),
        _change(own.f1 - base.f1),
        str(own.support),
        numbers.score(module.sparsity.overall),
        numbers.size(module.artifacts[0].size_bytes if module.artifacts else None),
    )


def _beside(own: float, base: float) -> str:
    return f'{numbers.score(own)} <span class="base">/ {numbers.score(base)}</span>'


def _change(value: float) -> str:
    kind = {"green": "gain", "red": "loss"}.get(str(numbers.change(value).style), "base")
    return f'<span class="{kind}">{value:+.3f}</span>'


def _cells(cells: Iterable[str], tag: str = "td") -> str:
    return "".join(f"<{tag}>{cell}</{tag}>" for cell in cells)


def _framed(content: str) -> str:
    return f'{_STYLE}<div class="microlith">{content}</div>'
