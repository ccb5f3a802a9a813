"""What a spec comes to, before anything is queued: checked as far as files tell without loading a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import microlith
from app.domain.distilling import check_texts, few_texts
from app.domain.errors import InvalidInput
from app.domain.families import family_named
from app.domain.layers import NO_LAYERS, check_units, layers_touched, select_blocks
from app.domain.layouts import check_export, check_number_type
from app.domain.methods import check_depth, check_method, check_widths, parts_of
from app.domain.multi_label import check_multi_label
from app.services.estimating import UNKNOWN, PlannedWork
from app.sources.allowed_paths import Allowed
from app.sources.confined_data import describe_dataset
from app.sources.confined_models import describe_model
from app.sources.data_warnings import one_split_twice
from app.sources.label_columns import check_label_columns
from app.sources.labels import check, find_concerns, match
from app.sources.reference_files import sha256, stamp
from app.sources.references import NOTHING, Shelf, parse
from app.sources.splits import name_splits
from microlith.contract import (
    CombineSpec,
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

SHORTEST_PAIR = 5
"""Tokens of two texts of one each, with what stands around them."""

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
        warnings = (
            [*dataset.warnings, *one_split_twice(self.spec), *few_texts(self.spec, _rows_of(dataset))]
            if dataset
            else []
        )
        return Resolved(
            model=model
            and ModelFacts(
                ref=self.spec.model,
                name=model.name,
                revision=model.revision,
                sha256=model.sha256,
                content_sha256=model.content_sha256,
                architecture=model.architecture,
                dtype=model.dtype,
                labels=model.labels,
                multi_label=model.multi_label,
            ),
            dataset=dataset
            and DatasetFacts(
                ref=self.spec.source.ref,
                name=dataset.name,
                revision=dataset.revision,
                sha256=dataset.sha256,
                splits=name_splits(self.spec.source, self.spec.source.splits.model_dump()),
                rows=_rows_of(dataset),
                warnings=warnings,
            ),
            layers=self.layers,
            seed=self.spec.sampling.seed,
        )


def resolve(spec: JobSpec, *, allow_paths: Allowed, shelf: Shelf = NOTHING) -> Resolution:
    """Look at the sources and check the spec against them. Raises what is wrong, with the choices there are."""
    check_method(spec)
    check_export(spec.export)
    model = describe_model(spec.model, allow_paths=allow_paths, shelf=shelf)
    if model:
        check_number_type(spec.export, model.dtype)
    dataset = describe_dataset(spec.source, roles_of(spec), model=model, allow_paths=allow_paths, shelf=shelf)
    if model and model.task == "image" and spec.sampling.source == "boundary":
        raise InvalidInput("Boundary samples can only be generated for text models.", pointer="/sampling/source")
    if model and model.task == "image" and spec.export.vocabulary.trim:
        raise InvalidInput("An image model has no vocabulary to trim.", pointer="/export/vocabulary/trim")
    if model and model.max_length and spec.source.text_pair_column and model.max_length < SHORTEST_PAIR:
        raise InvalidInput(
            f"The model reads {model.max_length} tokens at most: too few for two texts.",
            hint="Leave `text_pair_column` out, or take a model of longer inputs.",
            pointer="/dataset/text_pair_column",
        )
    if model and model.multi_label:
        check_multi_label(spec)
        check_label_columns(spec.source, model.labels)
    concerns = concerns_of(spec, model.labels) if model else None
    layers = _layers(spec, model) if model else []
    if model and dataset and concerns:
        check(spec, model, dataset, concerns)
        check_texts(spec, _rows_of(dataset))
    boundary = boundary_file(spec, allow_paths=allow_paths, shelf=shelf)
    return Resolution(spec, model, dataset, concerns, layers, boundary)


def check_combined_data(
    order: CombineSpec, spec: JobSpec, made_by: Sequence[JobSpec], *, allow_paths: Allowed, shelf: Shelf
) -> None:
    """Look at the data of a combination, which `spec` names, as the models of the modules read it.

    Its labels may be those of any of the models. Raises what is wrong with the data, and InvalidInput where a model of
    the modules cannot be opened any more. What is on the hub is left to the worker.
    """
    models = [_model_made_of(ref, allow_paths, shelf) for ref in dict.fromkeys(one.model for one in made_by)]
    known = [model for model in models if model]
    labels = list(dict.fromkeys(label for model in known for label in model.labels))
    together = known[0].model_copy(update={"labels": labels}) if len(known) == len(models) else None
    roles = sorted({order.evaluation.split, order.evaluation.validation_split})
    dataset = describe_dataset(spec.source, roles, model=together, allow_paths=allow_paths, shelf=shelf)
    if together and dataset:
        match(spec.source, together, dataset)


def _model_made_of(ref: str, allow_paths: Allowed, shelf: Shelf) -> ModelInfo | None:
    try:
        return describe_model(ref, allow_paths=allow_paths, shelf=shelf)
    except InvalidInput as error:
        error.pointer = "/modules"
        raise


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
    learned = {spec.distil.texts} if spec.recovery == "distil" else set()
    return sorted({sampled, spec.evaluation.split, spec.evaluation.validation_split} | learned)


def _rows_of(dataset: DatasetInfo) -> dict[str, int]:
    return {role: split.rows for role, split in dataset.splits.items()}


def _layers(spec: JobSpec, model: ModelInfo) -> list[str]:
    """The layers that may lose something; of no known family all that are chosen, whichever of them have units."""
    names, family = [layer.name for layer in model.layers], family_named(model.family)
    if family is None:
        check_units(spec.structure, {**(model.structures_refused or {}), "layers": NO_LAYERS})
    touched = layers_touched(names, spec.layers, family, spec.structure if family else "weights")
    if "layers" in parts_of(spec.structure):
        check_depth(spec, len(select_blocks(names, spec.layers, family)))
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
