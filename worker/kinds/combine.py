"""The story of a combining job: modules are made again of their bases, become one classifier, and that is delivered."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from app.domain.layouts import number_type_of
from app.settings import Settings
from microlith.contract import CombineSpec, Export, JobSpec, LayoutOrder, Resolved
from worker.attempt.attempt import Attempt
from worker.attempt.workspace import workroom
from worker.combining.class_set_layouts import facts_of, pack_class_set
from worker.combining.combined_classifier import CombinationPass, CombinedClassifier, remake
from worker.combining.parts import ModulePart
from worker.combining.recomposed_folder import deliver
from worker.combining.recomposed_folder import verify as verify_delivery
from worker.compute import device
from worker.compute.batches import device_of
from worker.evaluation.latency import Stopwatch
from worker.kinds.combine_sources import Opened, open_all, recovery_of
from worker.kinds.pack_modules import verify
from worker.kinds.stored_module import StoredModule, find_combination, find_modules
from worker.packaging.archive import archive
from worker.packaging.layouts import Package, Packer
from worker.packaging.verify import PROBE_ROWS, ArchiveOpening, Verifier

DELIVERED = "combined"

MEASURED = 256
"""Validation examples that latency and the agreement of graphs are measured on, at most."""


def combine(spec: JobSpec, attempt: Attempt, settings: Settings) -> None:
    """Make the classifier that the job orders. Raises MicrolithError for what a caller can mend."""
    order = CombineSpec.model_validate(attempt.lease.order)
    with workroom(settings) as (folder, verifier), ExitStack() as held:
        with attempt.progress.phase("resolving"):
            modules = find_modules(attempt, order.modules)
            opened, parts = _open(order, spec, modules, attempt, settings, folder, held)
            order = order.model_copy(update={"recovery": recovery_of(order, modules)})
            combination_pass = CombinationPass(order, parts, opened.data)
            attempt.progress.expect(combination_pass.rows)

        with attempt.progress.phase("evaluating"):
            combined = combination_pass.run(attempt.progress.follow())

        with attempt.progress.phase("exporting"):
            packages = _pack(combined, opened, order, folder)
        with attempt.progress.phase("verifying"):
            _verify(verifier, combined, packages, opened, folder)
        latencies = [latency for package in packages for latency in package.latencies]
        combination = combined.combination.model_copy(update={"latencies": latencies})
        attempt.publisher.publish_combination(combination, [package.archive for package in packages])


def export_class_set(spec: JobSpec, ordered: LayoutOrder, attempt: Attempt, settings: Settings) -> None:
    """Make one more layout of a class set, which is made again of its modules and not measured again."""
    with workroom(settings) as (folder, verifier), ExitStack() as held:
        with attempt.progress.phase("resolving"):
            order, combination = find_combination(attempt, ordered.module)
            order = order.model_copy(update={"export": Export(layouts=[ordered.layout], onnx=ordered.onnx)})
            opened, parts = _open(order, spec, find_modules(attempt, order.modules), attempt, settings, folder, held)

        with attempt.progress.phase("exporting"):
            again = remake(order, combination, parts, opened.data, checkpoint=attempt.check)
            packages = _pack(again, opened, order, folder)
        with attempt.progress.phase("verifying"):
            _verify(verifier, again, packages, opened, folder)
        attempt.publisher.attach_class_set_layout(ordered.module, packages[0].archive, packages[0].latencies)


def _open(
    order: CombineSpec,
    spec: JobSpec,
    modules: Sequence[StoredModule],
    attempt: Attempt,
    settings: Settings,
    folder: Path,
    held: ExitStack,
) -> tuple[Opened, list[ModulePart]]:
    """The bases, the data and the modules, whose sources `held` keeps from being deleted meanwhile."""
    shelves = [held.enter_context(attempt.hold_sources(one)) for one in (spec, *(made.spec for made in modules))]
    shelf = {ref: at for one in shelves for ref, at in one.items()}
    opened = open_all(order, spec, modules, shelf, settings)
    return opened, [opened.part(made, made.fetch_mask(attempt, folder), folder) for made in modules]


def _pack(combined: CombinedClassifier, opened: Opened, order: CombineSpec, folder: Path) -> list[Package]:
    """A recomposed classifier as one graph with what runs it, a class set in every layout that is asked for."""
    made = combined.class_set
    if made is None:
        delivered = deliver(combined, folder / DELIVERED)
        return [Package(archive(delivered, folder / f"{DELIVERED}.zip", layout="onnx"), [])]
    of, export = opened.bases[made.origin.ref], order.export or Export()
    examples = made.origin.encoder(opened.data.validation.inputs[:MEASURED])
    stopwatch = Stopwatch(examples, device.title(device_of(made.model))) if order.evaluation.latency else None
    stored = number_type_of(export, of.loaded.number_type)
    packer = Packer(of.loaded, of.base, examples, folder, stopwatch, export.onnx.int8, number_type=stored)
    resolved, licences = Resolved(model=of.loaded.facts), [of.loaded.licence, opened.licence]
    facts = facts_of(made, combined.combination, of.spec, resolved, licences)
    return list(pack_class_set(packer, made, facts, combined.combination, export))


def _verify(
    verifier: Verifier,
    combined: CombinedClassifier,
    packages: Sequence[Package],
    opened: Opened,
    folder: Path,
) -> None:
    """Raises VerificationFailed unless a clean process answers as the classifier in memory does."""
    probes = opened.data.validation.inputs[:PROBE_ROWS]
    if combined.recomposition is not None:
        verify_delivery(folder / DELIVERED, combined.recomposition, probes)
        return
    made = combined.class_set
    assert made is not None
    base = opened.bases[made.origin.ref].loaded.folder
    verify(verifier, packages, made.model, made.origin.encoder(probes), ArchiveOpening(base=base))
