"""Texts that a module was tried on: what the base makes of each, and what the module does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from microlith.contract import ClassProbabilities, Job, Module, PredictedInput

SHOWN = 5


@dataclass(frozen=True)
class Likely:
    """A label, its probability, and whether it is the module's concern."""

    label: str
    probability: float
    concern: bool

    @property
    def width(self) -> float:
        """Percent of the bar's room."""
        return round(100 * self.probability, 2)


@dataclass(frozen=True)
class ClassifierAnswer:
    """What one classifier says of one text, the likeliest labels first."""

    who: str
    label: str
    likely: list[Likely]


@dataclass(frozen=True)
class Tried:
    """A text, or a pair, and both answers to it."""

    texts: list[str]
    base: ClassifierAnswer
    module: ClassifierAnswer

    @property
    def says(self) -> str:
        """The two in a sentence."""
        if self.base.label == self.module.label:
            return f"Both say {self.base.label}."
        return f"The base says {self.base.label}, the module {self.module.label}."


@dataclass(frozen=True)
class TypedTexts:
    """What was typed; `text_pair` is None where the module reads single texts."""

    text: str = ""
    text_pair: str | None = None


@dataclass(frozen=True)
class TryPage:
    """The form with what was typed, and what came of it: answers, a fault, or a job that is still under way."""

    module: Module
    typed: TypedTexts
    tried: list[Tried]
    fault: str | None
    job: Job | None

    @property
    def waiting(self) -> bool:
        return self.job is not None and not self.job.finished


def try_page(
    module: Module, typed: TypedTexts | None = None, job: Job | None = None, fault: str | None = None
) -> TryPage:
    prediction = job.prediction if job else None
    tried = []
    if prediction:
        labels = (prediction.labels, prediction.module_labels)
        tried = [_tried(one, labels, module.concern.label) for one in prediction.inputs]
    if job and job.error:
        fault = " ".join(part for part in (job.error.message, job.error.hint) if part)
    return TryPage(module, typed or TypedTexts(), tried, fault, job)


def inputs_of(typed: TypedTexts) -> list[str] | list[dict[str, str]]:
    """A text on each line; of pairs, the lines of the two fields together, as many as the longer field has."""
    texts = _lines(typed.text)
    if typed.text_pair is None:
        return texts
    return [{"text": one, "text_pair": two} for one, two in zip_longest(texts, _lines(typed.text_pair), fillvalue="")]


def _lines(field: str) -> list[str]:
    return [line.strip() for line in field.splitlines() if line.strip()]


def _tried(one: PredictedInput, labels: tuple[Sequence[str], Sequence[str]], concern: str) -> Tried:
    texts = [one.text] if one.text_pair is None else [one.text, one.text_pair]
    base, module = _answer("base", one.base, labels[0], concern), _answer("module", one.module, labels[1], concern)
    return Tried(texts, base, module)


def _answer(who: str, said: ClassProbabilities, labels: Sequence[str], concern: str) -> ClassifierAnswer:
    likely = sorted(zip(labels, said.probabilities, strict=True), key=lambda pair: -pair[1])[:SHOWN]
    return ClassifierAnswer(who, said.said, [Likely(label, value, label == concern) for label, value in likely])
