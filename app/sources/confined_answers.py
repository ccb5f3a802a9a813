"""What a confined process answers when `aside` asks what data files tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.sources.datasets import describe_files
from app.sources.references import Reference
from microlith.contract import DatasetSpec, ModelInfo


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """The DatasetInfo of the files. Raises what `datasets.describe_dataset` raises."""
    source, named = DatasetSpec.model_validate(question["source"]), question["reference"]
    ref = Reference(named["kind"], named["name"], place=Path(named["place"]), called=named["called"])
    model = question["model"] and ModelInfo.model_validate(question["model"])
    return describe_files(source, ref, question["roles"], model).model_dump(mode="json")
