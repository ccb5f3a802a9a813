"""Folders of models, as a module's is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from worker.packaging.folder import complete, prepare_inputs
from worker.sources.models import LoadedModel


def portable_folder(
    folder: Path, model: Any, loaded: LoadedModel, card: str = "# A card", history: dict[str, Any] | None = None
) -> list[str]:
    """The model in a new folder, with what prepares its inputs and what is said of it; the names of its files."""
    folder.mkdir(parents=True)
    model.save_pretrained(folder, safe_serialization=True)
    prepare_inputs(folder, loaded)
    return complete(folder, card, history or {}, [loaded.licence])
