"""Every line of the log is known to the table that tells an operator what it means."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from app.domain.log_events import LOG_EVENTS
from docs.hooks import tables

ROOT = Path(__file__).parents[2]
METHODS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}
LOGGED = [file for folder in ("app", "worker") for file in (ROOT / folder).rglob("*.py")]


def events_in(file: Path) -> Iterator[tuple[str, str]]:
    """Name and level of each event that a file writes."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=method), args=[event, *_]) if (
                method in METHODS
            ):
                yield ast.literal_eval(event), METHODS[method]


def test_the_table_has_every_event_with_its_level_and_no_other() -> None:
    written = {event for file in LOGGED for event in events_in(file)}
    assert written == {(name, event.level) for name, event in LOG_EVENTS.items()}


def test_the_table_is_in_the_order_of_names_which_are_a_noun_and_a_verb() -> None:
    assert list(LOG_EVENTS) == sorted(LOG_EVENTS)
    assert all("_" in name and name.endswith(("ed", "lost", "able", "ive")) for name in LOG_EVENTS)


def test_the_page_shows_every_event() -> None:
    page = tables.log_events()
    assert all(f"`{name}`" in page and event.when in page for name, event in LOG_EVENTS.items())
    assert "<!-- insert: log-events -->" in (ROOT / "docs/how-to/watch.md").read_text(encoding="utf-8")
