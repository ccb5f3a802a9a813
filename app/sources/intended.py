"""What a model's files say of one another, compared before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from app.domain.errors import UnsupportedModel
from app.domain.families import Family
from app.sources.json_file import is_count
from app.sources.safetensors_header import Shapes
from app.sources.short_texts import list_first, quote

ADAPTER = "adapter_config.json"
_POINTER_FILE = b"version https://git-lfs.github.com/spec/"
_DEPTHS = ("num_hidden_layers", "n_layers", "num_layers", "n_layer")
_TABLES = {
    "word_embeddings": "vocab_size",
    "position_embeddings": "max_position_embeddings",
    "token_type_embeddings": "type_vocab_size",
}
"""Of tables of embeddings: the setting that says how many rows there are."""

_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


def refuse_pointers(folder: Path, *, pointer: str) -> None:
    """UnsupportedModel where a file is a Git LFS pointer in the place of what it points to."""
    files = (file for file in folder.iterdir() if file.suffix in (".safetensors", ".json", ".txt", ".model"))
    found = sorted(file.name for file in files if file.is_file() and _is_pointer(file))
    if found:
        raise UnsupportedModel(
            f"{list_first(list(found), quote, most=5)}: a Git LFS pointer, not the file itself.",
            hint="Run `git lfs pull` in the model's folder, or download it with `hf download`.",
            pointer=pointer,
        )


def refuse_adapters(folder: Path, *, pointer: str) -> None:
    """UnsupportedModel for what changes another model and is none by itself."""
    if (folder / ADAPTER).is_file() and not any(folder.glob("model*.safetensors")):
        raise UnsupportedModel(
            "This is an adapter, not a whole model.",
            hint="Merge it into its base first (merge_and_unload in peft) and save the whole model.",
            pointer=pointer,
        )


def refuse_changed_numbers(config: Mapping[str, Any], types: Mapping[str, str], *, pointer: str) -> None:
    """UnsupportedModel for a quantised model, whose tensors are codes and no numbers to score."""
    method = config.get("quantization_config") or config.get("compression_config")
    if method:
        way = method.get("quant_method") if isinstance(method, dict) else None
        named = f" ({quote(way)})" if way else ""
        raise UnsupportedModel(
            f"The model is quantised{named}; its weights must be floating-point numbers.",
            hint="Bring the model as it was before, or dequantise it (model.dequantize()) and save it.",
            pointer=pointer,
        )
    strange = [name for name, kind in types.items() if name.endswith(".weight") and kind not in _FLOATS]
    if strange:
        raise UnsupportedModel(
            f"Weights must be floating-point numbers of 16 bits or more; {list_first(list(strange), quote, most=5)} "
            f"{'are' if len(strange) > 1 else 'is'} {', '.join(sorted({types[name] for name in strange}))}.",
            hint="Save the model with its weights in float32, float16 or bfloat16.",
            pointer=pointer,
        )


def check_blocks(
    config: Mapping[str, Any], linear: Mapping[str, tuple[int, int]], family: Family | None, *, pointer: str
) -> None:
    """Raise UnsupportedModel where the tensors are of another number of blocks, or of other widths, than config.json.

    That is known of families; of other models it shows when they are opened.
    """
    kind = config.get("position_embedding_type", "absolute")
    if kind not in (None, "absolute") and family:
        raise UnsupportedModel(
            f"config.json asks for positions of the kind {quote(kind)}, which this version of transformers leaves out.",
            hint="Open it with the version that it was trained with; it cannot be decomposed here.",
            pointer=pointer,
        )
    if family is None:
        return
    blocks = {part.block for part in family.feed_forwards(linear)} | {p.block for p in family.attentions(linear)}
    depth = next((config[name] for name in _DEPTHS if is_count(config.get(name))), None)
    if depth is not None and blocks and family.name != "albert" and len(blocks) != depth:
        raise UnsupportedModel(
            f"config.json speaks of {depth} layers and the weights have {len(blocks)}.",
            hint="Save the whole model with save_pretrained, so that both are of the same model.",
            pointer=pointer,
        )
    for name, found, meant in _widths(config, linear, family):
        if found != meant:
            raise UnsupportedModel(
                f"{name}.weight is {list(found)} in the file, and by config.json it is {list(meant)}.",
                hint="Was it pruned before? Layers of unlike widths cannot be opened; save a model of one width.",
                pointer=pointer,
            )


def check_tables(config: Mapping[str, Any], shapes: Shapes, family: Family | None, *, pointer: str) -> None:
    """Raise UnsupportedModel where a known family's embeddings have other rows, or heads do not share its width."""
    if family is None:
        return
    for name, shape in shapes.items():
        setting = next((meant for ending, meant in _TABLES.items() if name.endswith(f".{ending}.weight")), "")
        rows = _count(config.get(setting))
        if rows is not None and shape and shape[0] != rows:
            raise UnsupportedModel(
                f"{name} has {shape[0]:,} rows in the file, and by {setting} in config.json it has {rows:,}.",
                hint="Save the whole model with save_pretrained, so that both are of the same model.",
                pointer=pointer,
            )
    heads, width = (_count(config.get(name)) for name in ("num_attention_heads", "hidden_size"))
    if heads is not None and width is not None and (not heads or width % heads) and "head_dim" not in config:
        raise UnsupportedModel(
            f"By config.json a width of {width:,} is shared by {heads:,} heads, which does not come out even.",
            hint="Save the whole model with save_pretrained; its config says how many heads there are.",
            pointer=pointer,
        )


def _widths(
    config: Mapping[str, Any], linear: Mapping[str, tuple[int, int]], family: Family
) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    """Every feed-forward layer, its shape in the file, and the one that the config means."""
    neurons, hidden = (_count(config.get(name)) for name in (family.width, "dim" if "dim" in config else "hidden_size"))
    if neurons is None or hidden is None:
        return
    for part in family.feed_forwards(linear):
        for writer in part.writers:
            yield writer, linear[writer], (2 * neurons if part.fused else neurons, hidden)
        yield part.output, linear[part.output], (hidden, neurons)


def _is_pointer(file: Path) -> bool:
    if file.stat().st_size > 1024:
        return False
    with file.open("rb") as stream:
        return stream.read(len(_POINTER_FILE)) == _POINTER_FILE


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and is_count(value) else None
