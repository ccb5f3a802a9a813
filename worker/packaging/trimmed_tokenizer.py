"""A tokenizer with fewer tokens: the rest of its vocabulary is gone, and what is left reads on as before.

Works on the document that the tokenizers library keeps (tokenizer.json), in three kinds of models. A text whose tokens
are all kept is cut as before: WordPiece takes the longest piece at every place and none is added; BPE keeps every merge
that led to a kept token; the best path of Unigram is still the best. Other texts are cut into pieces that are left, or
become unknown. Ids are given anew, in the old order.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.errors import UnsupportedModel
from worker.compute.arrays import Rows

POINTER = "/export/vocabulary"
CONFIG, TOKENIZER, NAMES = "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json"
_BYTE = "<0x"  # a byte, where a tokenizer falls back to them

Document = dict[str, Any]


def document_of(tokenizer: Any) -> Document:
    """The tokenizer as the tokenizers library keeps it. Raises UnsupportedModel for one that is no part of it."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise _unsupported(f"{type(tokenizer).__name__} is not of the tokenizers library")
    document: Document = json.loads(backend.to_str())
    if document["model"].get("type") not in _TRIMMERS:
        raise _unsupported(f"a tokenizer of kind {document['model'].get('type')} is not known to be trimmed safely")
    return document | {"truncation": None, "padding": None}  # those are of its last call


def find_frequent(counts: Rows, guard: float) -> set[int]:
    """The ids that make up more than `guard` of all tokens; `counts` are by id."""
    total = max(1, int(counts.sum()))
    return set(np.flatnonzero(counts / total > guard).tolist())


def add_indispensable(document: Document, ids: Iterable[int]) -> list[int]:
    """`ids`, and all that may not go: added tokens, the unknown one, and what others are made of. Ascending."""
    model = document["model"]
    tokens = _tokens(model)
    kept = set(ids) | {added["id"] for added in document["added_tokens"]}
    if model["type"] == "Unigram":
        kept |= {model["unk_id"]} if model.get("unk_id") is not None else set()
    elif model.get("unk_token") in tokens:
        kept.add(tokens[model["unk_token"]])
    kept |= {token_id for token, token_id in tokens.items() if token.startswith(_BYTE)}
    if model["type"] == "BPE":
        kept |= _find_spelling(model, kept)
    return sorted(kept)


def trim(document: Document, kept: Sequence[int]) -> Document:
    """The tokenizer of the tokens `kept` alone, under new ids."""
    new = {old: new_id for new_id, old in enumerate(kept)}
    small = copy.deepcopy(document)
    _TRIMMERS[small["model"]["type"]](small["model"], new)
    for added in small["added_tokens"]:
        added["id"] = new[added["id"]]
    if small["post_processor"]:
        _renumber(small["post_processor"], new)
    return small


def write(folder: Path, base: Path, document: Document, new: Mapping[int, int]) -> None:
    """The tokenizer's files into `folder`: plain `from_pretrained` opens it by the document, as the base's class."""
    (folder / TOKENIZER).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if (base / NAMES).is_file():
        shutil.copyfile(base / NAMES, folder / NAMES)
    if (base / CONFIG).is_file():
        settings = json.loads((base / CONFIG).read_text(encoding="utf-8"))
        decoder = settings.get("added_tokens_decoder")
        if decoder:
            settings["added_tokens_decoder"] = {
                str(new[int(old)]): added for old, added in decoder.items() if int(old) in new
            }
        (folder / CONFIG).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _tokens(model: Document) -> dict[str, int]:
    if model["type"] == "Unigram":
        return {token: token_id for token_id, (token, _) in enumerate(model["vocab"])}
    vocabulary: dict[str, int] = model["vocab"]
    return vocabulary


def _find_spelling(model: Document, kept: set[int]) -> set[int]:
    """The alphabet, and every token on the way to a kept one."""
    tokens, pairs = model["vocab"], [_pair(merge) for merge in model["merges"]]
    makers: dict[str, list[tuple[str, str]]] = {}
    for one, other in pairs:
        makers.setdefault(one + other, []).append((one, other))
    names = {token_id: token for token, token_id in tokens.items()}
    spelled, waiting = set[str](), [names[token_id] for token_id in kept if token_id in names]
    while waiting:
        token = waiting.pop()
        if token not in spelled:
            spelled.add(token)
            waiting += [piece for pair in makers.get(token, []) for piece in pair]
    return {token_id for token, token_id in tokens.items() if token in spelled or token not in makers}


def _pair(merge: Any) -> tuple[str, str]:
    one, other = merge.split(" ") if isinstance(merge, str) else merge
    return one, other


def _trim_word_pieces(model: Document, new: Mapping[int, int]) -> None:
    model["vocab"] = {token: new[old] for token, old in model["vocab"].items() if old in new}


def _trim_byte_pairs(model: Document, new: Mapping[int, int]) -> None:
    _trim_word_pieces(model, new)
    left = model["vocab"]
    pairs = ((merge, _pair(merge)) for merge in model["merges"])
    model["merges"] = [merge for merge, (one, other) in pairs if one in left and other in left and one + other in left]


def _trim_unigram(model: Document, new: Mapping[int, int]) -> None:
    model["vocab"] = [piece for old, piece in enumerate(model["vocab"]) if old in new]
    model["unk_id"] = new.get(model["unk_id"]) if model.get("unk_id") is not None else None


_TRIMMERS = {"WordPiece": _trim_word_pieces, "BPE": _trim_byte_pairs, "Unigram": _trim_unigram}


def _renumber(processor: Document, new: Mapping[int, int]) -> None:
    """The ids that what adds special tokens has noted."""
    for step in processor.get("processors", ()):
        _renumber(step, new)
    for special in processor.get("special_tokens", {}).values():
        special["ids"] = [new[old] for old in special["ids"]]
    for side in ("cls", "sep"):
        if isinstance(processor.get(side), list):
            processor[side][1] = new[processor[side][1]]


def _unsupported(why: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"The vocabulary cannot be trimmed: {why}.", hint="Leave `export.vocabulary` out.", pointer=POINTER
    )
