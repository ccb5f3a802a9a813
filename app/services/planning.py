"""What a spec comes to, before anything is queued: checked as far as files tell without loading a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import microlith
from app.domain.errors import InvalidInput
from app.domain.families import family_named
from app.domain.layers import check_units, layers_touched
from app.domain.layouts import check_export
from app.domain.methods import check_method, check_widths, parts_of
from app.services.estimating import UNKNOWN, PlannedWork
from app.sources.allowed_paths import Allowed
from app.sources.confined_data import describe_dataset
from app.sources.confined_models import describe_model
from app.sources.data_warnings import one_split_twice
from app.sources.labels import check, find_concerns
from app.sources.reference_files import sha256, stamp
from app.sources.references import NOTHING, Shelf, parse
from microlith.contract import (
    Concern,
    DatasetFacts,
    DatasetInfo,
    JobSpec,
    ModelFacts,
    ModelInfo,
    Plan,
    PlannedModule,
    Resolved,
)
from microlith.contract.job import Estimate

MOST_ROWS = 200_000
"""Of all reports of a job together, which travel in one document: about 100 MB where it is read."""


@dataclass(frozen=True)
class Resolution:
    """The sources a spec names and what it selects in them; None where a `hub:` source must be fetched first."""

    spec: JobSpec
    model: ModelInfo | None
    dataset: DatasetInfo | None
    concerns: list[Concern] | None
    layers: list[str]
    boundary: Path | None = None

    @property
    def fingerprint(self) -> str:
        """What decides the result: the spec, the content behind its references, and this program's version."""
        model, dataset = self.model, self.dataset
        contents = [model.content_sha256 or model.revision or ""] if model else []
        contents += [dataset.sha256 or dataset.revision or ""] if dataset else []
        if self.boundary is not None:
            contents.append(sha256(stamp(self.boundary)))
        return self.spec.fingerprint(microlith.__version__, *contents)

    @property
    def estimate(self) -> Estimate:
        """What it will cost; nulls where a source must be fetched first."""
        if self.model is None or self.dataset is None:
            return UNKNOWN
        return PlannedWork(self.spec, self.model, self.dataset, self.layers, len(self.concerns or ())).estimate

    @property
    def resolved(self) -> Resolved:
        """The same, as it travels."""
        model, dataset = self.model, self.dataset
        return Resolved(
            model=model
            and ModelFacts(
                ref=self.spec.model,
                name=model.name,
                revision=model.revision,
                sha256=model.sha256,
                content_sha256=model.content_sha256,
                architecture=model.architecture,
                labels=model.labels,
            ),
            dataset=dataset
            and DatasetFacts(
                ref=self.spec.source.ref,
                name=dataset.name,
                revision=dataset.revision,
                sha256=dataset.sha256,
                splits=self.spec.source.splits.model_dump(),
                rows={role: split.rows for role, split in dataset.splits.items()},
                warnings=[*dataset.warnings, *one_split_twice(self.spec)],
            ),
            layers=self.layers,
            seed=self.spec.sampling.seed,
        )


def resolve(spec: JobSpec, *, allow_paths: Allowed, shelf: Shelf = NOTHING) -> Resolution:
    """Look at the sources and check the spec against them. Raises what is wrong, with the choices there are."""
    check_method(spec)
    check_export(spec.export)
    model = describe_model(spec.model, allow_paths=allow_paths, shelf=shelf)
    dataset = describe_dataset(spec.source, roles_of(spec), model=model, allow_paths=allow_paths, shelf=shelf)
    if model and model.task == "image" and spec.sampling.source == "boundary":
        raise InvalidInput("Boundary samples can only be generated for text models.", pointer="/sampling/source")
    if model and model.task == "image" and spec.export.vocabulary.trim:
        raise InvalidInput("An image model has no vocabulary to trim.", pointer="/export/vocabulary/trim")
    concerns = concerns_of(spec, model.labels) if model else None
    layers = _layers(spec, model) if model else []
    if model and dataset and concerns:
        check(spec, model, dataset, concerns)
    boundary = boundary_file(spec, allow_paths=allow_paths, shelf=shelf)
    return Resolution(spec, model, dataset, concerns, layers, boundary)


def concerns_of(spec: JobSpec, labels: list[str]) -> list[Concern]:
    """The classes that the spec chooses of a model's. InvalidInput where their reports would be beyond reading."""
    concerns = find_concerns(spec.concerns, labels)
    modules = len(concerns) * len(spec.ratios)
    if modules * len(labels) > MOST_ROWS:
        fit = max(MOST_ROWS // (len(labels) * len(spec.ratios)), 1)
        raise InvalidInput(
            f"{modules:,} modules, each measured on {len(labels):,} classes, make {modules * len(labels):,} rows of "
            f"results. The limit is {MOST_ROWS:,}.",
            hint=f"Name at most {fit:,} `concerns` in each job. Modules are still measured on every class.",
            pointer="/concerns",
        )
    return concerns


def boundary_file(spec: JobSpec, *, allow_paths: Allowed, shelf: Shelf = NOTHING) -> Path | None:
    """The file of boundary samples that a spec brings along, if it does."""
    if spec.sampling.source != "boundary" or spec.sampling.boundary.ref is None:
        return None
    pointer = "/sampling/boundary/ref"
    ref = parse(spec.sampling.boundary.ref, pointer=pointer, allow_paths=allow_paths, shelf=shelf)
    file = ref.place or Path(ref.name).expanduser()
    if not file.is_file():
        raise InvalidInput(f"{str(ref)!r} is not a file.", pointer=pointer)
    return file


def plan(resolution: Resolution) -> Plan:
    """What the job would make and about what it would cost."""
    spec, concerns = resolution.spec, resolution.concerns or []
    modules = [PlannedModule(concern=concern, ratio=ratio) for ratio in spec.ratios for concern in concerns]
    resolved, estimate = resolution.resolved, resolution.estimate
    warnings = resolved.dataset.warnings if resolved.dataset else one_split_twice(spec)
    if resolution.model:
        warnings = [*warnings, *_not_looked_for(spec, resolution.model)]
    return Plan(spec=spec, resolved=resolved, modules=modules, estimate=estimate, warnings=warnings)


def roles_of(spec: JobSpec) -> list[str]:
    """The splits a job reads."""
    sampled = spec.sampling.boundary.split if spec.sampling.source == "boundary" else spec.sampling.split
    return sorted({sampled, spec.evaluation.split, spec.evaluation.validation_split})


def _layers(spec: JobSpec, model: ModelInfo) -> list[str]:
    """The layers that may lose something; of no known family all that are chosen, whichever of them have units."""
    names, family = [layer.name for layer in model.layers], family_named(model.family)
    if family is None:
        check_units(spec.structure, model.structures_refused or {})
    touched = layers_touched(names, spec.layers, family, spec.structure if family else "weights")
    check_widths(spec, {layer.name: layer.shape[1] for layer in model.layers if layer.name in touched})
    return touched


def _not_looked_for(spec: JobSpec, model: ModelInfo) -> list[str]:
    """A warning where nobody knows yet whether the model has the units that are to go."""
    units = [part for part in parts_of(spec.structure) if part != "weights"]
    if model.family or model.structures_refused is not None or not units:
        return []
    return [
        f"{model.architecture} is not known by name. A worker looks for its {' and '.join(units)} when it opens the "
        "model, and proves that they can be removed. Where that fails the job ends at once with UNSUPPORTED_MODEL."
    ]
