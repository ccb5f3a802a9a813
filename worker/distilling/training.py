"""How a student learns: step by step with a rate that falls to nothing, epoch by epoch judged on validation data.

The best epoch is what counts. After each epoch the whole state can be kept, and a later attempt goes on from there:
with equal seeds on one kind of CPU it comes to the same bytes as if it had never stopped, unless minutes are counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from app.domain.distilling import LEARNING_RATE
from worker.compute.arrays import Rows
from worker.compute.batches import Checkpoint, budget_on, device_of, forward, pad, unwatched
from worker.compute.memory import in_parts
from worker.distilling.lessons import Lessons

LONGEST_STEP = 1.0
"""The norm that a step's gradient is cut to."""

Judge = Callable[[nn.Module], float]
"""How good a model is on validation data, the higher the better."""


@dataclass(frozen=True)
class Recipe:
    """How long and how fast a student learns.

    `minutes` bound it: the rate then falls with the time as well as with the steps, and ends at zero with whichever is
    over first.
    """

    epochs: int
    learning_rate: float = LEARNING_RATE
    minutes: float | None = None


@dataclass
class Study:
    """How far a student is: what goes on from one epoch to the next, and the best there was."""

    epochs: int = 0  # that are over
    steps: int = 0
    seconds: float = 0.0
    scores: list[float] = field(default_factory=list)  # by epoch, on validation data
    values: dict[str, Tensor] = field(default_factory=dict)  # the student's after the last epoch
    momenta: dict[str, Tensor] = field(default_factory=dict)  # the optimiser's
    best: dict[str, Tensor] = field(default_factory=dict)  # the student's after the best epoch
    over: bool = False


Keep = Callable[[Study], None]
"""Keeps the state of a study for a later attempt."""


def forget(_study: Study) -> None:
    """Keeps nothing."""


@dataclass
class Training:
    """One student's course of learning."""

    model: nn.Module
    parameters: Mapping[str, nn.Parameter]
    lessons: Lessons
    judge: Judge
    recipe: Recipe
    study: Study = field(default_factory=Study)

    def __post_init__(self) -> None:
        self._device = device_of(self.model)
        self._optimiser = torch.optim.AdamW(self.parameters.values(), lr=self.recipe.learning_rate)
        self._steps = self.recipe.epochs * self.lessons.steps
        if self.study.values and not self.study.over:
            self._go_on()

    def run(self, keep: Keep = forget, checkpoint: Checkpoint = unwatched) -> Study:
        """The study when it is over; the model is then as it was after its best epoch.

        `keep` hears of every epoch, and `checkpoint` the rows learned from after every step; both may raise.
        """
        study, size = self.study, len(self.lessons.examples)
        while not study.over:
            began, before, done = time.monotonic(), study.seconds, study.epochs * size
            for rows in self.lessons.batches(study.epochs):
                study.seconds = before + time.monotonic() - began
                if self.share >= 1:
                    break
                self._step(rows)
                study.steps += 1
                done += len(rows)
                checkpoint(done)
            study.scores.append(self.judge(self.model))
            study.epochs += 1
            study.seconds = before + time.monotonic() - began
            study.over = self.share >= 1
            self._note(study)
            keep(study)
        self._fill(study.best)
        return study

    @property
    def share(self) -> float:
        """How much of the study is over, by steps or by time."""
        minutes = self.recipe.minutes
        spent = self.study.seconds / (60 * minutes) if minutes else 0.0
        return max(self.study.steps / self._steps, spent)

    def _step(self, rows: Rows) -> None:
        """One batch, in parts where it is too large for the device; their gradients are summed."""
        length = int(self.lessons.examples.lengths(rows).max())
        parts = in_parts(
            lambda start, stop: self._gradients(rows[start:stop], length, len(rows)),
            len(rows),
            lambda start, budget: min(len(rows), start + max(1, budget // length)),
            budget_on(self._device),
        )
        for parameter in self.parameters.values():
            parameter.grad = None
        for gradients in parts:
            for parameter, gradient in zip(self.parameters.values(), gradients, strict=True):
                if gradient is not None:
                    parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        nn.utils.clip_grad_norm_(self.parameters.values(), LONGEST_STEP)
        for group in self._optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * (1 - self.share)
        self._optimiser.step()

    def _gradients(self, rows: Rows, length: int, of: int) -> tuple[Tensor | None, ...]:
        """Of the mean loss over `of` rows, what these rows add."""
        with fast_numbers(self._device):
            logits = forward(self.model, pad(self.lessons.examples, rows, length, self._device)).logits
        loss = self.lessons.loss(logits, rows) / of
        return torch.autograd.grad(loss, list(self.parameters.values()), allow_unused=True)

    def _note(self, study: Study) -> None:
        """Puts the state after an epoch into the study."""
        study.values = {name: value.detach().cpu().clone() for name, value in self.parameters.items()}
        study.momenta = {
            f"{kind}/{name}": tensor.cpu().clone()
            for name, parameter in self.parameters.items()
            for kind, tensor in self._optimiser.state[parameter].items()
        }
        if study.scores[-1] >= max(study.scores):
            study.best = study.values

    def _go_on(self) -> None:
        """Student and optimiser as they were when the study was kept."""
        self._fill(self.study.values)
        for stored, tensor in self.study.momenta.items():
            kind, _, name = stored.partition("/")
            at = torch.device("cpu") if kind == "step" else self._device
            self._optimiser.state[self.parameters[name]][kind] = tensor.to(at).clone()

    def _fill(self, values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(values[name])


def fast_numbers(device: torch.device) -> AbstractContextManager[object]:
    """While the block runs, products are in bfloat16 where the device is made for it, and in float32 elsewhere."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = torch.cpu.get_capabilities()
        fast = device.type == "cpu" and bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)
