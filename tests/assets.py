"""The real models and data that lie beside the repository; tests that need them are skipped where they do not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("MICROLITH_SHARED", Path(__file__).parents[2] / "shared")) / "assets"
MODEL, DATA = FOLDER / "vit-tiny-digits", FOLDER / "digits"
JOB = {"model": f"path:{MODEL}", "dataset": f"path:{DATA}"}
"""The digits, and the model that reads them."""

present = pytest.mark.skipif(not MODEL.is_dir(), reason="the parity/assets folder is not beside the repository")
