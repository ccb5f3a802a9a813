"""What the documentation tells a reader to do works, and the pages are built without a loose end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from app.settings import Settings
from docs.hooks import tables
from tests.docs.blocks import Story, blocks_of
from tests.serving import Service, running_service
from worker.pruning.scores.registry import SCORINGS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TOLD = [page for page in PAGES if blocks_of(page.read_text(encoding="utf-8"))]
FETCHED = re.compile(
    r'<(?:script|img|iframe|source|link rel="(?:stylesheet|preload|icon)")[^>]+(?:src|href)="(?:https?:)?//'
)


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """One server for all pages."""
    with running_service() as service:
        yield service


@pytest.fixture
def story(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    """A reader in a clone, whose environment is this one; a method that a page registers is gone after it."""
    programs = Path(sys.executable).parent
    for name, place in {".venv": programs.parent, "app": ROOT / "app"}.items():
        (tmp_path / name).symlink_to(place)
    (tmp_path / ".curlrc").write_text("fail-with-body\n")  # an answer that is an error ends the block
    monkeypatch.setenv("CURL_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MICROLITH_URL", service.url)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    with patch.dict(SCORINGS):
        yield Story(tmp_path, service.url, dict(os.environ))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", TOLD, ids=[str(page.relative_to(ROOT)) for page in TOLD])
def test_what_a_page_tells_to_do_can_be_done(page: Path, story: Story) -> None:
    for block in blocks_of(page.read_text(encoding="utf-8")):
        story.follow(block, str(page))


def test_the_site_builds_with_every_link_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    for page in tmp_path.rglob("*.html"):
        told = page.read_text(encoding="utf-8")
        assert not (found := FETCHED.search(told)), f"{page.name}: {found}"
        assert "arithmatex" not in told, f"{page.name} has a formula that was not drawn"
        assert "<!-- insert" not in told, f"{page.name} misses a generated part"


def test_every_error_tells_its_cause_and_its_remedy() -> None:
    for error in tables.every_error():
        cause, _, remedy = (error.__doc__ or "").partition("\n\n")
        assert cause.strip(), f"{error.__name__} has no docstring that tells its cause"
        assert remedy.strip(), f"{error.__name__} does not say, after an empty line, what to do"


def test_every_setting_says_what_it_is() -> None:
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert not silent, f"these settings have no description: {', '.join(silent)}"
