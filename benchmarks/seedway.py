"""The seed system's way of working, told plainly: the slow side of every speed benchmark.

Every input is padded to the longest the model takes, sixteen go through at a time, and one concern comes after another:
a deep copy of the model, a calibration pass of its own, its masks, the whole test split, exp_loss of the module and of
the base again, similarity on samples of the validation split. Where there is a device, the model moves to it and back
for every batch. Nothing of the engine is imported here, so that where both agree, that says something; that this is
what the seed system computes is shown by tests/benchmarks/test_seedway.py.
"""

from __future__ import annotations

import copy
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from sklearn.metrics import precision_recall_fscore_support
from torch import Tensor, nn

from benchmarks.seed_measures import Matrix, cca, kernel_cka, linear_cka

BATCH = 16
SAMPLES = 16


@dataclass(frozen=True)
class Split:
    """Texts as the seed system keeps them: padded once, all to one length."""

    input_ids: Tensor  # [rows, length]
    attention_mask: Tensor  # [rows, length]
    labels: npt.NDArray[np.int64]  # [rows]

    @classmethod
    def padded(cls, token_ids: Sequence[Sequence[int]], labels: npt.NDArray[np.int64], length: int) -> Split:
        """Token ids, padded with 0."""
        input_ids = torch.zeros(len(token_ids), length, dtype=torch.int64)
        mask = torch.zeros_like(input_ids)
        for row, tokens in enumerate(token_ids):
            input_ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
        return cls(input_ids, mask, labels)

    def take(self, rows: Sequence[int]) -> Split:
        """The examples of `rows`, in that order."""
        chosen = list(rows)
        return Split(self.input_ids[chosen], self.attention_mask[chosen], self.labels[chosen])

    def batches(self) -> Iterator[Split]:
        """Sixteen at a time."""
        for start in range(0, len(self.labels), BATCH):
            yield self.take(range(start, min(start + BATCH, len(self.labels))))


@dataclass(frozen=True)
class Asked:
    """What the seed system is set up with."""

    classes: int
    ratio: float = 0.5
    form: str = "sine"
    include: tuple[str, ...] = ("intermediate", "output")
    exclude: tuple[str, ...] = ("attention",)
    device: str = "cpu"


@dataclass(frozen=True)
class Row:
    """What the seed system tells of one concern's module; `seconds` by what they were spent on."""

    concern: int
    precision: list[float]  # [classes]
    recall: list[float]
    f1: list[float]
    exp_loss: float
    base_exp_loss: float
    concern_similarity: dict[str, float]
    rest_similarity: dict[str, float]
    seconds: dict[str, float]


