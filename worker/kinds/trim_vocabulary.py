"""What a job's modules read with: the base's vocabulary, or the tokens that the job's data uses, and what that costs.

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
from app.domain.layouts import counted_splits, number_type_of
from microlith.contract import Concern, JobSpec, OwnScore, TrimmedVocabulary
from microlith.contract.options import NumberType
from worker.compute.arrays import Rows
from worker.compute.batches import Checkpoint
from worker.compute.examples import Examples, GivenText, TokenExamples
from worker.evaluation.meaning import Meaning
from worker.evaluation.report import score
from worker.evaluation.runner import evenly, predict
from worker.kinds.measure import probe_of
from worker.packaging.rounding import rounded
from worker.packaging.trimmed_tokenizer import POINTER, add_indispensable, document_of, find_frequent
from worker.packaging.verify import ArchiveOpening
from worker.packaging.vocabulary import Vocabulary, token_ids
from worker.sources.models import LoadedModel
from worker.sources.open_sources import Sources


@dataclass(frozen=True)
class JobVocabulary:
    """A job's vocabulary, and the validation split read with it.

    `texts` are what the first of `examples` were read from, where a module has a tokenizer of its own. `cost` is None
    where nothing is trimmed.
    """

    base: LoadedModel
    vocabulary: Vocabulary
    examples: Examples
    texts: Sequence[GivenText] = ()
    cost: TrimmingCost | None = None
    number_type: NumberType = "float32"
    """The type that weights are stored in."""

    @classmethod
    def of(
        cls, spec: JobSpec, sources: Sources, validation: Examples, scratch: Path, kept: Sequence[int] | None = None
    ) -> JobVocabulary:
        """As the spec asks; of the tokens `kept` where they were counted before. `validation` is as the base reads it.

        Raises UnsupportedModel for a model that is not known to survive a trimming.
        """
        stored = number_type_of(spec.export, sources.model.number_type)
        rounded(sources.model.model, stored)  # who is beyond the type's range is told before anything is made
        if not spec.export.vocabulary.trim:
            return cls(sources.model, Vocabulary(sources.model), validation, number_type=stored)
        vocabulary = Vocabulary.of(sources.model, kept or _find_used(spec, sources), scratch)
        role, limit = spec.evaluation.validation_split, spec.evaluation.limit
        examples = _encode(replace(sources, model=vocabulary.loaded), role, limit)
        _check_reading(cast(TokenExamples, validation), examples, vocabulary)
        rows = evenly(len(sources.labels(role)), limit)[: len(probe_of(examples))]
        texts = [cast(GivenText, sources.data.split(role)[0][row]) for row in rows]
        return cls(sources.model, vocabulary, examples, texts, TrimmingCost.of(spec, sources, vocabulary), stored)

    @property
    def probe(self) -> Examples:
        """A few examples to tell by whether two modules are the same."""
        return probe_of(self.examples)

    @property
    def opening(self) -> ArchiveOpening:
        """How a clean process opens modules: with `texts`, their own tokenizer must read them alike."""
        return ArchiveOpening(base=self.base.folder, texts=self.texts, max_length=self.vocabulary.loaded.max_length)

    def hand_out(self, module: nn.Module) -> nn.Module:
        """A module of the base as its files have it: with this vocabulary, its weights rounded as they are stored.

        The module itself where that changes nothing.
        """
        return rounded(self.vocabulary.narrow(module), self.number_type)

    def settle(self, module: nn.Module) -> nn.Module:
        """A module of the base with the numbers that a mask makes: those of its files where the base came in them."""
        return rounded(module, self.number_type) if self.number_type == self.base.number_type else module

    def measure_cost(
        self, module: nn.Module, concern: Concern, meaning: Meaning, checkpoint: Checkpoint
    ) -> TrimmedVocabulary | None:
        """What the trimming costs a module of the base; None where nothing is trimmed."""
        return self.cost.measure(self.hand_out(module), concern, meaning, checkpoint) if self.cost else None


@dataclass(frozen=True)
class TrimmingCost:
    """What tells the cost of a trimming: the evaluation split, read with what is left; fractions of unknown tokens."""

    test: TokenExamples
    labels: Sequence[str]
    kept: tuple[int, ...]
    base_tokens: int
    guard: float
    unknown: float | None
    base_unknown: float | None

    @classmethod
    def of(cls, spec: JobSpec, sources: Sources, vocabulary: Vocabulary) -> TrimmingCost:
        """Of what the spec asks to measure."""
        role, limit = spec.evaluation.split, spec.evaluation.limit
        whole, test = (_encode(read, role, limit) for read in (sources, replace(sources, model=vocabulary.loaded)))
        return cls(
            test=test,
            labels=sources.model.labels,
            kept=vocabulary.kept or (),
            base_tokens=len(sources.model.tokenizer),
            guard=spec.export.vocabulary.guard,
            unknown=_count_unknown(test, vocabulary.loaded.tokenizer),
            base_unknown=_count_unknown(whole, sources.model.tokenizer),
        )

    def measure(
        self, small: nn.Module, concern: Concern, meaning: Meaning, checkpoint: Checkpoint
    ) -> TrimmedVocabulary:
        """How a module measures that reads with what is left; its logits mean what they did before."""
        logits = predict(small, self.test, checkpoint=lambda _: checkpoint(0))
        measured = score(logits, self.test.labels, self.labels, meaning)
        return TrimmedVocabulary(
            tokens=len(self.kept),
            base_tokens=self.base_tokens,
            guard=self.guard,
            sha256=hashlib.sha256(np.array(self.kept, dtype="<i8").tobytes()).hexdigest(),
            unknown=self.unknown,
            base_unknown=self.base_unknown,
            own=OwnScore.model_validate(measured.classes[concern.id].model_dump()),
            macro=measured.macro,
            accuracy=measured.accuracy,
            loss=measured.loss,
        )


def _check_reading(before: TokenExamples, after: TokenExamples, vocabulary: Vocabulary) -> None:
    """Raises UnsupportedModel unless texts of kept tokens alone are read as the base reads them."""
    new = {old: new_id for new_id, old in enumerate(vocabulary.kept or ())}
    for old_ids, new_ids in zip(before.token_ids, after.token_ids, strict=True):
        if all(token in new for token in old_ids) and [new[token] for token in old_ids] != list(new_ids):
            raise UnsupportedModel(
                "The vocabulary cannot be trimmed: the tokenizer cuts texts otherwise with fewer tokens.",
                hint="Leave `export.vocabulary` out.",
                pointer=POINTER,
            )


def _find_used(spec: JobSpec, sources: Sources) -> list[int]:
    """The ids that the counted splits use, and those that nothing may do without."""
    if sources.model.tokenizer is None:
        raise UnsupportedModel(
            "The vocabulary cannot be trimmed: this model reads no texts.",
            hint="Leave `export.vocabulary` out.",
            pointer=POINTER,
        )
    document, model = document_of(sources.model.tokenizer), cast(Any, sources.model.model)
    rows = int(model.get_input_embeddings().num_embeddings)
    counts = cast(Rows, sum(_count_tokens(sources, role, rows) for role in counted_splits(spec)))
    named = {value for value in token_ids(model).values() if 0 <= value < rows}
    return add_indispensable(document, find_frequent(counts, spec.export.vocabulary.guard) | named)


def _count_tokens(sources: Sources, role: str, rows: int) -> Rows:
    """How often each id stands in a whole split [embedding rows]."""
    examples = cast(TokenExamples, sources.encode(role, range(len(sources.labels(role)))))
    return np.bincount(_flatten(examples), minlength=rows)


def _count_unknown(examples: TokenExamples, tokenizer: Any) -> float | None:
    """The fraction of tokens that are the unknown one; None where there is none."""
    if tokenizer.unk_token_id is None:
        return None
    return float((_flatten(examples) == tokenizer.unk_token_id).mean())


def _encode(sources: Sources, role: str, limit: int | None) -> TokenExamples:
    """What is measured of a split."""
    return cast(TokenExamples, sources.thinned(role, limit))


def _flatten(examples: TokenExamples) -> Rows:
    """The ids of all rows, one after another."""
    return np.fromiter(chain.from_iterable(examples.token_ids), dtype=np.int64)
