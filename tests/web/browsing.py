"""A real browser on a real server. What goes wrong on a page goes wrong in the test that opened it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), None)
FLAGS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
WIDE, PHONE = 1400, 390
PATIENCE_MS = 60_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's browser, without a window; root has no sandbox to run it in."""
    flags = [*FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page and what it complained of."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def go(self, place: str) -> Page:
        self.page.goto(self.url + place)
        return self.page

    def keep(self, name: str) -> None:
        """A picture of the whole page, for people to look at."""
        self.page.evaluate("scrollTo(0, 0)")
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    def barriers(self) -> list[str]:
        """What keeps people from using the page, by axe: only what it calls serious or critical."""
        self.page.evaluate(AXE.read_text())
        found: list[dict[str, Any]] = self.page.evaluate(
            "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
        )
        return [
            f"{one['id']}: {json.dumps([node['target'] for node in one['nodes'][:5]])}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]


@contextmanager
def visiting(browser: Browser, url: str, *, width: int = WIDE, scheme: Any = "light") -> Iterator[Visit]:
    """A visit of one person, without memory of earlier ones. Raises for errors of scripts and for foreign hosts."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    visit = Visit(context.new_page(), url)
    host = urlsplit(url).netloc

    def heard(message: ConsoleMessage) -> None:
        expected = "Failed to load resource" in message.text  # an answer of 4xx, which tests ask for
        if message.type == "error" and not expected:
            visit.complaints.append(message.text)

    def asked(request: Request) -> None:
        if request.url.startswith("http") and urlsplit(request.url).netloc != host:
            visit.complaints.append(f"asked another host: {request.url}")

    visit.page.on("console", heard)
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    visit.page.on("request", asked)
    try:
        yield visit
    finally:
        context.close()
    assert not visit.complaints, visit.complaints
