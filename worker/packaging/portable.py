"""The `portable` layout: a folder that plain `from_pretrained` opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from worker.packaging.folder import complete, prepare_inputs
from worker.sources.models import LoadedModel


def write_portable(
    folder: Path, model: Any, loaded: LoadedModel, card: str, decomposition: dict[str, Any]
) -> list[str]:
    """Writes the module, what prepares its inputs and what is said of it into the empty `folder`.

    Returns the names of its files, sorted.
    """
    model.save_pretrained(folder, safe_serialization=True)
    prepare_inputs(folder, loaded)
    return complete(folder, card, decomposition, [loaded.licence])
