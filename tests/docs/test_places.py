"""What the documentation says of files and rooms is where it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
PLACE = re.compile(r"`((?:microlith|app|worker|tests|docs|benchmarks|tools|alembic|examples)/[\w./-]*)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
ROOM = re.compile(r'font-weight="600" fill="currentColor">([a-z]+)(/?)<')


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_a_file_that_a_page_names_is_there(page: Path) -> None:
    named = PLACE.findall(page.read_text(encoding="utf-8"))
    assert [place for place in named if not (ROOT / place).exists()] == []


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_a_link_of_a_page_beside_the_documentation_leads_somewhere(page: Path) -> None:
    linked = LINK.findall(page.read_text(encoding="utf-8"))
    assert [place for place in linked if not (page.parent / place).exists()] == []


def test_the_picture_of_the_rooms_shows_each_room_that_there_is() -> None:
    drawn: dict[str, set[str]] = {}
    package = ""
    for name, slash in ROOM.findall((ROOT / "docs/images/rooms.svg").read_text(encoding="utf-8")):
        package = name if slash else package
        drawn.setdefault(package, set()).update([] if slash else [name])
    for package, rooms in drawn.items():
        there = {init.parent.name for init in (ROOT / package).glob("*/__init__.py")}
        assert rooms == there, package
    assert set(drawn) == {"microlith", "app", "worker"}
