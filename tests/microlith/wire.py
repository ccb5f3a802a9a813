"""Answers of a server, as small as the contract allows."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import Any

T = "2026-11-01T12:00:00Z"
SCORE = {"precision": 0.75, "recall": 0.6, "f1": 2 / 3, "support": 20, "f1_interval": [0.4, 0.8]}
SPEC: dict[str, Any] = {"model": "demo:m", "dataset": "demo:d"}


def job(state: str = "queued", **members: Any) -> dict[str, Any]:
    base = "/v1/jobs/job_1"
    urls = dict.fromkeys(("self", "events", "modules", "results", "cancel"), base)
    counts = {"total": 2, "succeeded": 2 if state == "succeeded" else 0}
    facts = {"id": "job_1", "state": state, "concerns": counts, "spec": SPEC, "resolved": {}, "urls": urls}
    return facts | {"created_at": T, "queued_at": T} | members


def event(seq: int, kind: str) -> dict[str, Any]:
    return {"id": f"evt_{seq}", "job_id": "job_1", "seq": seq, "type": kind, "data": {}, "created_at": T}


def stream(*events: dict[str, Any]) -> bytes:
    return b"".join(f"id: {e['seq']}\nevent: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


def artifact(content: bytes, files: dict[str, bytes] | None = None) -> dict[str, Any]:
    inside = [{"path": path, "size_bytes": len(data), "sha256": digest(data)} for path, data in (files or {}).items()]
    facts = {"id": "art_1", "layout": "portable", "media_type": "application/zip", "files": inside, "created_at": T}
    return facts | {"size_bytes": len(content), "sha256": digest(content), "urls": {"self": "/", "content": "/"}}


def module(label: str = "animal", number: int = 1, artifacts: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    row = SCORE | {"id": number, "label": label}
    macro = {"precision": 0.7, "recall": 0.7, "f1": 0.7}
    return {
        "id": f"mod_{number}",
        "job_id": "job_1",
        "concern": {"id": number, "label": label},
        "method": "ci",
        "structure": "weights",
        "ratio": {"requested": 0.5, "achieved": 0.4998},
        "sparsity": {"overall": 0.3171, "layers": {}},
        "size": {"parameters": 100, "nonzero": 60, "base_parameters": 100},
        "own": SCORE,
        "base_own": SCORE | {"f1": 0.5},
        "others_own": {"f1": None},
        "report": {"classes": [row], "macro": macro, "accuracy": 0.7, "loss": 0.5, "exp_loss": 1.6},
        "artifacts": list(artifacts),
    }


def results(*modules: dict[str, Any]) -> dict[str, Any]:
    comparison = {"ratio": 0.5, "concerns": len(modules), "own_f1": 2 / 3, "base_own_f1": 0.5, "change": 1 / 6}
    facts = {"job_id": "job_1", "state": "succeeded", "resolved": {}, "base": None}
    return facts | {"modules": list(modules), "comparison": [comparison]}


def archive(files: dict[str, bytes], sums: bool = True) -> bytes:
    """A zip of the files, with their SHA256SUMS."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for name, data in files.items():
            opened.writestr(name, data)
        if sums:
            opened.writestr("SHA256SUMS", "".join(f"{digest(data)}  {name}\n" for name, data in files.items()))
    return packed.getvalue()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def model() -> dict[str, Any]:
    layer = {"name": "bert.x", "shape": [4, 8], "feed_forward": True}
    facts = {"id": "demo:m", "revision": None, "sha256": None, "architecture": "Bert", "family": "bert"}
    sizes = {"labels": ["act", "animal"], "max_length": 128, "parameters": 2_147_084, "size_bytes": 8_600_000}
    return facts | sizes | {"layers": [layer], "structures": ["weights"]}


def dataset() -> dict[str, Any]:
    facts = {"id": "demo:d", "revision": None, "columns": {"text": "string", "label": "string"}, "size_bytes": 10}
    splits = {"train": {"rows": 5, "labels": {"act": 2, "animal": 3}}}
    return facts | {"text_column": "text", "label_column": "label", "splits": splits}


def prediction(*texts: str) -> dict[str, Any]:
    """The base says animal, the module plant."""
    base, module = {"label": "animal", "probabilities": [0.9, 0.1]}, {"label": "plant", "probabilities": [0.2, 0.8]}
    labels = ["animal", "plant"]
    asked = [{"text": text, "base": base, "module": module} for text in texts]
    return {"labels": labels, "module_labels": labels, "inputs": asked}


def methods() -> dict[str, Any]:
    schema = {"properties": {"name": {"const": "ci"}, "form": {"enum": ["sine", "alpha"], "description": "How."}}}
    method = {"name": "ci", "title": "CI", "description": "It scores.", "source": "S", "structures": ["weights"]}
    option = {"name": "ratio", "description": "How much.", "schema": {}, "default": 0.5}
    structures = [{"name": "weights", "description": "Single weights."}]
    return {"methods": [method | {"schema": schema, "defaults": {}}], "structures": structures, "options": [option]}
