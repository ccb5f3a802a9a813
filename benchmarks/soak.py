"""Many jobs through real processes while faults are injected; then every promise is checked:

    python -m benchmarks.soak --jobs 300 --faults 60 --seed 1

PostgreSQL, Valkey, an S3 store, the web service and workers run as processes of their own. A caller submits jobs, each
under an idempotency key, and repeats what was not answered. Meanwhile faults of every kind come at random moments.
Dead workers are replaced, as a supervisor does. When every job is over, nothing may be lost, doubled or damaged. The
exit code is 1 if something is; the report is written in any case.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import text

from benchmarks.soak_faults import FAULTS, Fault
from benchmarks.soak_report import Outcome, inspect, write
from microlith.errors import ConflictProblem, ServerProblem, Unreachable
from tests.faults.servers_site import servers_site
from tests.faults.site import Site
from tests.faults.specs import LIGHT

SECONDS_PER_FAULT = 2.0
"""About; jobs are submitted for as long as faults come."""

POLL_SECONDS = 0.2
BUSY_SECONDS = 5.0
RUNNING = text("SELECT count(*) FROM jobs WHERE state = 'running'")
UNFINISHED = text("SELECT count(*) FROM jobs WHERE finished_at IS NULL")


@dataclass
class Soak:
    """One run: how much of what, and what has come of it so far."""

    jobs: int
    faults: int
    light: int
    real: int
    seed: int
    patience: float
    keys: dict[str, str] = field(default_factory=dict)
    injected: Counter[str] = field(default_factory=Counter)

    def run(self, site: Site) -> Outcome:
        """Submit and break, wait for the end, look."""
        began = time.monotonic()
        self.staff(site)
        caller = threading.Thread(target=self.submit, args=(site,), name="caller")
        caller.start()
        self.break_things(site)
        caller.join()
        unfinished = self.wait(site)
        for worker in site.workers:
            worker.kill()  # nothing moves any more while we look
        return inspect(site, self.keys, unfinished, time.monotonic() - began)

    def staff(self, site: Site) -> None:
        """Replace the workers that are gone."""
        site.workers[:] = [worker for worker in site.workers if worker.alive]
        logs = [worker.log.name for worker in site.workers]
        for kind, wanted in (("light", self.light), ("real", self.real)):
            for _ in range(wanted - sum(kind in log for log in logs)):
                site.light() if kind == "light" else site.real()

    def submit(self, site: Site) -> None:
        """Every job, under a key of its own, at moments that the seed decides."""
        dice = Random(f"caller {self.seed}")
        longest = 2 * SECONDS_PER_FAULT * self.faults / self.jobs
        with site.client() as client:
            for number in range(self.jobs):
                key, spec = f"soak-{self.seed}-{number}", self.spec(dice)
                while key not in self.keys:
                    with suppress(
                        Unreachable, ConflictProblem, ServerProblem
                    ):  # asked again until it is answered, under the same key
                        self.keys[key] = client.submit(spec, idempotency_key=key).id
                time.sleep(dice.uniform(0, longest))

    def spec(self, dice: Random) -> dict[str, Any]:
        """One to three concerns at one or two ratios, quick or slow, urgent or not."""
        concerns = dice.sample(["act", "animal", "artifact"], dice.randint(1, 3))
        chosen = {"concerns": concerns, "ratio": dice.choice([0.5, [0.3, 0.6]])}
        labels = {"pace": dice.choice(["0.02", "0.05", "0.1", "0.2"])}
        small = {"evaluation": {"limit": 50, "similarity": False}, "priority": dice.choice(["low", "normal", "high"])}
        return LIGHT | chosen | small | {"labels": labels}

    def break_things(self, site: Site) -> None:
        """Every kind of fault equally often, in an order and at moments that the seed decides."""
        dice = Random(f"faults {self.seed}")
        for fault in self.order(dice):
            self.staff(site)
            self.wait_for_work(site)
            fault(site, dice)
            self.injected[fault.__name__] += 1
            time.sleep(dice.uniform(0, 2))

    def wait_for_work(self, site: Site) -> None:
        """A fault that meets idle workers shows little: wait a while until all of them run a job."""
        until = time.monotonic() + BUSY_SECONDS
        with site.database.engine.connect() as connection:
            while time.monotonic() < until:
                if int(connection.scalar(RUNNING) or 0) >= self.light + self.real:
                    return
                connection.rollback()
                time.sleep(POLL_SECONDS)

    def order(self, dice: Random) -> list[Fault]:
        kinds = [FAULTS[number % len(FAULTS)] for number in range(self.faults)]
        dice.shuffle(kinds)
        return kinds

    def wait(self, site: Site) -> int:
        """How many jobs are left when none has ended for as long as patience lasts."""
        left, until = self.jobs + 1, 0.0
        while left:
            self.staff(site)
            with site.database.engine.connect() as connection:
                before, left = left, int(connection.scalar(UNFINISHED) or 0)
            if left != before:
                until = time.monotonic() + self.patience
            elif time.monotonic() > until:
                break
            time.sleep(POLL_SECONDS)
        return left


def main() -> int:
    """Read the command line, run, write the report."""
    asked = arguments()
    soak = Soak(asked.jobs, asked.faults, asked.light, asked.real, asked.seed, asked.patience)
    with servers_site() as site:
        outcome = soak.run(site)
        if unanswered := asked.jobs - len(soak.keys):
            outcome.broken.append(f"{unanswered} requests were never answered")
        if outcome.broken:
            print(site.logs(), file=sys.stderr)
    command = f"make soak SOAK='{' '.join(sys.argv[1:])}'" if sys.argv[1:] else "make soak"
    print(write(asked.reports, vars(asked) | {"command": command}, soak.injected, outcome))
    return 1 if outcome.broken else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--faults", type=int, default=60)
    parser.add_argument(
        "--light", type=int, default=2, help="workers that compute nothing, for many jobs in short time"
    )
    parser.add_argument("--real", type=int, default=1, help="workers with the whole engine")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=120, help="seconds to wait for the next job to end")
    parser.add_argument("--reports", type=Path, default=Path("benchmarks/reports"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
