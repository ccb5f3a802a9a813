"""A model's `config.json` and `tokenizer_config.json`: what can be decomposed, and its longest input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.domain.errors import UnsafeModel, UnsupportedModel
from app.domain.families import LAST_TOKEN, OFFSET_POSITIONS
from app.sources.images import task_of
from app.sources.intended import refuse_adapters, refuse_pointers
from app.sources.json_file import is_count, read_object
from app.sources.short_texts import quote

MAX_CONFIG_BYTES = 8 * 1024 * 1024
MAX_POSITIONS = 10_000_000
"""Tokens: a longest input beyond it is nobody's, and means that none is known."""

VOCABULARIES = (
    *("tokenizer.json", "vocab.txt", "vocab.json"),
    *("spiece.model", "spm.model", "sentencepiece.bpe.model", "tokenizer.model"),
)
# Their layers are Conv1D, whose weight is [in, out]: no linear layers to prune.
_CONV1D = frozenset({"gpt2", "openai-gpt"})
MULTI_LABEL = "multi_label_classification"
"""The problem type of a classifier whose inputs may have several labels, or none."""

_TASK = "ForSequenceClassification"
_IMAGES = frozenset(f"{name}ForImageClassification" for name in ("Beit", "DeiT", "Swin", "ViT"))
_MODEL_TYPE = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_CLASS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def read_config(folder: Path, *, pointer: str) -> dict[str, Any]:
    """The config of a classifier that needs no code of its own: of texts, with a tokenizer, or of images.

    Raises UnsupportedModel for any other model and UnsafeModel where the config names code (`auto_map`).
    """
    refuse_pointers(folder, pointer=pointer)
    refuse_adapters(folder, pointer=pointer)
    config = _read_json(folder / "config.json", pointer)
    if config is None:
        raise UnsupportedModel("The model has no config.json.", pointer=pointer)
    tokenizer = read_tokenizer_config(folder, pointer=pointer)
    _refuse_code(config, tokenizer, pointer)
    _refuse_tasks(config, pointer)
    reads_text = task_of(architecture_of(config)) == "text"
    if reads_text and not any((folder / name).is_file() for name in VOCABULARIES):
        raise UnsupportedModel(
            f"The model has no tokenizer: none of {', '.join(VOCABULARIES)}.",
            hint="Save it beside the model with tokenizer.save_pretrained.",
            pointer=pointer,
        )
    return config


def read_tokenizer_config(folder: Path, *, pointer: str) -> dict[str, Any]:
    """What tokenizer_config.json says; nothing where there is none."""
    return _read_json(folder / "tokenizer_config.json", pointer) or {}


def max_length(folder: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """The longest input in tokens: what positions allow, or what the tokenizer says where that is less."""
    tables = [s[0] for name, s in shapes.items() if name.endswith(".position_embeddings.weight") and s]
    positions = _lengths(config.get("max_position_embeddings"), config.get("n_positions"), *tables[:1])
    longest = min(positions, default=None)
    if longest is not None and model_type_of(config) in OFFSET_POSITIONS:
        pad = config.get("pad_token_id", 1)
        longest -= (pad if is_count(pad) else 1) + 1
    stated = read_tokenizer_config(folder, pointer="").get("model_max_length")
    return min(_lengths(longest, stated), default=None)


def _lengths(*stated: object) -> list[int]:
    """Those that can be the length of an input."""
    numbers = [value for value in stated if isinstance(value, int | float) and not isinstance(value, bool)]
    return [int(value) for value in numbers if 1 <= value <= MAX_POSITIONS]


def _refuse_code(config: Mapping[str, Any], tokenizer: Mapping[str, Any], pointer: str) -> None:
    if _names_code(config) or _names_code(tokenizer):
        raise UnsafeModel(
            "The model contains code of its own (auto_map, or kernels from the hub), which Microlith never runs.",
            hint="Use a model whose architecture is part of transformers.",
            pointer=pointer,
        )


def _names_code(config: Mapping[str, Any]) -> bool:
    """Whether the config, or one inside it, names classes of its own or an implementation from a repository."""
    inside: list[Mapping[str, Any]] = [config]
    while inside:
        for name, value in inside.pop().items():
            if isinstance(value, dict):
                inside.append(value)
            named = value and not isinstance(value, int)  # a number is the id of a label that is called so
            if (name == "auto_map" and named) or (name.endswith("_implementation") and "/" in str(value)):
                return True
    return False


def _pad_id(config: Mapping[str, Any]) -> object:
    """That of a config, or of the text part of one that is for several kinds of input."""
    inside = config.get("text_config")
    return config.get("pad_token_id", inside.get("pad_token_id") if isinstance(inside, dict) else None)


def _refuse_tasks(config: Mapping[str, Any], pointer: str) -> None:
    architecture = architecture_of(config)
    if architecture is None:
        raise UnsupportedModel("config.json does not name an architecture.", pointer=pointer)
    if not architecture.endswith(_TASK) and architecture not in _IMAGES:
        raise UnsupportedModel(
            f"{architecture} is neither a sequence classifier nor a supported image classifier.",
            hint=f"Its architecture must end in {_TASK}, or be {' or '.join(sorted(_IMAGES))}.",
            pointer=pointer,
        )
    kind = model_type_of(config)
    if kind is not None and not _MODEL_TYPE.fullmatch(kind):
        raise UnsupportedModel(f"{quote(kind)} is no model type.", pointer=pointer)
    if kind in _CONV1D:
        raise UnsupportedModel(f"{architecture} has Conv1D layers instead of linear ones.", pointer=pointer)
    if kind in LAST_TOKEN and not is_count(_pad_id(config)):
        raise UnsupportedModel(
            f"{architecture} answers at the last token before the padding, but config.json has no pad_token_id.",
            hint="Set pad_token_id to the id that the model was fine-tuned with, and save the config.",
            pointer=pointer,
        )
    if kind in OFFSET_POSITIONS and not is_count(config.get("pad_token_id", 1)):
        raise UnsupportedModel(
            f"pad_token_id in config.json is not an id, and {architecture} counts positions from it.",
            hint="Set it to the id of the tokenizer's pad token, most often 1, and save the config.",
            pointer=pointer,
        )
    task = config.get("problem_type")
    if task not in (None, "single_label_classification", MULTI_LABEL):
        raise UnsupportedModel(
            f"The model's task is {quote(task)}; each input must have one class, or some of several labels.",
            pointer=pointer,
        )


def architecture_of(config: Mapping[str, Any]) -> str | None:
    """The class that `from_pretrained` makes of the config; None where it names no class."""
    names = config.get("architectures")
    first = names[0] if isinstance(names, list) and names else None
    return first if isinstance(first, str) and _CLASS_NAME.fullmatch(first) else None


def model_type_of(config: Mapping[str, Any]) -> str | None:
    """What the config calls its kind of model."""
    kind = config.get("model_type")
    return kind if isinstance(kind, str) else None


def _read_json(file: Path, pointer: str) -> dict[str, Any] | None:
    """The object in a JSON file; None where there is no file."""
    if not file.is_file():
        return None
    try:
        return read_object(file, MAX_CONFIG_BYTES)
    except ValueError as error:
        raise UnsupportedModel(f"{file.name} cannot be read: {error}.", pointer=pointer) from error
