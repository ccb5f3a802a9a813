"""What the tests ask for, how much of it, and the settings under which they need not wait."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from app.settings import Settings

FULL = os.environ.get("MICROLITH_FAULTS") == "full"
"""Whether this is `make test-faults`; the whole suite runs the same tests with smaller numbers."""

Kind = Literal["light", "real"]
"""A worker that computes nothing, see `light.py`, or one with the whole engine."""

DEMO = {"model": "demo:bert-tiny-wordnet", "dataset": "demo:wordnet-supersense", "reuse": False}
LIGHT = DEMO | {"concerns": ["act", "animal"]}
REAL = DEMO | {"concerns": ["animal", "food"], "evaluation": {"limit": 50, "similarity": False}}

HASTE = {
    "MICROLITH_LEASE_SECONDS": "3",
    "MICROLITH_HEARTBEAT_SECONDS": "0.5",
    "MICROLITH_CANCEL_GRACE_SECONDS": "2",
    "MICROLITH_REAPER_SECONDS": "0.5",
    "MICROLITH_UNHEARD_SECONDS": "2",
    "MICROLITH_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""What a minute is in production, a test has seconds for."""


def base_environment(folder: Path) -> dict[str, str]:
    """Nothing of the tester's own settings; what killed processes leave lies below `folder`."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MICROLITH_")}
    scratch = folder / "tmp"
    scratch.mkdir(exist_ok=True)
    return own | HASTE | {"PYTHONPATH": str(Path.cwd()), "TMPDIR": str(scratch)}


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings that a process with this environment reads."""
    names = Settings.model_fields
    given = {name: environment.get(f"MICROLITH_{name.upper()}") for name in names}
    return Settings(**{name: value for name, value in given.items() if value is not None})
