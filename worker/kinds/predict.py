"""The story of a try: a module is made of its base and its mask, and both are asked about the same texts.

All on the CPU, where a few texts are answered sooner than a GPU is started, and no decomposition is disturbed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.domain.errors import InvalidInput
from app.settings import Settings
from app.sources.cache import Cache
from microlith.contract import ClassProbabilities, JobSpec, PredictedInput, Prediction, PredictionOrder
from microlith.masks import Base, MaskFile
from worker.attempt.journal import Journal
from worker.attempt.scratch import scratch
from worker.compute.examples import TokenExamples
from worker.evaluation.runner import Logits
from worker.evaluation.runner import predict as answers_of
from worker.kinds.stored_module import applied, reading, stored
from worker.sources.models import LoadedModel, load_model
from worker.sources.open_sources import encode_for

REHEARSED = "demo:bert-tiny-wordnet"


def predict(spec: JobSpec, journal: Journal, settings: Settings) -> None:
    """Answer the job's texts by module and base. Raises MicrolithError for what a caller can mend."""
    order = PredictionOrder.model_validate(journal.lease.order)
    with scratch() as folder, journal.shelf(spec, model_only=True) as shelf:
        with journal.phase("resolving"):
            cache = Cache(settings.cache_dir, settings.cache_bytes)
            loaded = load_model(spec.model, allow_paths=settings.paths, shelf=shelf, cache=cache)
            (kept,) = stored(journal, [order.module])
            kept.check_base(loaded.facts)
            mask = kept.fetched(journal, folder)
            module, reader = reading(applied(Base.of(loaded.model), mask), loaded, mask, folder)
            base_examples, examples = (_examples(order.inputs, model) for model in (loaded, reader))

        with journal.phase("evaluating"):
            journal.expect(2 * len(examples))
            base_logits = answers_of(loaded.model, base_examples, checkpoint=journal.follow())
            module_logits = answers_of(module, examples, checkpoint=journal.follow())
        journal.publish_prediction(side_by_side(order.inputs, loaded.labels, base_logits, mask, module_logits))


def rehearse() -> None:
    """Do once, while nobody waits, what is slow the first time: libraries load themselves as they are used."""
    loaded = load_model(REHEARSED, allow_paths=False)
    answers_of(loaded.model, _examples(["a rehearsal"], loaded))


def _examples(texts: Sequence[str], loaded: LoadedModel) -> TokenExamples:
    """The texts as the model reads them. Raises InvalidInput for one that it has no token for."""
    examples = encode_for(loaded, texts, np.zeros(len(texts), dtype=np.int64))
    for place, tokens in enumerate(examples.token_ids):
        if not len(tokens):
            raise InvalidInput("The model's tokenizer finds nothing to read here.", pointer=f"/inputs/{place}")
    return examples


def side_by_side(
    texts: Sequence[str], labels: list[str], base_logits: Logits, mask: MaskFile, module_logits: Logits
) -> Prediction:
    """Logits [texts, classes] of both as probabilities; where the mask's head is binary, the module has two classes."""
    own = mask.document.settings.id2label
    module_labels = [own[number] for number in sorted(own)] if own else labels
    pairs = zip(texts, _read(base_logits, labels), _read(module_logits, module_labels), strict=True)
    binary: dict[str, Any] | None = mask.decomposition["metrics"].get("binary")
    return Prediction(
        labels=labels,
        module_labels=module_labels,
        threshold=binary["threshold"] if binary else None,
        inputs=[PredictedInput(text=text, base=base, module=module) for text, base, module in pairs],
    )


def _read(logits: Logits, labels: Sequence[str]) -> list[ClassProbabilities]:
    """Each row's softmax, in float64, and the label of its highest."""
    values = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    rows = values / values.sum(axis=1, keepdims=True)
    return [ClassProbabilities(label=labels[int(row.argmax())], probabilities=row.tolist()) for row in rows]
