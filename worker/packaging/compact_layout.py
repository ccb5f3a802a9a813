"""The `compact` layout: a narrow module, and the one small file of code that opens it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from torch import nn

from worker.pruning.narrowing import Narrow

MODELLING = "modeling_compact.py"
_AUTO_CLASSES = {
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForImageClassification": "AutoModelForImageClassification",
}

_CODE = '''"""{base} with narrower layers. Opened by `{auto}.from_pretrained(FOLDER, trust_remote_code=True)`.

Needs torch and transformers alone. `compact` in config.json holds what no ordinary config can say: the size of each
linear layer that is smaller than usual, and the counts of heads that the attention parts compute with.
"""

from torch import nn
from transformers import {base}


class Compact{base}({base}):
    """The ordinary model, whose named layers take their own sizes before the weights are loaded."""

    def __init__(self, config):
        super().__init__(config)
        for name, (outputs, inputs) in config.compact["layers"].items():
            has_bias = self.get_submodule(name).bias is not None
            self.set_submodule(name, nn.Linear(inputs, outputs, bias=has_bias))
        for name, counts in config.compact["attention"].items():
            for count, value in counts.items():
                setattr(self.get_submodule(name), count, int(value))
'''


def save_compact(folder: Path, narrow: Narrow) -> None:
    """Writes weights, config and the modelling file into `folder`; the narrow model's config names the file."""
    model: Any = narrow.model
    base = type(model).__name__
    model.config.compact = {"layers": {name: list(size) for name, size in narrow.layers.items()}} | {
        "attention": narrow.settings
    }
    model.config.auto_map = {auto_class(model): f"{Path(MODELLING).stem}.Compact{base}"}
    model.save_pretrained(folder, safe_serialization=True)
    (folder / MODELLING).write_text(code_for(model), encoding="utf-8")


def code_for(model: nn.Module) -> str:
    """The modelling file of a model's class: the same text for every module of it."""
    return _CODE.format(base=type(model).__name__, auto=auto_class(model))


def code_digest(model: nn.Module) -> str:
    """The sha256 of the modelling file."""
    return hashlib.sha256(code_for(model).encode()).hexdigest()


def auto_class(model: nn.Module) -> str:
    """The class of transformers that opens models of this one's task."""
    name = type(model).__name__
    return next(auto for ending, auto in _AUTO_CLASSES.items() if name.endswith(ending))
