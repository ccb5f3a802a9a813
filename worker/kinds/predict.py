"""The story of a try: a module is made of its base and its mask, and both are asked about the same texts, or pairs.

All on the CPU, where a few texts are answered sooner than a GPU is started, and no decomposition is disturbed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.domain.errors import InvalidInput
from app.domain.layouts import number_type_of
from app.settings import Settings
from app.sources.cache import Cache
from microlith.contract import ClassProbabilities, JobSpec, PredictedInput, Prediction, PredictionOrder, TextPair
from microlith.masks import Base, MaskFile
from worker.attempt.attempt import Attempt
from worker.attempt.scratch import scratch
from worker.compute.arrays import Logits
from worker.compute.examples import GivenText, TokenExamples
from worker.evaluation.meaning import Meaning
from worker.evaluation.runner import predict as answers_of
from worker.kinds.stored_module import apply_to_base, find_modules
from worker.packaging.mask_layout import tokens_of
from worker.packaging.rounding import rounded
from worker.packaging.vocabulary import Vocabulary
from worker.sources.models import LoadedModel, load_model
from worker.sources.open_sources import encode_for

REHEARSED = "demo:bert-tiny-wordnet"


def predict(spec: JobSpec, attempt: Attempt, settings: Settings) -> None:
    """Answer the job's texts by module and base. Raises MicrolithError for what a caller can mend."""
    order = PredictionOrder.model_validate(attempt.lease.order)
    with scratch() as folder, attempt.hold_sources(spec, model_only=True) as shelf:
        with attempt.progress.phase("resolving"):
            cache = Cache(settings.cache_dir, settings.cache_bytes)
            loaded = load_model(spec.model, allow_paths=settings.paths, shelf=shelf, cache=cache)
            (stored,) = find_modules(attempt, [order.module])
            stored.check_base(loaded.facts)
            mask = stored.fetch_mask(attempt, folder)
            vocabulary = Vocabulary.of(loaded, tokens_of(mask), folder)
            narrow = vocabulary.narrow(apply_to_base(Base.of(loaded.model), mask))
            module = rounded(narrow, number_type_of(spec.export, loaded.number_type))
            given = [(one.text, one.text_pair) if isinstance(one, TextPair) else one for one in order.inputs]
            base_examples, examples = (_encode(given, reader) for reader in (loaded, vocabulary.loaded))

        with attempt.progress.phase("evaluating"):
            attempt.progress.expect(2 * len(examples))
            base_logits = answers_of(loaded.model, base_examples, checkpoint=attempt.progress.follow())
            module_logits = answers_of(module, examples, checkpoint=attempt.progress.follow())
        meanings = stored.base_meaning, stored.meaning
        attempt.publisher.publish_prediction(
            compare_answers(given, loaded.labels, (base_logits, module_logits), meanings, mask)
        )


def rehearse() -> None:
    """Do once, while nobody waits, what is slow the first time: libraries load themselves as they are used."""
    loaded = load_model(REHEARSED, allow_paths=False)
    answers_of(loaded.model, _encode(["a rehearsal"], loaded))


def _encode(texts: Sequence[GivenText], loaded: LoadedModel) -> TokenExamples:
    """The texts as the model reads them. Raises InvalidInput for one that it has no token for."""
    examples = encode_for(loaded, texts, np.zeros(len(texts), dtype=np.int64))
    for number, tokens in enumerate(examples.token_ids):
        if not len(tokens):
            raise InvalidInput("The model's tokenizer finds nothing to read here.", pointer=f"/inputs/{number}")
    return examples


def compare_answers(
    texts: Sequence[GivenText],
    labels: list[str],
    logits: tuple[Logits, Logits],
    meanings: tuple[Meaning, Meaning],
    mask: MaskFile,
) -> Prediction:
    """Logits [texts, classes] of base and module as what they mean; of a binary head the module has two classes."""
    own_labels = mask.document.settings.id2label
    module_labels = [own_labels[number] for number in sorted(own_labels)] if own_labels else labels
    of_base, of_module = map(_to_answers, logits, meanings, (labels, module_labels))
    rows = zip(texts, of_base, of_module, strict=True)
    binary: dict[str, Any] | None = mask.decomposition["metrics"].get("binary")
    return Prediction(
        labels=labels,
        module_labels=module_labels,
        threshold=binary["threshold"] if binary else None,
        inputs=[PredictedInput(**_named(text), base=base, module=module) for text, base, module in rows],
    )


def _named(given: GivenText) -> dict[str, str]:
    return {"text": given} if isinstance(given, str) else dict(zip(("text", "text_pair"), given, strict=True))


def _to_answers(logits: Logits, meaning: Meaning, labels: Sequence[str]) -> list[ClassProbabilities]:
    """Each row's probabilities, the label of the highest, and those that are given where there may be several."""
    rows, given = meaning.probabilities(logits), meaning.answers(logits)
    return [
        ClassProbabilities(
            label=labels[int(row.argmax())],
            labels=None if given.ndim == 1 else [labels[place] for place in np.flatnonzero(given[number]).tolist()],
            probabilities=row.tolist(),
        )
        for number, row in enumerate(rows)
    ]
