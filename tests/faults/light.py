"""A decomposition that takes milliseconds: it computes nothing, but goes through every phase and publishes modules.

Claims, leases, heartbeats, events, the object store and Celery are the product's own; only the engine is left out, so
that no torch is imported. A job's labels say how it goes: `pace` is how many seconds each phase lasts, `linger` names a
phase that ends only with the job, `bytes` is how large each module is.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from math import inf
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

from app.settings import Settings
from microlith.contract import BaseResult, Concern, JobSpec, Phase

if TYPE_CHECKING:
    from worker.attempt.attempt import Attempt

LABELS = ("act", "animal", "artifact")
STEP_SECONDS = 0.01
ONCE: tuple[Phase, ...] = ("resolving", "sampling", "scoring", "pruning", "evaluating")
EACH: tuple[Phase, ...] = ("evaluating", "exporting", "verifying")


def install() -> None:
    """Put the light engine in the real one's place; before anything of it is imported."""
    for name, content in {
        "worker.kinds.decompose": {"decompose": decompose},
        "worker.kinds.predict": {"rehearse": lambda: None},
        "worker.compute.device": {"prepare": lambda settings: None},
        "worker.sources.models": {"LoadedModel": SimpleNamespace},
    }.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        sys.modules[name] = module


def decompose(spec: JobSpec, attempt: Attempt, settings: Settings) -> None:
    """One module of a few bytes for each concern and ratio that has none yet."""
    from tests.work import base_result

    done = attempt.publisher.find_published()
    wanted = [(LABELS.index(str(name)), ratio) for ratio in spec.ratios for name in spec.concerns]
    left = [one for one in wanted if one not in done]
    attempt.progress.expect(1 + len(left))
    for phase in ONCE:
        _pass(spec, attempt, phase)
    attempt.publisher.publish_base(BaseResult.model_validate(base_result()))
    for concern, ratio in left:
        for phase in EACH:
            _pass(spec, attempt, phase)
        _publish(spec, attempt, concern, ratio)


def _pass(spec: JobSpec, attempt: Attempt, phase: Phase) -> None:
    seconds = float(spec.labels.get("pace", "0")) if spec.labels.get("linger") != phase else inf
    until = time.monotonic() + seconds
    with attempt.progress.phase(phase):
        attempt.check()
        while time.monotonic() < until:
            time.sleep(STEP_SECONDS)
            attempt.check()


def _publish(spec: JobSpec, attempt: Attempt, concern: int, ratio: float) -> None:
    from tests.work import module_facts, report
    from worker.packaging.archive import archive

    with tempfile.TemporaryDirectory(prefix="microlith-") as name:
        folder = Path(name, "module")
        folder.mkdir()
        about = {"job": attempt.lease.job_id, "concern": concern, "ratio": ratio}
        (folder / "config.json").write_text(json.dumps(about))
        (folder / "model.safetensors").write_bytes(b"\0" * int(spec.labels.get("bytes", "64")))
        (folder / "SHA256SUMS").write_text("".join(_sum(file) for file in sorted(folder.iterdir())))
        package = archive(folder, Path(name, f"{LABELS[concern]}-{ratio:g}.zip"))
        facts = module_facts(concern, ratio, report(0.9, 0.8, 0.7))
        attempt.publisher.publish_module(Concern(id=concern, label=LABELS[concern]), ratio, facts, [package])


def _sum(file: Path) -> str:
    return f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
