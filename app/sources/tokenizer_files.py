"""A tokenizer's files, held against the embeddings before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.domain.errors import UnsupportedModel
from app.sources.json_file import is_count, read_object
from app.sources.safetensors_header import Shapes
from app.sources.short_texts import list_first

WHOLE = "tokenizer.json"
MAX_BYTES = 128 * 1024 * 1024
HINT = "Save the tokenizer beside the model once more, with tokenizer.save_pretrained, and see that it reads texts."

_PIECES = frozenset({"spiece.model", "spm.model", "tokenizer.model"})
PIECES = _PIECES | {"sentencepiece.bpe.model"}
"""Of sentencepiece: what slow tokenizers read."""

# What a class of tokenizers reads where there is no tokenizer.json; any one of them will do.
_READS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("Bert", "DistilBert", "Electra", "MPNet", "MobileBert", "SqueezeBert"), frozenset({"vocab.txt"})),
    **dict.fromkeys(("ConvBert", "Funnel", "LayoutLM", "RoFormer", "Esm"), frozenset({"vocab.txt"})),
    **dict.fromkeys(("Roberta", "GPT2", "Longformer", "Bart", "Deberta"), frozenset({"vocab.json"})),
    **dict.fromkeys(("DebertaV2", "Albert", "XLNet", "T5", "BigBird"), _PIECES),
    **dict.fromkeys(("XLMRoberta", "Camembert", "MBart"), PIECES),
}
_EMBEDDINGS = ("word_embeddings.weight", "tok_embeddings.weight", "embed_tokens.weight", "wte.weight", "shared.weight")
_FEWEST_ROWS = 100
"""A smaller table tells nothing."""


def embedding_rows(shapes: Shapes) -> int | None:
    """How many tokens the model embeds, where its tensors are called as usual."""
    tables = [shape[0] for name, shape in shapes.items() if name.endswith(_EMBEDDINGS) and len(shape) == 2]
    return max(tables, default=None)


def check_tokenizer(folder: Path, settings: Mapping[str, Any], rows: int | None, *, pointer: str) -> None:
    """Raise UnsupportedModel for a vocabulary that the tokenizer's class does not read, or that is far too small.

    `settings` are those of tokenizer_config.json, `rows` the tokens that the model embeds. Fewer pieces than the model
    embeds are usual; an added one that it does not embed would end the job with the first text that has it.
    """
    if (folder / WHOLE).is_file():
        pieces, added = _whole(folder / WHOLE) or (None, {})
        _check_added(added, rows, pointer)
    else:
        _check_class(folder, settings, pointer)
        pieces = _pieces_of_list(folder)
    if pieces is not None:
        check_pieces(pieces, rows, pointer=pointer)


def check_pieces(pieces: int, rows: int | None, *, pointer: str) -> None:
    """Raise UnsupportedModel where a tokenizer has less than half as many pieces as the model embeds."""
    if rows is not None and rows >= _FEWEST_ROWS and 2 * pieces < rows:
        raise UnsupportedModel(
            f"The tokenizer has {pieces:,} pieces and the model embeds {rows:,}: its vocabulary is missing, or cut.",
            hint=HINT,
            pointer=pointer,
        )


def _check_added(added: Mapping[int, str], rows: int | None, pointer: str) -> None:
    beyond = [text for number, text in sorted(added.items()) if rows is not None and number >= rows]
    if beyond:
        raise UnsupportedModel(
            f"The tokenizer has tokens that the model does not embed: {list_first(beyond, most=5)} "
            f"(it embeds {rows:,}).",
            hint="Call model.resize_token_embeddings(len(tokenizer)) and save both, or take the tokens out.",
            pointer=pointer,
        )


def _check_class(folder: Path, settings: Mapping[str, Any], pointer: str) -> None:
    named = settings.get("tokenizer_class")
    name = named.removesuffix("Fast").removesuffix("Tokenizer") if isinstance(named, str) else ""
    wanted = _READS.get(name)
    if wanted and not any((folder / file).is_file() for file in wanted):
        raise UnsupportedModel(
            f"A {named} reads {' or '.join(sorted(wanted))}, or tokenizer.json, and none of them is there.",
            hint=HINT,
            pointer=pointer,
        )


def _whole(file: Path) -> tuple[int, dict[int, str]] | None:
    """How many pieces a tokenizer.json has, and the added ones by id; None for one that is written otherwise."""
    try:
        told = read_object(file, MAX_BYTES)
    except ValueError:
        return None
    model, added = told.get("model"), told.get("added_tokens")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(vocabulary, dict):
        names = set(vocabulary)
    elif isinstance(vocabulary, list):
        names = {piece[0] for piece in vocabulary if isinstance(piece, list) and piece and isinstance(piece[0], str)}
    else:
        return None
    tokens = [one for one in added if isinstance(one, dict)] if isinstance(added, list) else []
    known = {
        one["id"]: one["content"] for one in tokens if is_count(one.get("id")) and isinstance(one.get("content"), str)
    }
    return len(names.union(known.values())), known


def _pieces_of_list(folder: Path) -> int | None:
    """Lines of a vocab.txt, or pieces of a vocab.json, where these are all that is there."""
    if (folder / "vocab.txt").is_file():
        with (folder / "vocab.txt").open("rb") as lines:
            return sum(1 for line in lines if line.strip())
    if (folder / "vocab.json").is_file():
        try:
            return len(read_object(folder / "vocab.json", MAX_BYTES))
        except ValueError:
            return None
    return None
