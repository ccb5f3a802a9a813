"""How long somebody waits who tries things out: for a module's answer, and for small jobs, one after the other.

    python -m benchmarks.tries                     # make bench-tries
    python -m benchmarks.tries --asked 50

The service runs as a user starts it. A module of the demo model is asked over HTTP, one text after another; then jobs
of two concerns follow one another, and once more where each has a fresh process.
"""

from __future__ import annotations

import argparse
import statistics
import time

from microlith import Client
from tests.serving import running_service

SPEC = {
    "model": "demo:bert-tiny-wordnet",
    "dataset": "demo:wordnet-supersense",
    "concerns": ["animal"],
    "evaluation": {"limit": 100, "latency": False, "similarity": False},
}
SMALL_JOB = SPEC | {"concerns": ["animal", "food"], "evaluation": {"limit": 400}, "reuse": False}
JOBS = 5
FIRST = 2
"""Left out: they pay for what a worker does once."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--asked", type=int, default=10, help="How many texts are asked about.")
    asked = parser.parse_args().asked
    with running_service() as service, Client(service.url) as client:
        in_a_row = _jobs(client)
        (module,) = client.modules(client.wait(client.submit(SPEC).id).id)
        waited = [_seconds(client, module.id, number) for number in range(FIRST + asked)][FIRST:]
    print(
        f"{asked} tries of a module of {SPEC['model']}: median {statistics.median(waited):.2f} s, "
        f"{min(waited):.2f} to {max(waited):.2f} s"
    )
    with running_service(MICROLITH_JOBS_PER_CHILD="1") as service, Client(service.url) as client:
        fresh = _jobs(client)
    print(
        f"{JOBS} jobs in a row, of two concerns on 400 examples: median {statistics.median(in_a_row):.1f} s, "
        f"{min(in_a_row):.1f} to {max(in_a_row):.1f} s; in a fresh process each {statistics.median(fresh):.1f} s"
    )


def _jobs(client: Client) -> list[float]:
    """Seconds of each, the first left out; each is another job, for its ratio is another."""
    waited = []
    for number in range(1 + JOBS):
        began = time.perf_counter()
        client.wait(client.submit(SMALL_JOB | {"ratio": 0.3 + 0.05 * number}).id)
        waited.append(time.perf_counter() - began)
    return waited[1:]


def _seconds(client: Client, module: str, number: int) -> float:
    """No two texts are alike, so that no answer is one that was given before."""
    began = time.perf_counter()
    client.predict(module, [f"small furry mammal number {number} that lives in a burrow"])
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
