"""Files to download, each with its digest, and the lines that open a file of its layout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.domain.layouts import number_type_of
from app.sources.images import task_of
from microlith.contract import Artifact, Job, Module

AUTO = {"text": "AutoModelForSequenceClassification", "image": "AutoModelForImageClassification"}
RUNNER = "run.py"
"""What a recomposed classifier brings along."""


@dataclass(frozen=True)
class File:
    """An artifact and what it is of."""

    of: str
    artifact: Artifact
    ratio: float | None = None

    @property
    def form(self) -> str:
        """The layout, or `runner` where the archive runs itself."""
        return "runner" if any(file.path == RUNNER for file in self.artifact.files) else self.artifact.layout


@dataclass(frozen=True)
class OpeningLines:
    """How the unpacked folder of a layout is opened: lines to copy."""

    layout: str
    language: str
    lines: str


def files_of(modules: Iterable[Module], job: Job) -> list[File]:
    """Those of the modules, then those of the job itself."""
    parts = [(module, artifact) for module in modules for artifact in module.artifacts]
    own = [File("combination", artifact) for artifact in job.artifacts]
    return [File(module.concern.label, artifact, module.ratio.requested) for module, artifact in parts] + own


def openings(files: Sequence[File], job: Job) -> list[OpeningLines]:
    """One for each form there is."""
    model = job.resolved.model
    auto = AUTO[task_of(model.architecture if model else None)]
    stored = number_type_of(job.spec.export, model.dtype if model else None)
    halved = "" if stored == "float32" else ', dtype="float32"'
    return [_opening(form, auto, halved) for form in dict.fromkeys(file.form for file in files)]


def _opening(form: str, auto: str, halved: str) -> OpeningLines:
    load = f"from transformers import {auto}\n\nmodel = {auto}.from_pretrained"
    session = 'import onnxruntime\n\nsession = onnxruntime.InferenceSession("module/model.onnx")'
    known = {
        "portable": ("Python", f'{load}("module"{halved})'),
        "compact": ("Python", f'{load}("module"{halved}, trust_remote_code=True)'),
        "mask": ("shell", "microlith modules apply module --base path/to/base --out opened"),
        "onnx": ("Python", session),
        "runner": ("shell", f"cd module && python {RUNNER}"),
    }
    return OpeningLines(form, *known[form])
