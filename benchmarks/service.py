"""The web service under many callers, and its lists among a million jobs: real servers, loopback alone.

    python -m benchmarks.service --seconds 30

PostgreSQL, Valkey, the web service and a worker run as processes of their own. The worker computes nothing (it is the
faults' light one), but claims, writes, stores and publishes as the real one does. First 200 callers follow jobs by
event stream while 50 submit, one about every 10 s each; then up to 500 requests come in one moment, beside slow
clients, while a bystander asks for little; then the tables are filled with a million jobs, and pages of them are read
over HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import text

from app.api.pagination import Cursor
from app.db.migrations import migrate
from app.db.unit import Database
from app.embedded.port import free_port
from app.embedded.services import EmbeddedServices
from app.embedded.supervised import Supervised
from app.settings import Settings
from benchmarks.service_bursts import Burst, bursts, stocked, table
from benchmarks.service_load import SPEC, Connection, Load
from tests.many_jobs import BEGAN, QUEUED, fill, job_id
from tests.servers import scratch_folder

API = "from app.cli import app; app()"
LIGHT_WORKER = "from tests.faults.light import install; install(); from worker.__main__ import main; main()"
PATIENCE = 30.0
REPEATS = 15
LIMITS = {
    "GET p99, ms": 100.0,
    "POST p99, ms": 250.0,
    "errors": 0.0,
    "API memory, MB": 150.0,
    "bystander p99, ms": 250.0,
    "slowest answer of a burst, s": 2.0,
    "failed answers of bursts": 0.0,
    "slowest page, ms": 20.0,
}


@dataclass
class House:
    """The running service."""

    port: int
    api: Supervised
    database: Database

    def memory(self, name: str) -> float:
        """MB of the API process, `VmRSS` now or `VmHWM` at most."""
        lines = Path(f"/proc/{self.api.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

    async def ready(self) -> None:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                async with Connection.open(self.port) as connection:
                    await connection.ask("GET", "/readyz")
                    return
            except OSError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.1)


@contextmanager
def house() -> Iterator[House]:
    """Everything on ports and in a folder of its own, gone afterwards."""
    with scratch_folder() as folder, EmbeddedServices(folder) as services:
        port = free_port()
        settings = Settings(
            database_url=services.database_url,
            broker_url=services.broker_url,
            object_store_url=(folder / "objects").as_uri(),
            data_dir=folder,
            port=port,
            threads=1,
        )
        (folder / "objects").mkdir()
        database = Database(services.database_url, pool_size=1)
        migrate(database.engine)
        environment = os.environ | settings.environment() | {"PYTHONPATH": str(Path.cwd())}
        api = services.start_worker([sys.executable, "-c", API, "serve"], environment, name="api")
        services.start_worker([sys.executable, "-c", LIGHT_WORKER], environment)
        try:
            yield House(port, api, database)
        finally:
            database.close()


async def followed(running: House, asked: argparse.Namespace) -> dict[str, Any]:
    """The figures of many callers at once."""
    await running.ready()
    async with Connection.open(running.port) as connection:
        await connection.ask("POST", "/v1/jobs?validate_only=true", SPEC)  # the data is looked at once, for all
    load = Load(running.port, asked.seconds, asked.followers, asked.submitters, asked.pause)
    await load.run()
    return {
        "seconds": asked.seconds,
        **{f"{method} {name}": value for method in ("GET", "POST") for name, value in percentiles(load.times[method])},
        "errors": sum(load.errors.values()),
        "what": dict(load.errors),
        "events": load.counts["events"],
        "jobs followed to the end": load.counts["followed to the end"],
        "API memory, MB": round(running.memory("VmHWM"), 1),
    }


def percentiles(times: Sequence[float]) -> Iterator[tuple[str, float]]:
    cuts = statistics.quantiles(times, n=100)
    yield "requests", len(times)
    for name, value in (("p50", cuts[49]), ("p99", cuts[98]), ("max", max(times))):
        yield f"{name}, ms", round(1000 * value, 1)


async def burst(running: House) -> list[Burst]:
    """Many requests in one moment."""
    return await bursts(running.port, await stocked(running.port, running.database))


async def listed(running: House, asked: argparse.Namespace) -> dict[str, float]:
    """Milliseconds of a page of 20, the median of some, by what it is narrowed to and where it begins."""
    with running.database.engine.begin() as connection:
        connection.execute(text("TRUNCATE jobs CASCADE"))
        fill(connection, asked.jobs)
    with running.database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE"))
    deep = Cursor(1, None).page([_Item(asked.jobs // 2)] * 2).next_cursor or ""
    found = {}
    async with Connection.open(running.port) as connection:
        for name, query in filters(asked.jobs).items():
            for place, cursor in (("first", {}), ("deep", {"cursor": deep})):
                found[f"{name}, {place}"] = await page_time(connection, query | cursor)
    return found


@dataclass(frozen=True)
class _Item:
    number: int

    @property
    def id(self) -> str:
        return job_id(self.number)


def filters(jobs: int) -> dict[str, dict[str, str]]:
    """Frequent and rare values (one job in a thousand), and none at all, of everything a list can be narrowed by."""
    end, early = BEGAN + timedelta(seconds=jobs), BEGAN + timedelta(seconds=jobs // 100)
    return {
        "all": {},
        "queued": {"state": "queued"},
        "state, frequent": {"state": "succeeded"},
        "state, rare": {"state": "failed"},
        "model, frequent": {"model": "demo:common"},
        "model, rare": {"model": "demo:rare"},
        "dataset, rare": {"dataset": "demo:rare"},
        "method, rare": {"method": "random"},
        "method, none": {"method": "wanda"},
        "label, frequent": {"label.team": "common"},
        "label, rare": {"label.team": "rare"},
        "label, none": {"label.team": "none"},
        "created in the last hour": {"created_after": (end - timedelta(hours=1)).isoformat()},
        "created early": {"created_before": early.isoformat()},
        "created never": {"created_after": (end + timedelta(days=365)).isoformat()},
        "kind, rare": {"kind": "export"},
        "tries": {"kind": "predict"},
        "state and model": {"state": "failed", "model": "demo:common"},
    }


async def page_time(connection: Connection, query: dict[str, str]) -> float:
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        await connection.ask("GET", f"/v1/jobs?{urlencode(query)}")
        times.append(time.perf_counter() - began)
    return round(1000 * statistics.median(times), 1)


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return f"{model}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"


def write(folder: Path, report: dict[str, Any]) -> str:
    """Both reports; the Markdown is returned."""
    load, pages = report["load"], report["pages"]
    lines = [
        "# The web service under load",
        "",
        f"`{report['command']}` on {report['machine']}. {report['callers']}",
        "",
    ]
    lines += ["| | measured | wanted at most |", "|---|--:|--:|"]
    lines += [f"| {name} | {report['measured'][name]:g} | {limit:g} |" for name, limit in LIMITS.items()]
    lines += ["", "| load | |", "|---|--:|"]
    lines += [f"| {name} | {value:g} |" for name, value in load.items() if isinstance(value, int | float)]
    lines += ["", *table(report["bursts"])]
    many = f"{report['jobs']:,} jobs ({QUEUED:,} queued)"
    lines += ["", f"A page of 20 among {many}, over HTTP, median of {REPEATS}:", ""]
    lines += ["| narrowed to | first page, ms | from the middle, ms |", "|---|--:|--:|"]
    names = [name.removesuffix(", first") for name in pages if name.endswith(", first")]
    lines += [f"| {name} | {pages[f'{name}, first']:g} | {pages[f'{name}, deep']:g} |" for name in names]
    told = "\n".join(lines) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "service.md").write_text(told, encoding="utf-8")
    (folder / "service.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return told


def main() -> int:
    """Measure, write, and say by the exit code whether everything is as it is wanted."""
    asked = arguments()
    with house() as running:
        load = asyncio.run(followed(running, asked))
        found = asyncio.run(burst(running))
        pages = asyncio.run(listed(running, asked))
    measured = {
        **load,
        "bystander p99, ms": round(max(one.bystander_p99 for one in found), 1),
        "slowest answer of a burst, s": round(max(one.slowest for one in found), 2),
        "failed answers of bursts": sum(one.failed for one in found),
        "slowest page, ms": max(pages.values()),
    }
    report = {
        "command": f"make bench-service SERVICE='{' '.join(sys.argv[1:])}'" if sys.argv[1:] else "make bench-service",
        "machine": machine(),
        "callers": f"{asked.submitters} callers submit a job about every {asked.pause:g} s each, and read it and a "
        f"list of theirs; {asked.followers} follow these jobs by event stream, to the end and then the next. All run "
        "on the same cores, beside a worker that computes nothing: it goes through a job as fast as it can.",
        "jobs": asked.jobs,
        "measured": {name: measured[name] for name in LIMITS},
        "load": load,
        "bursts": [one.told() for one in found],
        "pages": pages,
    }
    print(write(asked.reports, report))
    return int(any(measured[name] > limit for name, limit in LIMITS.items()))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--followers", type=int, default=200)
    parser.add_argument("--submitters", type=int, default=50)
    parser.add_argument("--pause", type=float, default=10.0, help="seconds of each submitter between two jobs")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="in the tables when pages are read")
    parser.add_argument("--reports", type=Path, default=Path("benchmarks/reports"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
