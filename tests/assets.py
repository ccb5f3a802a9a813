"""The real models and data that lie beside the repository; tests that need them are skipped where they do not."""

from __future__ import annotations

from tests import shared

FOLDER = shared.FOLDER / "assets"
MODEL, DATA = FOLDER / "vit-tiny-digits", FOLDER / "digits"
JOB = {"model": f"path:{MODEL}", "dataset": f"path:{DATA}"}
"""The digits, and the model that reads them."""

present = shared.needs("assets")
