"""What MkDocs does to our pages: it inserts what is generated, shows what is not run, draws formulas and pictures.

A line `<!-- insert: NAME -->` is replaced by what the code itself says (see `GENERATED`), so that no table of options,
settings, errors, commands or routes can go stale. A line `<!-- not run: REASON -->` before a block of code, which the
tests obey, is shown to the reader. Formulas become MathML, and pictures part of the page, in the page's own colours:
nothing is fetched by a browser but the site.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import commands
import latex2mathml.converter
import openapi
import tables

GENERATED: dict[str, Callable[[], str]] = {
    "commands": commands.page,
    "errors": tables.errors,
    "exit-codes": tables.exit_codes,
    "http": openapi.page,
    "limits": tables.limits,
    "log-events": tables.log_events,
    "methods": tables.methods,
    "settings": tables.settings,
    "spec": tables.spec,
    "combine-spec": tables.combine_spec,
}

INSERT = re.compile(r"^<!-- insert: ([a-z-]+) -->$", re.MULTILINE)
NOT_RUN = re.compile(r"^([ ]*)<!-- not run: (.+?) -->$", re.MULTILINE)
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.+?)\\[)\]]</\1>', re.DOTALL)
PICTURE = re.compile(r'<img alt="([^"]*)" src="([^"]+\.svg)" ?/?>')
STYLE = re.compile(r"<style>.*?</style>\s*", re.DOTALL)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with its generated parts. An unknown name is an error."""
    markdown = INSERT.sub(lambda found: GENERATED[found[1]](), markdown)
    return NOT_RUN.sub(r'\1<p class="not-run" markdown>The tests check only the syntax of this: \2.</p>', markdown)


def on_page_content(html: str, *, page: Any, config: Any, **_: Any) -> str:
    """The page with MathML in the place of LaTeX and drawings in the place of links to them."""
    here = Path(config.docs_dir) / Path(page.file.src_uri).parent
    html = FORMULA.sub(_formula, html)
    return PICTURE.sub(lambda found: _drawing(here / found[2], found[1]), html)


def _formula(found: re.Match[str]) -> str:
    latex = found[3].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()
    return latex2mathml.converter.convert(latex, display="block" if found[2] == "[" else "inline")


def _drawing(file: Path, text: str) -> str:
    """An SVG as part of the page; its own colours are for where it stands alone."""
    drawing = STYLE.sub("", file.read_text(encoding="utf-8"))
    return drawing.replace("<svg ", f'<svg class="drawing" role="img" aria-label="{text}" ', 1)
