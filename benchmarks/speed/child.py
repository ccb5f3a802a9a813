"""One run in a process of its own, for what only a fresh process can tell: its memory at the peak.

python -m benchmarks.speed.child '{"model": …, "dataset": …}' THREADS
"""

from __future__ import annotations

import json
import subprocess
import sys

import torch

from benchmarks.speed.ours import measured, peak_mb, sources_of
from microlith.contract import JobSpec
from worker.compute.device import use_threads


def peak_of(spec: JobSpec) -> float:
    """MB that a fresh process holds at most while it makes and measures all modules of a spec."""
    asked = [sys.executable, "-m", "benchmarks.speed.child", spec.model_dump_json(), str(torch.get_num_threads())]
    answer = subprocess.run(asked, check=True, capture_output=True, text=True)
    return float(json.loads(answer.stdout)["peak_mb"])


def main() -> None:
    """Run what is asked and tell its peak."""
    spec, threads = JobSpec.model_validate_json(sys.argv[1]), int(sys.argv[2])
    use_threads(threads)
    measured(spec, sources_of(spec))
    print(json.dumps({"peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
