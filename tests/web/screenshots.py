"""Takes the picture that the documentation shows: `make screenshots`."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from microlith import Client
from tests.serving import running_service
from tests.web.browsing import WIDE, chromium, visiting

IMAGE = Path(__file__).parents[2] / "docs" / "images" / "results.png"
SPEC = {
    "model": "demo:bert-tiny-wordnet",
    "dataset": "demo:wordnet-supersense",
    "structure": "neurons",
    "ratio": 0.75,
    "recovery": "refit",
    "evaluation": {"limit": 1500},
    "export": {"layouts": ["compact"]},
}


def main() -> None:
    """A job on all concerns, and the top of its page."""
    with running_service() as service, Client(service.url) as client, chromium() as browser:
        take(browser, service.url, client.wait(client.submit(SPEC).id).id)


def take(browser: Browser, url: str, job_id: str) -> None:
    with visiting(browser, url, width=WIDE) as visit:
        page = visit.go(f"/jobs/{job_id}")
        page.evaluate("document.fonts.ready")
        table = page.locator("#results").bounding_box()
        assert table is not None
        page.set_viewport_size({"width": WIDE, "height": round(table["y"] + table["height"])})
        IMAGE.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=IMAGE)


if __name__ == "__main__":
    main()
