"""Vocabulary trimming: a job's modules with the tokens that its data uses, and what that costs them.

Tokens are counted on the splits that calibrate and validate, never on the split of the report, unless they are one:
what is measured there is what a text costs that nobody has counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from transformers import AutoTokenizer
from transformers.modeling_layers import GenericForSequenceClassification

from app.domain.errors import UnsupportedModel
from app.domain.layouts import counted_splits
from microlith.contract import Concern, JobSpec, OwnScore, TrimmedVocabulary
from worker.evaluation.report import score
from worker.evaluation.runner import evenly, predict
from worker.inputs import Checkpoint, Examples, Rows, TokenExamples
from worker.packaging import vocabulary
from worker.packaging.vocabulary import POINTER
from worker.sources.opening import Sources

PROBE_ROWS = 8


@dataclass(frozen=True)
class Trimming:
    """What is left of the vocabulary, and the job's texts read with it.

    `sources` are the job's with the trimmed tokenizer, opened from the folder that it was written to. `probe` are the
    first of `examples`, and `texts` what they read.
    """

    kept: Rows  # [tokens], ids of the base, ascending
    base_tokens: int
    guard: float
    sources: Sources
    test: TokenExamples
    examples: TokenExamples
    texts: list[str]
    base_unknown: float | None

    @classmethod
    def of(cls, spec: JobSpec, sources: Sources, scratch: Path) -> Trimming | None:
        """As the spec asks, None if it does not. Raises UnsupportedModel for what is not known to survive it."""
        if not spec.export.vocabulary.trim:
            return None
        loaded, guard = sources.model, spec.export.vocabulary.guard
        document = vocabulary.document_of(_tokenizer(sources))
        rows = int(cast(Any, loaded.model).get_input_embeddings().num_embeddings)
        counts = sum(_counts(sources, role, rows) for role in counted_splits(spec))
        used = vocabulary.frequent(cast(Rows, counts), guard) | _named(loaded.model, rows)
        kept = vocabulary.closed(document, used)
        new = {old: place for place, old in enumerate(kept)}
        _check_pads(loaded.model, new)
        folder = scratch / "vocabulary"
        folder.mkdir()
        vocabulary.write(folder, loaded.folder, vocabulary.trimmed(document, kept), new)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        read = replace(sources, model=replace(loaded, tokenizer=tokenizer, folder=folder))
        test, limit, role = spec.evaluation.split, spec.evaluation.limit, spec.evaluation.validation_split
        probe = evenly(len(sources.labels(role)), limit)[:PROBE_ROWS]
        made = cls(
            kept=np.array(kept, dtype=np.int64),
            base_tokens=len(loaded.tokenizer),
            guard=guard,
            sources=read,
            test=_encoded(read, test, limit, new),
            examples=_encoded(read, role, limit, new),
            texts=[cast(str, read.data.split(role)[0][row]) for row in probe],
            base_unknown=_unknown(_encoded(sources, test, limit), loaded.tokenizer),
        )
        made._check(sources, role, limit, new)
        return made

    @property
    def probe(self) -> Examples:
        """A few examples to tell by whether two modules are the same."""
        return self.examples.take(range(len(self.texts)))

    @contextmanager
    def laid_over(self, model: Any) -> Iterator[Any]:
        """The model with the kept rows of its embedding and their ids in its config, until the block ends."""
        whole, config = model.get_input_embeddings(), model.config
        new = {int(old): place for place, old in enumerate(self.kept)}
        ids = _token_ids(model)
        rows = torch.from_numpy(self.kept).to(whole.weight.device)
        pad = whole.padding_idx
        weights, padding = whole.weight.detach()[rows], None if pad is None else new[pad]
        small = nn.Embedding.from_pretrained(weights, padding_idx=padding)  # type: ignore[no-untyped-call]
        before = {name: getattr(config, name) for name in (*ids, "vocab_size")}
        try:
            model.set_input_embeddings(small)
            for name, old in ids.items():
                setattr(config, name, new[old])
            config.vocab_size = len(self.kept)
            yield model
        finally:
            model.set_input_embeddings(whole)
            for name, value in before.items():
                setattr(config, name, value)

    def effect(self, module: nn.Module, concern: Concern, checkpoint: Checkpoint) -> TrimmedVocabulary:
        """How the module measures on the evaluation split when it reads with what is left; `module` is whole."""
        with self.laid_over(module) as small:
            logits = predict(small, self.test, checkpoint=lambda _: checkpoint(0))
        found = score(logits, self.test.labels, self.sources.model.labels)
        return TrimmedVocabulary(
            tokens=len(self.kept),
            base_tokens=self.base_tokens,
            guard=self.guard,
            sha256=hashlib.sha256(self.kept.astype("<i8").tobytes()).hexdigest(),
            unknown=_unknown(self.test, self.sources.model.tokenizer),
            base_unknown=self.base_unknown,
            own=OwnScore.model_validate(found.classes[concern.id].model_dump()),
            macro=found.macro,
            accuracy=found.accuracy,
            loss=found.loss,
        )

    def _check(self, base: Sources, role: str, limit: int | None, new: dict[int, int]) -> None:
        """Raises UnsupportedModel unless texts of kept tokens alone are read as the base reads them."""
        for before, after in zip(_encoded(base, role, limit).token_ids, self.examples.token_ids, strict=True):
            if all(token in new for token in before) and [new[token] for token in before] != list(after):
                raise UnsupportedModel(
                    "The vocabulary cannot be trimmed: the tokenizer cuts texts otherwise with fewer tokens.",
                    hint="Leave `export.vocabulary` out.",
                    pointer=POINTER,
                )


def _tokenizer(sources: Sources) -> Any:
    if sources.model.tokenizer is None:
        raise UnsupportedModel(
            "The vocabulary cannot be trimmed: this model reads no texts.",
            hint="Leave `export.vocabulary` out.",
            pointer=POINTER,
        )
    return sources.model.tokenizer


def _counts(sources: Sources, role: str, rows: int) -> Rows:
    """How often each id stands in a whole split [embedding rows]."""
    examples = cast(TokenExamples, sources.encode(role, range(len(sources.labels(role)))))
    return np.bincount(_flat(examples), minlength=rows)


def _encoded(sources: Sources, role: str, limit: int | None, new: dict[int, int] | None = None) -> TokenExamples:
    """What is measured of a split; with `new`, padded by the new id of the pad that the base's config names."""
    rows = evenly(len(sources.labels(role)), limit)
    examples = cast(TokenExamples, sources.encode(role, rows.tolist()).take(rows))
    named = getattr(sources.model.model.config, "pad_token_id", None)
    return examples if new is None or named is None else replace(examples, pad_id=new[named])


