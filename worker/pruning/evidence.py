"""Everything the masks of a job are decided by: one forward pass, and one backward pass for gradient methods.

Statistics of inputs serve every concern, ratio, activation method and recovery. Gradients of weights are as large as
the weights, for every concern: they are turned into masks concern by concern, and only those are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from torch import Tensor, nn

from app.domain.methods import parts_of, ratios_for
from microlith.contract import JobSpec
from worker.compute.batches import Checkpoint, unwatched
from worker.compute.examples import Examples
from worker.compute.passes import Meter
from worker.families.anatomy import Anatomy
from worker.pruning.heads import HeadPass, HeadTally
from worker.pruning.layer_order import LayerOrder
from worker.pruning.masks import Bits
from worker.pruning.recovery import weight_restorer
from worker.pruning.removable_parts import Targets, steps, targets_of
from worker.pruning.scores.method import ConcernEvidence
from worker.pruning.scores.registry import scoring_of
from worker.pruning.scores.taylor import GradientPass, neuron_effects, weight_gradients
from worker.pruning.statistics import CalibrationPass, Statistics
from worker.sampling.concern import ConcernSamples


@dataclass(frozen=True)
class Evidence:
    """What the samples say of the unpruned model; empty where a method does not ask them."""

    samples: Mapping[int, ConcernSamples]
    statistics: Statistics | None = None
    heads: Mapping[int, Tensor] = field(default_factory=dict)  # by concern: importance [blocks, heads]
    neurons: Mapping[int, Mapping[str, Tensor]] = field(default_factory=dict)  # by concern and output layer: [neurons]
    weights: Mapping[int, Sequence[dict[str, Bits]]] = field(default_factory=dict)  # by concern and place of the ratio
    order: Sequence[str] = ()  # of blocks that may go whole, the one that is missed least first

    def of_concern(self, concern: int, model: nn.Module, anatomy: Anatomy, spec: JobSpec) -> ConcernEvidence:
        """What a method scores the units of the model by, for one concern."""
        return ConcernEvidence(
            model=model,
            anatomy=anatomy,
            spec=spec,
            concern=concern,
            samples=self.samples,
            statistics=self.statistics,
            heads=self.heads.get(concern),
            neurons=self.neurons.get(concern, {}),
            order=self.order,
        )


@dataclass(frozen=True)
class EvidencePass:
    """The passes that serve every concern of `samples` and every ratio of the spec; the model is left in eval mode.

    Every row passes forward once for the statistics, and the positive ones forward and backward once for all that
    gradients tell, heads and others. Raises as `targets_of` does.
    """

    model: nn.Module
    spec: JobSpec
    layers: Sequence[str]
    examples: Examples
    samples: Mapping[int, ConcernSamples]
    anatomy: Anatomy
    pooled: Callable[[], Examples] | None = None
    """Draws examples of all classes, by which whole layers are told apart."""

    @property
    def rows(self) -> int:
        """Rows that run, over all passes."""
        passes = (self._order, self._calibration, self._gradients, self._heads_alone)
        return sum(known.rows for known in passes if known is not None)

    def run(self, checkpoint: Checkpoint = unwatched) -> Evidence:
        """The evidence. `checkpoint` hears the rows done after each batch and may raise.

        Raises UnsupportedModel for what is not finite.
        """
        meter, evidence = Meter(checkpoint), Evidence(self.samples, order=self._targets.layers[::-1])
        if self._order is not None:
            evidence = replace(evidence, order=meter.run(self._order))
        if self._calibration is not None:
            evidence = replace(evidence, statistics=meter.run(self._calibration))
        if self._gradients is not None:
            evidence = self._with_gradients(evidence, meter, self._gradients)
        if self._heads_alone is not None:
            evidence = replace(evidence, heads=meter.run(self._heads_alone))
        return evidence

    @cached_property
    def _targets(self) -> Targets:
        return targets_of(self.anatomy, self.spec, self.layers)

    @cached_property
    def _order(self) -> LayerOrder | None:
        if not self._targets.layers or self.pooled is None or not scoring_of(self.spec).needs.layer_costs:
            return None
        layers = self._targets.layers
        most = max(int(len(layers) * share) for share in ratios_for(self.spec, "layers", ()))
        return LayerOrder(self.model, self.anatomy, layers, self.pooled(), most)

    @cached_property
    def _calibration(self) -> CalibrationPass | None:
        """Pairs are run only where a cosine is asked for: by the method, or by recovery `ti`."""
        names = calibrated_layers(self.spec, self._targets)
        if not names:
            return None
        paired = scoring_of(self.spec).needs.pairs or self.spec.recovery == "ti"
        how = self.spec.calibration if paired else self.spec.calibration.model_copy(update={"pairing": "free"})
        return CalibrationPass(self.model, names, self.examples, self.samples, how)

    @cached_property
    def _gradients(self) -> GradientPass | None:
        """It tallies the heads that are removed too."""
        if not scoring_of(self.spec).needs.gradients or not (self._targets.neurons or self._targets.weights):
            return None
        tally = HeadTally(self.anatomy) if self._needs_heads else None
        neurons, run = self._targets.neurons, (self.model, self.examples, self.samples)
        if neurons:
            return neuron_effects([part.output for part in neurons], *run, tally=tally)
        return weight_gradients(self._targets.weights, *run, tally=tally)

    @cached_property
    def _heads_alone(self) -> HeadPass | None:
        if self._needs_heads and not scoring_of(self.spec).needs.gradients:
            return HeadPass(self.model, self.anatomy, self.examples, self.samples)
        return None

    @property
    def _needs_heads(self) -> bool:
        return "heads" in parts_of(self.spec.structure) and scoring_of(self.spec).needs.head_effects

    def _with_gradients(self, evidence: Evidence, meter: Meter, gradient_pass: GradientPass) -> Evidence:
        """The evidence with effects of neurons or masks of weights, and with heads where they are tallied."""
        gathered = meter.run(gradient_pass)
        if self._targets.neurons:
            evidence = replace(evidence, neurons=dict(gathered))
        else:
            scoring, kept = scoring_of(self.spec), {}
            for concern, gradients in gathered:
                own = evidence.of_concern(concern, self.model, self.anatomy, self.spec)
                own = replace(own, gradients=gradients)
                restorer = weight_restorer(self.model, evidence.statistics, self.spec, concern)
                kept[concern] = [
                    bits
                    for step in steps(self.spec, self._targets, scoring.layers(own))
                    for bits in scoring.keep_weights(
                        replace(own, spec=step.spec), step.targets.units("weights"), restorer
                    )
                ]
            evidence = replace(evidence, weights=kept)
        tally = gradient_pass.tally
        return evidence if tally is None else replace(evidence, heads=tally.importance(self.samples))


def calibrated_layers(spec: JobSpec, targets: Targets) -> list[str]:
    """The layers whose inputs must be known: those that are scored, that are restored, or whose biases are mended."""
    scoring, mended = scoring_of(spec), spec.recovery in ("ti", "bias")
    names: list[str] = []
    if spec.recovery == "bias":
        names += [part.output for part in targets.heads]
    if mended or scoring.needs.inputs:
        names += targets.weights
    if mended:
        names += [part.output for part in targets.neurons]
    if scoring.needs.inputs:
        names += [layer for part in targets.neurons for layer in scoring.neuron_layers(spec, part)]
    return list(dict.fromkeys(names))
