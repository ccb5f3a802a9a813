"""How fast the engine is, in ratios of times taken in one run:

    python -m benchmarks.speed
    python -m benchmarks.speed --only growth,sharing

Writes benchmarks/reports/speed.md and speed.json. Needs nothing but the repository; the six-layer model is measured
where it is at hand (see MICROLITH_SHARED). The exit code is 1 if a target is missed. A quarter of an hour on two free
cores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from transformers.utils import logging as transformers_logging

from benchmarks.speed import against_seed, device, floor, growth, profiles, report, sharing
from benchmarks.speed.findings import Part
from benchmarks.speed.machine import machine
from worker.compute.device import use_threads

PARTS: dict[str, Callable[[Path], Part]] = {
    "seed": against_seed.run,
    "floor": floor.run,
    "sharing": sharing.run,
    "growth": growth.run,
    "device": device.run,
    "profile": profiles.run,
}


def main() -> int:
    """Measure, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", type=lambda names: names.split(","), default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--reports", type=Path, default=Path("benchmarks/reports"))
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    if unknown := sorted(set(asked.only) - PARTS.keys()):
        parser.error(f"unknown part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    use_threads(asked.threads)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    met = True
    for name in asked.only:
        with tempfile.TemporaryDirectory() as folder:
            part = PARTS[name](Path(folder))
        place = machine() | {"day": datetime.now(UTC).date().isoformat()}
        report.write(asked.reports, part, place)  # at once, so that a later part cannot lose it
        print(report.section(report.stored(part, place)), end="\n\n", flush=True)
        met &= all(figure.met for figure in part.figures)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