@dataclass
class Clock:
    """Seconds by name."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def on(self, name: str) -> Iterator[None]:
        """Counts the time of the block."""
        began = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - began


def decompose(
    model: nn.Module, train: Split, validation: Split, test: Split, concerns: Sequence[int], asked: Asked
) -> Iterator[Row]:
    """One row for each concern, each from nothing."""
    for concern in concerns:
        clock = Clock()
        with clock.on("copy"):
            module = copy.deepcopy(model)
        with clock.on("calibrate and prune"):
            prune(module, train, concern, asked)
        with clock.on("evaluate"):
            logits = predict(module, test, asked)
            precision, recall, f1 = scores(logits, test.labels, asked.classes)
        with clock.on("similarity"):
            positive, negative = sample(validation.labels, concern, asked.classes)
            own = similarity(model, module, validation.take(positive), asked)
            rest = similarity(model, module, validation.take(negative), asked)
        with clock.on("exp_loss"):
            module_loss = exp_loss(predict(module, validation, asked), validation.labels)
        with clock.on("exp_loss of the base"):
            base_loss = exp_loss(predict(model, validation, asked), validation.labels)
        yield Row(concern, precision, recall, f1, module_loss, base_loss, own, rest, dict(clock.seconds))


def sample(labels: npt.NDArray[np.int64], concern: int, classes: int) -> tuple[list[int], list[int]]:
    """Rows of the concern and of the rest, first found first taken, class by class inside a batch."""
    others = [label for label in range(classes) if label != concern]
    each, extra = divmod(SAMPLES, len(others))
    left = {label: each + (place < extra) for place, label in enumerate(others)} | {concern: SAMPLES}
    positive: list[int] = []
    negative: list[int] = []
    for start in range(0, len(labels), BATCH):
        window = range(start, min(start + BATCH, len(labels)))
        for label in range(classes):
            for row in window:
                if labels[row] == label and left[label] > 0:
                    left[label] -= 1
                    (positive if label == concern else negative).append(row)
    return positive, negative


def prune(module: nn.Module, train: Split, concern: int, asked: Asked) -> None:
    """Zeroes the weights that concern identification scores lowest, row by row."""
    positive, negative = sample(train.labels, concern, asked.classes)
    inputs = layer_inputs(module, train.take(positive + negative), asked)
    for name, seen in inputs.items():
        weight = module.get_submodule(name).weight.detach()
        scores = weight.abs() * coefficient(*seen.flatten(0, 1).chunk(2), asked.form).abs()  # [out, in]
        lowest = torch.sort(scores, dim=1, stable=True).indices[:, : int(weight.shape[1] * asked.ratio)]
        weight.scatter_(1, lowest, 0.0)


def coefficient(positive: Tensor, negative: Tensor, form: str) -> Tensor:
    """Importance of each input feature [in], from [tokens, in] of the concern and of the rest."""
    p, n = torch.norm(positive, dim=0), torch.norm(negative, dim=0)
    cos = F.cosine_similarity(positive, negative, dim=0)
    sin = torch.sqrt(1 - cos**2)
    if form == "sine":
        return p + sin * (p + n) / torch.sqrt(p**2 + n**2)
    return p + cos * sin / (cos - sin) * n


def layer_inputs(model: nn.Module, shown: Split, asked: Asked) -> dict[str, Tensor]:
    """What every layer to be pruned reads in one pass: [rows, length, in]."""
    seen: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_pre_hook(lambda _layer, inputs, name=name: seen.update({name: inputs[0].cpu()}))
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and taken(name, asked)
    ]
    run(model, shown, asked)
    for hook in hooks:
        hook.remove()
    return seen


def taken(name: str, asked: Asked) -> bool:
    """Whether a layer is pruned."""
    return any(part in name for part in asked.include) and not any(part in name for part in asked.exclude)


def run(model: nn.Module, shown: Split, asked: Asked) -> Any:
    """One batch through the model, which comes to the device for it and leaves again."""
    model.to(asked.device).eval()
    with torch.no_grad():
        answer = model(
            input_ids=shown.input_ids.to(asked.device),
            attention_mask=shown.attention_mask.to(asked.device),
            output_hidden_states=True,
        )
    model.to("cpu")
    return answer


def predict(model: nn.Module, split: Split, asked: Asked) -> Tensor:
    """Logits [rows, classes]."""
    return torch.cat([run(model, batch, asked).logits.cpu() for batch in split.batches()])


def scores(logits: Tensor, labels: npt.NDArray[np.int64], classes: int) -> tuple[list[float], list[float], list[float]]:
    """Precision, recall and F1 of every class."""
    found = precision_recall_fscore_support(
        labels, logits.argmax(1).numpy(), labels=list(range(classes)), zero_division=0
    )
    precision, recall, f1 = (values.tolist() for values in found[:3])
    return precision, recall, f1


def exp_loss(logits: Tensor, labels: npt.NDArray[np.int64]) -> float:
    """exp of the mean cross-entropy, which the seed system calls perplexity."""
    return math.exp(F.cross_entropy(logits.double(), torch.from_numpy(labels)).item())


def similarity(model: nn.Module, module: nn.Module, shown: Split, asked: Asked) -> dict[str, float]:
    """CCA and both CKA of the last hidden states, over neurons, pads and all."""
    x, y = (last_states(either, shown, asked) for either in (model, module))
    return {"cca": cca(x, y), "linear_cka": linear_cka(x, y), "kernel_cka": kernel_cka(x, y)}


def last_states(model: nn.Module, shown: Split, asked: Asked) -> Matrix:
    """The last hidden states [neurons, rows · length]."""
    states = run(model, shown, asked).hidden_states[-1]
    return states.cpu().flatten(0, 1).T.double().numpy()
