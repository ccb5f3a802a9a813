"""What is left after a soak, looked at through the database, the store and the web service; and how it is told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import text

from tests.faults.invariants import faults
from tests.faults.site import Site

JOBS = text("SELECT id, state, attempts, error ->> 'code' FROM jobs")
CLAIMS = text("SELECT count(*) FROM events WHERE type = 'job.running'")
DOUBLED = text("SELECT count(*) FROM (SELECT FROM modules GROUP BY job_id, concern_id, ratio HAVING count(*) > 1) AS m")
NAMED = text("SELECT key FROM artifacts")


@dataclass
class Outcome:
    """The figures of one run; `broken` says in sentences what should not be, and is empty when all is well."""

    seconds: float
    states: dict[str, int]
    errors: dict[str, int]
    lost: int
    doubled: int
    claims: int
    several: int
    artifacts: int
    orphans: int
    broken: list[str] = field(default_factory=list)


def inspect(site: Site, keys: Mapping[str, str], unfinished: int, seconds: float) -> Outcome:
    """Sweep, then hold everything that is stored against what was promised.

    Lost is a job that was answered and is not there or not over; doubled a second job of one request or a second module
    of one concern and ratio.
    """
    orphans = _orphans(site)
    site.sweep(orphan_hours=0)
    with site.database.engine.connect() as connection:
        rows = connection.execute(JOBS).all()
        claims = int(connection.scalar(CLAIMS) or 0)
        doubled_modules = int(connection.scalar(DOUBLED) or 0)
        named = set(connection.scalars(NAMED))
    missing = set(keys.values()) - {row.id for row in rows}
    outcome = Outcome(
        seconds=round(seconds, 1),
        states=dict(Counter(row.state for row in rows)),
        errors=dict(Counter(row[3] for row in rows if row[3])),
        lost=len(missing) + unfinished,
        doubled=len(rows) - len(set(keys.values())) + doubled_modules,
        claims=claims,
        several=sum(row.attempts > 1 for row in rows),
        artifacts=len(named),
        orphans=orphans,
        broken=[*faults(site.database, site.objects), *_downloads(site, [row.id for row in rows])],
    )
    outcome.broken += [f"{outcome.lost} jobs are lost"] * bool(outcome.lost)
    outcome.broken += [f"{outcome.doubled} jobs or modules are doubled"] * bool(outcome.doubled)
    outcome.broken += [f"{key} is an orphan" for key in set(site.objects.list("artifacts")) - named]
    return outcome


def _orphans(site: Site) -> int:
    """Objects that attempts left behind; no caller ever sees them."""
    with site.database.engine.connect() as connection:
        named = set(connection.scalars(NAMED))
    return len(set(site.objects.list("artifacts")) - named)


def _downloads(site: Site, job_ids: list[str]) -> list[str]:
    """Fetch every artifact as a caller does: the client refuses what has not the promised digest."""
    refused = []
    with site.client() as client, TemporaryDirectory() as folder:
        for job_id in job_ids:
            for module in client.modules(job_id):
                for artifact in module.artifacts:
                    try:
                        client.download(artifact, Path(folder) / "artifact").unlink()
                    except Exception as error:  # each is told
                        refused.append(f"{artifact.id} of {job_id}: {error}")
    return refused


def write(folder: Path, setup: Mapping[str, Any], injected: Mapping[str, int], outcome: Outcome) -> str:
    """Write `soak.json` and `soak.md` into the folder; the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {name: value for name, value in setup.items() if name != "reports"}
    whole = {"setup": facts, "faults": dict(injected), "outcome": vars(outcome)}
    (folder / "soak.json").write_text(json.dumps(whole, indent=2, sort_keys=True) + "\n")
    page = _page(setup, injected, outcome)
    (folder / "soak.md").write_text(page)
    return page


def _page(setup: Mapping[str, Any], injected: Mapping[str, int], outcome: Outcome) -> str:
    kinds = ", ".join(f"{count} × {name.replace('_', ' ')}" for name, count in sorted(injected.items()))
    rows = {
        "jobs submitted": setup["jobs"],
        "faults injected": sum(injected.values()),
        "lost": outcome.lost,
        "doubled": outcome.doubled,
        "artifacts downloaded, digest right": outcome.artifacts,
        "ended": _counted(outcome.states),
        "errors": _counted(outcome.errors) or "none",
        "attempts": f"{outcome.claims}; {outcome.several} jobs needed more than one",
        "orphaned objects, all swept": outcome.orphans,
        "broken rules": len(outcome.broken),
        "seconds": outcome.seconds,
        "workers": f"{setup['light']} without an engine, {setup['real']} with it",
        "command": f"`{setup['command']}`, seed {setup['seed']}",
    }
    lines = ["| soak | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    broken = [f"- {sentence}" for sentence in outcome.broken]
    return "\n".join([*lines, "", f"Faults: {kinds}.", "", *broken]).rstrip() + "\n"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
