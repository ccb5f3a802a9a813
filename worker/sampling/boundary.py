"""Samples generated at the model's decision boundary: confident examples, moved until the answer is about to change.

From correctly answered examples of every class, one step along the sign of one gradient leads towards every other
class. How far the boundary is, a scan finds; samples are made just before it (positive: still the class) and just
behind it (negative: now another).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from app.domain.errors import DatasetInvalid, NotEnoughSamples
from microlith.contract import Sampling
from worker.compute.arrays import Floats, Logits, Rows, Truth
from worker.compute.batches import Checkpoint, unwatched
from worker.compute.examples import EmbeddedExamples, Examples, TokenExamples
from worker.sampling.boundary_crossings import Crossing, Start, crossings
from worker.sampling.boundary_draws import Draw, even_draws
from worker.sampling.boundary_plan import BoundaryPlan
from worker.sampling.concern import ConcernSamples, draw_available
from worker.sampling.embedding_classifier import EmbeddedModel, Mode, tokens_of
from worker.sampling.seed_draws import seed_draws


@dataclass(frozen=True)
class BoundarySet:
    """Generated samples of all classes. A label is what a sample is answered, in mode `seed` its source."""

    examples: EmbeddedExamples
    positive: npt.NDArray[np.bool_]  # [rows], before the boundary
    sources: Rows  # [rows], the class a sample was moved from
    targets: Rows  # [rows], the class it was moved towards
    epsilons: npt.NDArray[np.float64]  # [rows], how far
    classes: int  # of the model
    mode: Mode = "inputs"

    def __len__(self) -> int:
        return len(self.examples)


def generate(
    model: nn.Module,
    examples: Examples,
    logits: Logits,
    plan: BoundaryPlan,
    *,
    token_budget: int | None = None,
    checkpoint: Checkpoint = unwatched,
) -> BoundarySet:
    """The samples of a plan, from `examples` that the model answers with `logits` [rows, classes].

    In mode `inputs` every sample is run again: a positive is answered with its source, a negative with its target. A
    class without correct examples gives no samples. The model is left in eval mode. `checkpoint` hears how many scans
    are done, of one from every start to every other class, and may raise. Raises UnsupportedModel for images and for
    models that cannot take embeddings.
    """
    embedded, classes = EmbeddedModel(model.eval(), token_budget), logits.shape[1]
    scanned = []
    for crossing in find_crossings(embedded, tokens_of(model, examples), logits, plan):
        scanned.append(crossing)
        checkpoint(len(scanned))
    drawn = (even_draws if plan.mode == "inputs" else seed_draws)(scanned, classes, plan)
    return _made(embedded, drawn, classes, plan)


def find_crossings(
    model: EmbeddedModel, examples: TokenExamples, logits: Logits, plan: BoundaryPlan
) -> Iterator[Crossing]:
    """Every start's way to every other class, start by start. Raises UnsupportedModel as `generate` does."""
    for rank, source, row in choose_starts(examples.labels, logits, plan):
        start = Start(row, source, rank, model.embed(examples, row, plan.mode))
        if plan.mode == "inputs":
            model.check(start.text, logits[row])
        yield from crossings(model, start, logits.shape[1], plan.boundary, plan.stride)


def choose_starts(labels: Truth, logits: Logits, plan: BoundaryPlan) -> list[tuple[int, int, int]]:
    """Rank, class and row of every start, rank by rank; a class of few correct examples fills fewer ranks.

    Confidence is the probability of the answer, in the seed's way its logit.
    """
    scores = logits if plan.mode == "seed" else torch.from_numpy(logits).double().log_softmax(1).numpy()
    right = logits.argmax(axis=1) == labels
    chosen = []
    for label in range(logits.shape[1]):
        rows = np.flatnonzero(right & (labels == label))
        ranked = rows[np.argsort(-scores[rows, label], kind="stable")]
        top, bottom = min(plan.boundary.top, len(ranked)), plan.boundary.bottom
        chosen += [(rank, label, int(row)) for rank, row in enumerate(ranked[:top])]
        least = ranked[top:][::-1][:bottom]
        chosen += [(plan.boundary.top + rank, label, int(row)) for rank, row in enumerate(least)]
    return sorted(chosen)


