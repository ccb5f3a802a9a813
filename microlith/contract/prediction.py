"""Predictions: a module and its base asked about texts, side by side."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from microlith.contract.base import Answer, Body

MAX_INPUTS = 32
MAX_CHARACTERS = 10_000

Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARACTERS)]


class PredictionRequest(Body):
    """Texts to try a module on."""

    inputs: list[Text] = Field(
        min_length=1,
        max_length=MAX_INPUTS,
        description=f"Texts of at most {MAX_CHARACTERS:,} characters; what is longer than the model reads is cut.",
    )


class PredictionOrder(PredictionRequest):
    """Texts to try this module on."""

    module: str


class ClassProbabilities(Answer):
    """What a classifier makes of one input: a probability for each of its labels, and the label of the highest."""

    label: str
    probabilities: list[float]


class PredictedInput(Answer):
    """One input, as the base and as the module see it."""

    text: str
    base: ClassProbabilities
    module: ClassProbabilities


class Prediction(Answer):
    """The answers, in the order of the inputs. Probabilities of the base are in the order of `labels`, those of the

    module in the order of `module_labels`: the same, unless its head is `binary`. That one answers `rest` or the
    concern, with its `threshold` (on the concern's logit less the mean of the others') taken in already.
    """

    labels: list[str]
    module_labels: list[str]
    threshold: float | None = None
    inputs: list[PredictedInput]
