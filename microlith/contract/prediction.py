"""Predictions: the answers of a module and its base to the same texts, or pairs of texts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from microlith.contract.base import Answer, Body, Request

MAX_INPUTS = 32
MAX_CHARACTERS = 10_000

Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARACTERS)]


class TextPair(Request):
    """Two texts that are read together: premise and hypothesis, question and passage."""

    text: Text
    text_pair: Text


class PredictionRequest(Body):
    """Texts to try a module on, or pairs where its job read pairs (`text_pair_column`)."""

    inputs: list[Text | TextPair] = Field(
        min_length=1,
        max_length=MAX_INPUTS,
        description=f"Texts of at most {MAX_CHARACTERS:,} characters, or pairs: "
        '`{"text": "…", "text_pair": "…"}`. The model cuts those that are too long for it.',
    )


class PredictionOrder(PredictionRequest):
    """Texts or pairs to try this module on."""

    module: str


class ClassProbabilities(Answer):
    """A classifier's answer to one input: a probability for each of its labels, and the label with the highest one.
    A multi-label classifier answers with `labels`: those whose logits reach their thresholds.
    """

    label: str
    labels: list[str] | None = Field(None, description="Multi-label classifiers only; it may be empty.")
    probabilities: list[float]

    @property
    def said(self) -> str:
        """The answer in words: the label, or every label that is given."""
        return self.label if self.labels is None else ", ".join(self.labels) or "no label"


class PredictedInput(Answer):
    """One input, with the answers of the base and the module."""

    text: str
    text_pair: str | None = Field(None, description="The second text of a pair.")
    base: ClassProbabilities
    module: ClassProbabilities


class Prediction(Answer):
    """The answers, in the order of the inputs. The base's probabilities are in the order of `labels`, the module's in
    the order of `module_labels`. The two are the same unless the module's head is `binary`. A binary head answers
    `rest` or the concern, and its probabilities already include its `threshold` (on the concern's logit minus the mean
    of the others'). If the base is a multi-label model, that threshold is on the logit itself.
    """

    labels: list[str]
    module_labels: list[str]
    threshold: float | None = None
    inputs: list[PredictedInput]
