"""Everything the masks of a job are decided by: one forward pass, and one backward pass for gradient methods.

Statistics of inputs serve every concern, ratio, activation method and recovery. Gradients of weights are as large as
the weights, for every concern: they are turned into masks concern by concern, and only those are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from torch import Tensor, nn

from app.domain.methods import parts_of
from microlith.contract import Calibration, CiMethod, JobSpec
from worker.compute.batches import Checkpoint, unwatched
from worker.compute.examples import Examples
from worker.families.anatomy import Anatomy
from worker.families.layers import linear
from worker.pruning.heads import HeadTally, head_importance, importance_rows
from worker.pruning.masks import Bits
from worker.pruning.recovery import weight_restorer
from worker.pruning.removable_parts import Targets, targets_of
from worker.pruning.scores.taylor import neuron_effects, taylor_rows, weight_gradients, weight_scores
from worker.pruning.selection import select
from worker.pruning.statistics import Statistics, calibrate, calibration_rows
from worker.sampling.concern import ConcernSamples


@dataclass(frozen=True)
class Evidence:
    """What the samples say of the unpruned model; empty where a method does not ask them."""

    samples: Mapping[int, ConcernSamples]
    statistics: Statistics | None = None
    heads: Mapping[int, Tensor] = field(default_factory=dict)  # by concern: importance [blocks, heads]
    neurons: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict)  # by concern and output layer: [neurons]
    weights: Mapping[int, Sequence[dict[str, Bits]]] = field(default_factory=dict)  # by concern and place of the ratio


def gather(
    model: nn.Module,
    spec: JobSpec,
    layers: Sequence[str],
    examples: Examples,
    samples: Mapping[int, ConcernSamples],
    anatomy: Anatomy,
    *,
    checkpoint: Checkpoint = unwatched,
) -> Evidence:
    """The evidence for every concern of `samples` and every ratio of the spec; the model is left in eval mode.

    Every row passes forward once for the statistics, and the positive ones forward and backward once for all that
    gradients tell, heads and others. `checkpoint` hears the rows done after each batch, up to
    `evidence_rows`, and may raise. Raises as `targets_of` does, and UnsupportedModel for what is not finite.
    """
    targets, steps = targets_of(anatomy, spec, layers), _Steps(checkpoint)
    pool = _Pool(model, examples, samples)
    evidence = Evidence(samples)
    if names := calibrated_layers(spec, targets):
        rows, how = calibration_rows(samples, _calibration(spec)), _calibration(spec)
        refitted = [part.output for part in targets.neurons] if spec.recovery == "refit" else []
        statistics = calibrate(model, names, examples, samples, how, moments=refitted, checkpoint=steps.next(rows))
        evidence = replace(evidence, statistics=statistics)
    if spec.method.name == "taylor":
        tally = HeadTally(anatomy) if _asks_heads(spec) else None
        return _with_effects(evidence, pool, spec, targets, tally, steps.next(taylor_rows(samples)))
    if _asks_heads(spec):
        rows = len(importance_rows(samples))
        heads = head_importance(model, anatomy, examples, samples, checkpoint=steps.next(rows))
        return replace(evidence, heads=heads)
    return evidence


def evidence_rows(spec: JobSpec, samples: Mapping[int, ConcernSamples]) -> int:
    """The rows that `gather` will run: what its checkpoint counts up to."""
    rows = calibration_rows(samples, _calibration(spec)) if _asks_inputs(spec) else 0
    if spec.method.name == "taylor":
        return rows + taylor_rows(samples)
    return rows + (len(importance_rows(samples)) if _asks_heads(spec) else 0)


def calibrated_layers(spec: JobSpec, targets: Targets) -> list[str]:
    """The layers whose inputs must be known: those that are scored, and those whose biases are mended."""
    names: list[str] = []
    if spec.recovery in ("bias", "refit"):
        names += [part.output for part in targets.heads]
    if _asks_inputs(spec):
        names += targets.weights
    if spec.recovery != "none" or spec.method.name == "wanda" or (spec.method.name == "ci" and by_output(spec)):
        names += [part.output for part in targets.neurons]
    if not by_output(spec):
        names += [writer for part in targets.neurons for writer in part.writers]
    return list(dict.fromkeys(names))


def by_output(spec: JobSpec) -> bool:
    """Whether neurons are judged by what they write. CI's `auto` does, except where the seed system is reproduced."""
    if isinstance(spec.method, CiMethod):
        if spec.method.neurons_by == "auto":
            return spec.calibration.pairing != "position"
        return spec.method.neurons_by == "output"
    return True


def _with_effects(
    evidence: Evidence,
    pool: _Pool,
    spec: JobSpec,
    targets: Targets,
    tally: HeadTally | None,
    checkpoint: Checkpoint,
) -> Evidence:
    """The evidence with what a backward pass says: effects of neurons or masks of weights, and of heads if tallied."""
    run = (pool.model, pool.examples, pool.samples)
    if targets.neurons:
        outputs = [part.output for part in targets.neurons]
        found = dict(neuron_effects(outputs, *run, tally=tally, checkpoint=checkpoint))
        evidence = replace(evidence, neurons=found)
    else:
        weights = {}
        for concern, gradients in weight_gradients(targets.weights, *run, tally=tally, checkpoint=checkpoint):
            scorer = partial(_effects_of, pool.model, gradients)
            restorer = weight_restorer(pool.model, evidence.statistics, spec, concern)
            weights[concern] = select(spec, targets.units("weights"), scorer, restorer)
        evidence = replace(evidence, weights=weights)
    return evidence if tally is None else replace(evidence, heads=tally.importance(pool.samples))


def _effects_of(model: nn.Module, gradients: Mapping[str, Tensor], name: str) -> Tensor:
    return weight_scores(linear(model, name).weight.detach().cpu(), gradients[name])


def _asks_heads(spec: JobSpec) -> bool:
    return "heads" in parts_of(spec.structure) and spec.method.name != "random"


def _asks_inputs(spec: JobSpec) -> bool:
    return spec.recovery != "none" or spec.method.name in ("ci", "wanda")


def _calibration(spec: JobSpec) -> Calibration:
    """Pairs are run only where a cosine is asked for: by `ci` and by recovery `ti`."""
    paired = spec.method.name == "ci" or spec.recovery == "ti"
    return spec.calibration if paired else spec.calibration.model_copy(update={"pairing": "free"})


@dataclass(frozen=True)
class _Pool:
    """A model and what it is shown."""

    model: nn.Module
    examples: Examples
    samples: Mapping[int, ConcernSamples]


@dataclass
class _Steps:
    """One count of rows over passes that follow each other."""

    checkpoint: Checkpoint
    done: int = 0

    def next(self, rows: int) -> Checkpoint:
        """The checkpoint of a pass that runs `rows`."""
        before, self.done = self.done, self.done + rows
        return lambda done: self.checkpoint(before + done)
