"""A model's `config.json` and `tokenizer_config.json`: what can be decomposed, its labels and its longest input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.domain.errors import UnsafeModel, UnsupportedModel
from app.domain.families import family_of
from app.sources.images import task_of

MAX_CONFIG_BYTES = 16 * 1024 * 1024
VOCABULARIES = (
    *("tokenizer.json", "vocab.txt", "vocab.json"),
    *("spiece.model", "sentencepiece.bpe.model", "tokenizer.model"),
)
# Positions of these start after the padding id (transformers, create_position_ids_from_input_ids).
_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet"})
# Their layers are Conv1D, whose weight is [in, out]: no linear layers to prune.
_CONV1D = frozenset({"gpt2", "openai-gpt"})
_TASK = "ForSequenceClassification"
_IMAGES = frozenset({"ViTForImageClassification"})


def read_config(folder: Path, *, pointer: str) -> dict[str, Any]:
    """The config of a classifier that needs no code of its own: of texts, with a tokenizer, or of images.

    Raises UnsupportedModel for any other model and UnsafeModel where the config names code (`auto_map`).
    """
    config = _read_json(folder / "config.json", pointer)
    if config is None:
        raise UnsupportedModel("The model has no config.json.", pointer=pointer)
    tokenizer = _read_json(folder / "tokenizer_config.json", pointer) or {}
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


def labels_of(config: Mapping[str, Any], *, pointer: str) -> list[str]:
    """Label names in the order of class ids; `LABEL_n` where the config names none. At least two, all different."""
    names = config.get("id2label")
    if not names:
        count = config.get("num_labels", 2)  # transformers leaves out what equals its default
        names = {str(n): f"LABEL_{n}" for n in range(count if isinstance(count, int) else 0)}
    try:
        labels = [str(names[str(n)]) for n in range(len(names))]
    except (KeyError, TypeError, IndexError) as error:
        raise UnsupportedModel("id2label does not name the classes 0 to n-1.", pointer=pointer) from error
    if len(labels) < 2:
        raise UnsupportedModel("The model has fewer than two labels; there is nothing to separate.", pointer=pointer)
    if len(set(labels)) != len(labels):
        raise UnsupportedModel("Two classes of the model have the same label.", pointer=pointer)
    return labels


def max_length(folder: Path, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """The longest input in tokens: what positions allow, or what the tokenizer says where that is less."""
    tables = [shape[0] for name, shape in shapes.items() if name.endswith(".position_embeddings.weight")]
    positions = config.get("max_position_embeddings") or (tables[0] if tables else None)
    if positions and config.get("model_type") in _OFFSET_POSITIONS:
        positions -= config.get("pad_token_id", 1) + 1
    stated = (_read_json(folder / "tokenizer_config.json", "") or {}).get("model_max_length")
    bounds = [int(bound) for bound in (positions, stated) if isinstance(bound, int | float) and 0 < bound < 1e9]
    return min(bounds, default=None)


def _refuse_code(config: Mapping[str, Any], tokenizer: Mapping[str, Any], pointer: str) -> None:
    if _names_code(config) or _names_code(tokenizer):
        raise UnsafeModel(
            "The model brings code of its own (auto_map, or kernels from the hub), which is never run here.",
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


def _refuse_tasks(config: Mapping[str, Any], pointer: str) -> None:
    architecture = architecture_of(config)
    if architecture is None:
        raise UnsupportedModel("config.json names no architecture.", pointer=pointer)
    if not architecture.endswith(_TASK) and architecture not in _IMAGES:
        raise UnsupportedModel(
            f"{architecture} is neither a sequence classifier nor an image classifier that is known here.",
            hint=f"Its architecture must end in {_TASK}, or be {' or '.join(sorted(_IMAGES))}.",
            pointer=pointer,
        )
    if config.get("model_type") in _CONV1D:
        raise UnsupportedModel(f"{architecture} has Conv1D layers in place of linear ones.", pointer=pointer)
    family = family_of(config.get("model_type"))
    if family and family.decoder and not isinstance(config.get("pad_token_id"), int):
        raise UnsupportedModel(
            f"{architecture} answers at the last token before the pads, and config.json has no pad_token_id.",
            hint="Set pad_token_id to the id that the model was fine-tuned with and save the config.",
            pointer=pointer,
        )
    task = config.get("problem_type")
    if task not in (None, "single_label_classification"):
        raise UnsupportedModel(f"The model's task is {task}; each input must have exactly one class.", pointer=pointer)


def architecture_of(config: Mapping[str, Any]) -> str | None:
    """The class that `from_pretrained` makes of the config."""
    names = config.get("architectures")
    return names[0] if isinstance(names, list) and names and isinstance(names[0], str) else None


def _read_json(file: Path, pointer: str) -> dict[str, Any] | None:
    """The object in a JSON file; None where there is no file."""
    if not file.is_file():
        return None
    try:
        if file.stat().st_size > MAX_CONFIG_BYTES:
            raise ValueError("it is too large")
        content = json.loads(file.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("it holds no object")
    except (OSError, ValueError, RecursionError) as error:
        raise UnsupportedModel(f"{file.name} cannot be read: {error}.", pointer=pointer) from error
    return content
