"""A study as one safetensors file: what another attempt goes on from."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from worker.distilling.training import Study

_KINDS = ("values", "momenta", "best")
_FACTS = ("epochs", "steps", "seconds", "scores", "over")

MEDIA_TYPE = "application/octet-stream"


def save(study: Study, file: Path) -> None:
    """Writes the study; of one that is over, only what it came to."""
    kinds = ("best",) if study.over else _KINDS
    tensors = {f"{kind}/{name}": tensor for kind in kinds for name, tensor in getattr(study, kind).items()}
    facts = {name: getattr(study, name) for name in _FACTS}
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, file, {"study": json.dumps(facts)})


def load(file: Path) -> Study:
    """The study that was saved."""
    with safe_open(file, "pt") as stored:
        facts = json.loads(stored.metadata()["study"])
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118, it is no mapping

    def of(kind: str) -> dict[str, Tensor]:
        return {name.partition("/")[2]: tensor for name, tensor in tensors.items() if name.startswith(f"{kind}/")}

    return Study(**facts, values=of("values"), momenta=of("momenta"), best=of("best"))
