"""What is said of structures that a model does not offer."""

from __future__ import annotations

from microlith.contract import ModelInfo


def structure_notes(shown: ModelInfo) -> dict[str, str]:
    """Why units cannot be removed, by what is to stand before it; or that nobody has looked for them yet."""
    if shown.structures_refused is None:
        return {"neurons, heads": "looked for when a job opens the model"} if shown.layers and not shown.family else {}
    return {f"no {units}": why for units, why in shown.structures_refused.items()}
