"""Vocabulary trimming: a job's modules with the tokens that its data uses, and what that costs them.

Tokens are counted on the splits that calibrate and validate, never on the split of the report, unless they are one:
what is measured there is what a text costs that nobody has counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import nn

from app.domain.errors import UnsupportedModel
from app.domain.layouts import counted_splits
from microlith.contract import Concern, JobSpec, OwnScore, TrimmedVocabulary
from worker.compute.arrays import Rows
from worker.compute.batches import Checkpoint
from worker.compute.examples import Examples, TokenExamples
from worker.evaluation.report import score
from worker.evaluation.runner import evenly, predict
from worker.packaging import vocabulary
from worker.packaging.trimmed_model import Trimmed, token_ids
from worker.packaging.verify import PROBE_ROWS
from worker.packaging.vocabulary import POINTER
from worker.sources.open_sources import Sources


@dataclass(frozen=True)
class Trimming:
    """What is left of the vocabulary, and the job's texts read with it.

    `sources` are the job's with the trimmed model. `probe` are the first of `examples`, and `texts` what they read.
    """

    left: Trimmed
    base_tokens: int
    guard: float
    sources: Sources
    test: TokenExamples
    examples: TokenExamples
    texts: list[str]
    base_unknown: float | None

    @classmethod
    def of(cls, spec: JobSpec, sources: Sources, scratch: Path, kept: Sequence[int] | None = None) -> Trimming | None:
        """As the spec asks, None if it does not; of the tokens `kept` where they were counted before.

        Raises UnsupportedModel for what is not known to survive it.
        """
        if not spec.export.vocabulary.trim:
            return None
        left = Trimmed.of(sources.model, kept or _used(spec, sources), scratch)
        read = replace(sources, model=left.loaded)
        test, limit, role = spec.evaluation.split, spec.evaluation.limit, spec.evaluation.validation_split
        probe = evenly(len(sources.labels(role)), limit)[:PROBE_ROWS]
        made = cls(
            left=left,
            base_tokens=len(sources.model.tokenizer),
            guard=spec.export.vocabulary.guard,
            sources=read,
            test=_encoded(read, test, limit),
            examples=_encoded(read, role, limit),
            texts=[cast(str, read.data.split(role)[0][row]) for row in probe],
            base_unknown=_unknown(_encoded(sources, test, limit), sources.model.tokenizer),
        )
        made._check(sources, role, limit)
        return made

    @property
    def probe(self) -> Examples:
        """A few examples to tell by whether two modules are the same."""
        return self.examples.take(range(len(self.texts)))

    def effect(self, module: nn.Module, concern: Concern, checkpoint: Checkpoint) -> TrimmedVocabulary:
        """How the module measures on the evaluation split when it reads with what is left; `module` is whole."""
        small = self.left.narrowed(module)
        logits = predict(small, self.test, checkpoint=lambda _: checkpoint(0))
        found = score(logits, self.test.labels, self.sources.model.labels)
        return TrimmedVocabulary(
            tokens=len(self.left.kept),
            base_tokens=self.base_tokens,
            guard=self.guard,
            sha256=hashlib.sha256(np.array(self.left.kept, dtype="<i8").tobytes()).hexdigest(),
            unknown=_unknown(self.test, self.sources.model.tokenizer),
            base_unknown=self.base_unknown,
            own=OwnScore.model_validate(found.classes[concern.id].model_dump()),
            macro=found.macro,
            accuracy=found.accuracy,
            loss=found.loss,
        )

    def _check(self, base: Sources, role: str, limit: int | None) -> None:
        """Raises UnsupportedModel unless texts of kept tokens alone are read as the base reads them."""
        new = {old: place for place, old in enumerate(self.left.kept)}
        for before, after in zip(_encoded(base, role, limit).token_ids, self.examples.token_ids, strict=True):
            if all(token in new for token in before) and [new[token] for token in before] != list(after):
                raise UnsupportedModel(
                    "The vocabulary cannot be trimmed: the tokenizer cuts texts otherwise with fewer tokens.",
                    hint="Leave `export.vocabulary` out.",
                    pointer=POINTER,
                )


def _used(spec: JobSpec, sources: Sources) -> list[int]:
    """The ids that the counted splits use, and those that nothing may do without."""
    document, model = vocabulary.document_of(_tokenizer(sources)), sources.model.model
    rows = int(cast(Any, model).get_input_embeddings().num_embeddings)
    counts = cast(Rows, sum(_counts(sources, role, rows) for role in counted_splits(spec)))
    named = {value for value in token_ids(model).values() if 0 <= value < rows}
    return vocabulary.closed(document, vocabulary.frequent(counts, spec.export.vocabulary.guard) | named)


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


def _encoded(sources: Sources, role: str, limit: int | None) -> TokenExamples:
    """What is measured of a split."""
    return cast(TokenExamples, sources.thinned(role, limit))


def _unknown(examples: TokenExamples, tokenizer: Any) -> float | None:
    """The fraction of tokens that are the unknown one; None where there is none."""
    if tokenizer.unk_token_id is None:
        return None
    return float((_flat(examples) == tokenizer.unk_token_id).mean())


def _flat(examples: TokenExamples) -> Rows:
    """The ids of all rows, one after another."""
    return np.fromiter(chain.from_iterable(examples.token_ids), dtype=np.int64)
