"""How long somebody who tries a module waits: from the request to the answers of module and base.

    python -m benchmarks.tries                     # make bench-tries
    python -m benchmarks.tries --asked 50

The service runs as a user starts it, and a module of the demo model is asked over HTTP, one text after another.
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
FIRST = 2
"""Left out: they pay for what a worker does once."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--asked", type=int, default=10, help="How many texts are asked about.")
    asked = parser.parse_args().asked
    with running_service() as service, Client(service.url) as client:
        (module,) = client.modules(client.wait(client.submit(SPEC).id).id)
        waited = [_seconds(client, module.id, number) for number in range(FIRST + asked)][FIRST:]
    print(
        f"{asked} tries of a module of {SPEC['model']}: median {statistics.median(waited):.2f} s, "
        f"{min(waited):.2f} to {max(waited):.2f} s"
    )


def _seconds(client: Client, module: str, number: int) -> float:
    """No two texts are alike, so that no answer is one that was given before."""
    began = time.perf_counter()
    client.predict(module, [f"small furry mammal number {number} that lives in a burrow"])
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
