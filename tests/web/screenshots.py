"""Takes the pictures that the documentation shows: `make screenshots`."""

from __future__ import annotations

from pathlib import Path

from microlith import Client
from tests.serving import running_service
from tests.web.browsing import WIDE, chromium, visiting

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SPEC = {"model": "demo:bert-tiny-wordnet", "dataset": "demo:wordnet-supersense", "structure": "weights", "ratio": 0.9}
HEIGHT = 1010
"""Down to the end of the results table."""


def main() -> None:
    """A job on all concerns, and the top of its page."""
    with running_service() as service, Client(service.url) as client, chromium() as browser:
        job = client.wait(client.submit(SPEC).id)
        with visiting(browser, service.url, width=WIDE) as visit:
            page = visit.go(f"/jobs/{job.id}")
            page.set_viewport_size({"width": WIDE, "height": HEIGHT})
            page.evaluate("document.fonts.ready")
            IMAGES.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=IMAGES / "results.png")


if __name__ == "__main__":
    main()