def samples_of(boundary_set: BoundarySet, concern: int, per_concern: int) -> ConcernSamples:
    """The concern's samples, as rows of the set's examples: those before its boundary, and as many of the rest.

    The rest are samples that have crossed a boundary and are answered with other classes now; in mode `seed` samples
    before the boundaries of other classes. They are spread evenly over the labels, and of each the first are taken.
    Raises NotEnoughSamples.
    """
    labels, positive = boundary_set.examples.labels, boundary_set.positive
    rest = positive if boundary_set.mode == "seed" else ~positive
    able = np.flatnonzero(np.where(labels == concern, positive, rest))
    drawn = draw_available(labels[able], concern, boundary_set.classes, Sampling(per_concern=per_concern))
    for whose, rows in ((f"class {concern}", drawn.positive), ("the rest", drawn.negative)):
        if len(rows) < per_concern:
            raise NotEnoughSamples(
                f"Too few samples at the decision boundary: {len(rows)} of {whose}, {per_concern} are needed.",
                hint="Start from more examples with `sampling.boundary.top` and `bottom`, move further with `max`, or "
                "ask for fewer samples with `sampling.per_concern`.",
                pointer="/sampling/boundary",
            )
    positives, negatives = (tuple(able[list(rows)].tolist()) for rows in (drawn.positive, drawn.negative))
    return ConcernSamples(positives, negatives)


def check_fits(boundary_set: BoundarySet, width: int, classes: int, token_types: int = 0) -> None:
    """Raises DatasetInvalid when a set was made for a model of other classes or of embeddings of another width, or of
    pairs where there are none; `token_types` are those that the job's model and data have, 0 without pairs.
    """
    segments = boundary_set.examples.segments
    if (segments is not None) != (token_types > 0) and len(boundary_set):
        made, read = ("pairs", "single texts") if segments is not None else ("single texts", "pairs")
        raise DatasetInvalid(f"The boundary samples are of {made}, and the job reads {read}.")
    if segments is not None and max(int(types.max()) for types in segments) >= token_types > 0:
        raise DatasetInvalid(f"The boundary samples have token types that the model, with {token_types}, does not.")
    widths = {row.shape[1] for row in boundary_set.examples.embeddings}
    if boundary_set.classes != classes or widths - {width}:
        raise DatasetInvalid(
            f"The boundary samples are of {boundary_set.classes} classes and embeddings of width {sorted(widths)}; the "
            f"model has {classes} classes and width {width}."
        )


def _made(model: EmbeddedModel, drawn: Sequence[Draw], classes: int, plan: BoundaryPlan) -> BoundarySet:
    """The samples in the order they were drawn; each start's gradients are taken once more, not kept."""
    by_start: dict[int, list[int]] = {}
    for place, draw in enumerate(drawn):
        by_start.setdefault(draw.crossing.start.row, []).append(place)
    made: dict[int, tuple[Floats, float]] = {}
    for places in by_start.values():
        moved, epsilons = _moved(model, [drawn[place] for place in places], classes, plan)
        made.update(zip(places, zip(moved.float().cpu().numpy(), epsilons, strict=True), strict=True))
    sources = np.array([draw.crossing.start.source for draw in drawn], dtype=np.int64)
    targets = np.array([draw.crossing.target for draw in drawn], dtype=np.int64)
    positive = np.array([draw.positive for draw in drawn], dtype=bool)
    texts = [draw.crossing.start.text for draw in drawn]
    segments = [text.segments.cpu().numpy() for text in texts if text.segments is not None]
    return BoundarySet(
        examples=EmbeddedExamples(
            embeddings=[made[place][0] for place in range(len(drawn))],
            attention_masks=[text.attention_mask.cpu().numpy() for text in texts],
            labels=sources if plan.mode == "seed" else np.where(positive, sources, targets),
            segments=segments or None,
        ),
        positive=positive,
        sources=sources,
        targets=targets,
        epsilons=np.array([made[place][1] for place in range(len(drawn))], dtype=np.float64),
        classes=classes,
        mode=plan.mode,
    )


def _moved(
    model: EmbeddedModel, draws: Sequence[Draw], classes: int, plan: BoundaryPlan
) -> tuple[Tensor, npt.NDArray[np.float64]]:
    """Samples of one start [draws, t, embedding], and the ε they were moved by.

    One that is on the wrong side of the boundary, which may be crossed more than once within a step, takes the ε that
    the scan has seen.
    """
    start = draws[0].crossing.start
    targets = [label for label in range(classes) if label != start.source]
    ways = model.directions(start.text, targets)[[targets.index(draw.crossing.target) for draw in draws]]
    epsilons = np.array([draw.epsilon for draw in draws])
    moved = start.text.moved(ways, epsilons)
    if plan.mode == "inputs":
        answers = [start.source if draw.positive else draw.crossing.target for draw in draws]
        strayed = model.answers(moved, start.text).argmax(axis=1) != answers
        scanned = np.array([draw.scanned(plan.boundary) for draw in draws])
        epsilons = np.where(strayed, scanned, epsilons)
        moved = start.text.moved(ways, epsilons)
    return moved, epsilons