def _unknown(examples: TokenExamples, tokenizer: Any) -> float | None:
    """The fraction of tokens that are the unknown one; None where there is none."""
    if tokenizer.unk_token_id is None:
        return None
    return float((_flat(examples) == tokenizer.unk_token_id).mean())


def _flat(examples: TokenExamples) -> Rows:
    """The ids of all rows, one after another."""
    return np.fromiter(chain.from_iterable(examples.token_ids), dtype=np.int64)


def _token_ids(model: Any) -> dict[str, int]:
    """The ids that a config names."""
    values = model.config.to_dict()
    return {name: value for name, value in values.items() if name.endswith("_token_id") and isinstance(value, int)}


def _named(model: nn.Module, rows: int) -> set[int]:
    return {value for value in _token_ids(model).values() if 0 <= value < rows}


def _check_pads(model: nn.Module, new: dict[int, int]) -> None:
    """Encoders of RoBERTa's kind count positions from the pad's id, which must not move."""
    pad = getattr(model.config, "pad_token_id", None)
    if pad is not None and new[pad] != pad and not isinstance(model, GenericForSequenceClassification):
        raise UnsupportedModel(
            "The vocabulary cannot be trimmed: the id of this model's pads would change.",
            hint="Leave `export.vocabulary` out.",
            pointer=POINTER,
        )
