"""Cuts the small parity set of the repository out of the whole one: `python -m tests.parity.cut`.

It leaves out the model, so it holds what our functions can be compared on piece by piece: texts and tokens of the
training split, what is sampled of them, coefficients of features, masks of some rows of one layer, plain matrices, and
the report of stored logits. Names of files and arrays are those of the whole set; `weights.npz` is added.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from tests.shared import FOLDER

WHOLE = FOLDER / "parity"
SMALL = Path(__file__).parent / "data"

LAYER = "bert.encoder.layer.0.output.dense"
ROWS = 32
"""Of the layer's 128 output rows, each of which is compared by itself."""
SUBJECT = "module_c3_r0.5"
TOKENIZER = ("config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt")

Arrays = dict[str, np.ndarray]


def arrays() -> dict[str, Arrays]:
    """The array files of the small set, by name."""
    return {
        "dataset": _taken("dataset", lambda key: key.startswith("train_") or key == "test_labels"),
        "calibration": _taken("calibration", lambda _: True),
        "similarity_matrices": _taken("similarity_matrices", lambda _: True),
        "logits": _taken("logits", lambda key: key.startswith(SUBJECT)),
        "ci_sine": _first_rows(_taken("ci_sine", lambda key: f"/{LAYER}/" in key and "structed" not in key)),
        "ci_unstructed": _first_rows(_taken("ci_unstructed", lambda key: f"/{LAYER}." in key)),
        "wanda_magnitude_normdist": _first_rows(
            _taken("wanda_magnitude_normdist", lambda key: f"/ffn/{LAYER}." in key and "magnitude" not in key)
        ),
        "weights": {LAYER: load_file(WHOLE / "model/model.safetensors")[f"{LAYER}.weight"][:ROWS]},
    }


def numbers() -> dict[str, Any]:
    """The JSON files of the small set, by name."""
    whole = {
        name: json.loads((WHOLE / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("texts", "sampling", "heads", "evaluate", "similarity_random_matrices")
    }
    rules = ("importance", "pruned")
    return whole | {
        "texts": {"train": whole["texts"]["train"]},
        "heads": {key: value for key, value in whole["heads"].items() if key.startswith(rules)},
        "evaluate": {SUBJECT: whole["evaluate"][SUBJECT]},
    }


def _taken(name: str, wanted: Callable[[str], bool]) -> Arrays:
    with np.load(WHOLE / f"{name}.npz", allow_pickle=False) as stored:
        return {key: stored[key] for key in stored if wanted(key)}


def _first_rows(layer: Arrays) -> Arrays:
    """The masks of the first rows alone; what belongs to input features is whole."""
    return {key: value[:ROWS] if value.ndim == 2 else value for key, value in layer.items()}


def main() -> None:
    """Write the set anew."""
    shutil.rmtree(SMALL, ignore_errors=True)
    (SMALL / "model").mkdir(parents=True)
    for name, held in arrays().items():
        np.savez_compressed(SMALL / f"{name}.npz", **held)
    for name, document in numbers().items():
        (SMALL / f"{name}.json").write_text(json.dumps(document, indent=0) + "\n", encoding="utf-8")
    for name in TOKENIZER:
        shutil.copyfile(WHOLE / "model" / name, SMALL / "model" / name)


if __name__ == "__main__":
    main()
