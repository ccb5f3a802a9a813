"""A classifier fed with embeddings instead of tokens: what it answers, and which way each class lies."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from app.domain.errors import UnsupportedModel
from worker.compute.arrays import Logits
from worker.compute.batches import budget_on, device_of, forward, pad
from worker.compute.examples import SEGMENTS, Examples, TokenExamples
from worker.compute.memory import in_parts

Mode = Literal["inputs", "seed"]
"""`inputs`: embeddings as the model takes them. `seed`: the output of the embedding layer, padded and fed through that
layer once more, which only reproduces the seed system."""

Epsilons = npt.NDArray[np.float64]

TOLERANCE = 1e-3
"""How far answers to embeddings may be from answers to their tokens, relative to the largest logit."""


@dataclass(frozen=True)
class EmbeddedText:
    """One text, or pair, as embeddings; `segments` are its token types, where the model is given them."""

    embeddings: Tensor  # [t, embedding]
    attention_mask: Tensor  # [t]
    segments: Tensor | None = None  # [t]

    def moved(self, directions: Tensor, epsilons: Epsilons) -> Tensor:
        """x − ε·direction for each ε [n, t, embedding]; `directions` is one [t, embedding], or one for each."""
        distance = torch.from_numpy(epsilons).to(self.embeddings)[:, None, None]
        return self.embeddings - distance * directions


@dataclass(frozen=True)
class EmbeddedModel:
    """A model in eval mode, run on at most `token_budget` positions at a time (None: as many as suit its device)."""

    model: nn.Module
    token_budget: int | None = None

    def embed(self, examples: TokenExamples, row: int, mode: Mode) -> EmbeddedText:
        """The embeddings of a row: unpadded, or as long as the longest input in the seed's way."""
        length = examples.max_length if mode == "seed" else len(examples.token_ids[row])
        batch = pad(examples, np.array([row]), length, device_of(self.model))
        with torch.no_grad():
            if mode == "seed":
                states = forward(self.model, batch, output_hidden_states=True).hidden_states[0]
            else:
                states = self.model.get_input_embeddings()(batch.inputs["input_ids"])  # type: ignore[operator]
        segments = batch.inputs[SEGMENTS][0] if SEGMENTS in batch.inputs else None
        return EmbeddedText(states[0], batch.inputs["attention_mask"][0], segments)

    def answers(self, embeddings: Tensor, text: EmbeddedText) -> Logits:
        """Logits [n, classes] of `embeddings` [n, t, embedding], which share the mask and token types of one text."""

        def ask(start: int, stop: int) -> Tensor:
            return self._logits(embeddings[start:stop], text).float().cpu()

        with torch.no_grad():
            answered: Logits = torch.cat(self._in_parts(ask, *embeddings.shape[:2])).numpy()
        return answered

    def directions(self, text: EmbeddedText, targets: Sequence[int]) -> Tensor:
        """The sign of the gradient of each target's loss with respect to the embeddings [targets, t, embedding].

        Goodfellow et al. 2015: a step against it makes the target likelier. Zero on pads.
        """
        copies = text.embeddings.expand(len(targets), -1, -1)
        labels = torch.tensor(targets, dtype=torch.int64, device=copies.device)

        def sign(start: int, stop: int) -> Tensor:
            given = copies[start:stop].clone().requires_grad_(True)
            loss = F.cross_entropy(self._logits(given, text), labels[start:stop], reduction="sum")
            return torch.autograd.grad(loss, given)[0].sign()

        signs = self._in_parts(sign, *copies.shape[:2])
        return torch.cat(signs) if signs else copies

    def check(self, text: EmbeddedText, expected: Logits) -> None:
        """Raises UnsupportedModel when embeddings are not answered as their tokens are: `expected` [classes].

        So it is where a model scales or changes what its embedding layer gives, outside of that layer.
        """
        answer = self.answers(text.embeddings.unsqueeze(0), text)[0]
        if np.abs(answer - expected).max() > TOLERANCE * (1.0 + np.abs(expected).max()):
            raise UnsupportedModel("This model does not answer embeddings as it answers their tokens.", hint=INSTEAD)

    def _in_parts(self, work: Callable[[int, int], Tensor], count: int, length: int) -> list[Tensor]:
        """What `work(start, stop)` gives for `count` inputs of one length, as many at a time as the budget takes."""

        def end(start: int, budget: int) -> int:
            return min(count, start + max(1, budget // length))

        return list(in_parts(work, count, end, self.token_budget or budget_on(device_of(self.model))))

    def _logits(self, embeddings: Tensor, text: EmbeddedText) -> Tensor:
        shared = {"attention_mask": text.attention_mask} | ({} if text.segments is None else {SEGMENTS: text.segments})
        inputs = {name: values.expand(len(embeddings), -1) for name, values in shared.items()}
        logits: Tensor = self.model(inputs_embeds=embeddings, **inputs).logits
        return logits


INSTEAD = 'Draw samples from the data with `sampling: {"source": "dataset"}`.'


def tokens_of(model: nn.Module, examples: Examples) -> TokenExamples:
    """The examples, where they can be embedded. Raises UnsupportedModel for images and for models of token ids only."""
    if not isinstance(examples, TokenExamples):
        raise UnsupportedModel("Boundary samples are moved word embeddings, and images have none.", hint=INSTEAD)
    if "inputs_embeds" not in inspect.signature(model.forward).parameters:
        raise UnsupportedModel("Boundary samples need a model that takes `inputs_embeds`.", hint=INSTEAD)
    return examples
