"""What is asked about modules that are there already: one more layout of one, what it makes of texts, or one classifier

of several.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from app.db.tables import ArtifactRow, JobRow, ModuleRow
from app.db.unit import Unit
from app.domain.combinations import Candidate, check_combination, check_same_inputs
from app.domain.errors import Conflict, InvalidInput, NotFound, UnsupportedModel
from app.domain.ids import new_id
from app.domain.layouts import check_export, check_number_type, holds
from app.services.backend import Backend
from app.services.jobs import Jobs
from app.services.local_copies import Shelves
from app.services.planning import check_combined_data
from app.services.queueing import Draft, queue
from app.sources.images import task_of
from microlith.contract import (
    CombineSpec,
    DatasetSpec,
    Export,
    Job,
    JobSpec,
    LayoutOrder,
    LayoutRequest,
    PredictionOrder,
    PredictionRequest,
    Resolved,
    TextPair,
)

ALONE: dict[str, Any] = {"deadline_seconds": None, "labels": {}}
"""What an order does not inherit from the job of its modules."""

AT_ONCE: dict[str, Any] = ALONE | {"priority": "high", "deadline_seconds": 600}
"""Somebody waits for it, and not for long."""


@dataclass(frozen=True)
class Orders:
    """Orders of one caller, inside one unit of work."""

    unit: Unit
    owner: str
    backend: Backend

    def layout(self, module_id: str, request: LayoutRequest) -> Job:
        """The job that makes the layout, or that has made it: whatever is there, with all that is wanted of it, is not
        made anew. What is there without it is made again in its place. A class set is known by the job that made it."""
        if module_id.startswith("job_"):
            return self._layout_of_set(module_id, request)
        module, origin = self._found(module_id)
        spec, resolved = _spec_of(JobSpec.model_validate(origin.spec), module, request), _resolved(origin)
        check_export(spec.export)
        check_number_type(spec.export, resolved.model.dtype if resolved.model else None)
        artifacts = self._artifacts(module)
        job = self._there(origin, artifacts.get(request.layout), request) or self._under_way(module.id, request)
        if job is None:
            _check_mask(artifacts)
            job = self._order(module.id, request, spec, resolved)
        return self._shown(job)

    def predict(self, module_id: str, request: PredictionRequest) -> Job:
        """The job that asks the module and its base about texts. Raises UnsupportedModel for one that reads images,
        InvalidInput for pairs where it reads single texts, and for these where it reads pairs.
        """
        module, origin = self._found(module_id)
        resolved = _resolved(origin)
        if resolved.model and task_of(resolved.model.architecture) == "image":
            raise UnsupportedModel("This module reads images. You can only try texts.", pointer="/inputs")
        _check_mask(self._artifacts(module))
        spec = JobSpec.model_validate(origin.spec).model_copy(update=_part_of(module) | AT_ONCE)
        _check_inputs(request, spec.source)
        order = PredictionOrder(module=module.id, inputs=request.inputs)
        draft = Draft("predict", spec, resolved, new_id("order"), concerns=1, order=order)
        return self._shown(queue(self.unit, self.owner, self.backend, draft))

    def combine(self, combination: CombineSpec) -> Job:
        """The job that makes one classifier of the modules. Raises InvalidInput for modules that do not go together.

        The data is looked at as for any other job, with the columns that it was registered with. Files may have to be
        fetched for it, so no connection is held meanwhile.
        """
        with self.backend.database.unit() as unit:
            parts = Orders(unit, self.owner, self.backend)._parts(combination)
        candidates = [_candidate(*part) for part in parts]
        check_combination(combination, candidates)
        if combination.export and (model := _resolved(parts[0][1]).model):
            check_number_type(combination.export, model.dtype)
        specs = [JobSpec.model_validate(origin.spec) for _, origin in parts]
        shelves = Shelves.of(self.backend, self.owner)
        spec = shelves.completed(specs[0].model_copy(update={"dataset": combination.dataset, **ALONE}))
        check_same_inputs(modules=candidates[0].pairs, data=spec.source.text_pair_column is not None)
        with ExitStack() as held:
            wanted = [shelves.shelf(spec), *(shelves.shelf(one, model_only=True) for one in specs)]
            shelf = {ref: at for one in wanted for ref, at in held.enter_context(one).items()}
            check_combined_data(combination, spec, specs, allow_paths=self.backend.settings.paths, shelf=shelf)
        draft = Draft("combine", spec, Resolved(), new_id("order"), concerns=len(parts), order=combination)
        return self._shown(queue(self.unit, self.owner, self.backend, draft))

    def _layout_of_set(self, job_id: str, request: LayoutRequest) -> Job:
        origin = self.unit.jobs.find(job_id, self.owner)
        if origin is None:
            raise NotFound(f"There is no job {job_id}.", hint="GET /v1/jobs lists yours.")
        if origin.kind != "combine" or CombineSpec.model_validate(origin.order).mode != "class_set":
            raise Conflict(
                f"The job {job_id} does not make a class set.",
                hint="Name a module, or the job of a combination in mode `class_set`.",
            )
        if origin.state != "succeeded":
            raise Conflict(f"The class set of {job_id} is not ready: the job is {origin.state}.")
        check_export(Export(layouts=[request.layout], onnx=request.onnx))
        artifacts = {artifact.layout: artifact for artifact in self.unit.artifacts.of_job(job_id)}
        job = self._there(origin, artifacts.get(request.layout), request) or self._under_way(job_id, request)
        if job is None:
            spec = JobSpec.model_validate(origin.spec).model_copy(update=ALONE)
            job = self._order(job_id, request, spec, Resolved())
        return self._shown(job)

    def _shown(self, job: JobRow) -> Job:
        return Jobs(self.unit, self.owner, self.backend).get(job.id)

    def _found(self, module_id: str) -> tuple[ModuleRow, JobRow]:
        """The module and the job that it came of."""
        module = self.unit.modules.find(module_id, self.owner)
        if module is None:
            raise NotFound(f"There is no module {module_id}.", hint="GET /v1/jobs/{id}/modules lists a job's modules.")
        return module, self._origin(module)

    def _artifacts(self, module: ModuleRow) -> dict[str, ArtifactRow]:
        return {artifact.layout: artifact for artifact in self.unit.artifacts.of_modules([module.id])}

    def _parts(self, combination: CombineSpec) -> list[tuple[ModuleRow, JobRow]]:
        """The modules, each with the job that it came of."""
        modules = [self._part(index, module_id) for index, module_id in enumerate(combination.modules)]
        return [(module, self._origin(module)) for module in modules]

    def _part(self, index: int, module_id: str) -> ModuleRow:
        module = self.unit.modules.find(module_id, self.owner)
        if module is None:
            raise InvalidInput(
                f"You have no module {module_id}.",
                hint="GET /v1/jobs/{id}/modules lists a job's modules.",
                pointer=f"/modules/{index}",
            )
        return module

    def _origin(self, module: ModuleRow) -> JobRow:
        job = self.unit.jobs.find(module.job_id, self.owner)
        assert job is not None, "a module goes with its job"
        return job

    def _there(self, origin: JobRow, artifact: ArtifactRow | None, request: LayoutRequest) -> JobRow | None:
        """The layout's own job, where it holds all that is wanted of it."""
        if artifact is None or not holds([file["path"] for file in artifact.files], request):
            return None
        artifact.asked = True
        return origin

    def _under_way(self, of: str, request: LayoutRequest) -> JobRow | None:
        return self.unit.jobs.ordered(self.owner, _fingerprint(of, request))

    def _order(self, of: str, request: LayoutRequest, spec: JobSpec, resolved: Resolved) -> JobRow:
        order = LayoutOrder(module=of, **request.model_dump())
        draft = Draft("export", spec, resolved, _fingerprint(of, request), concerns=1, order=order)
        return queue(self.unit, self.owner, self.backend, draft)


def _check_mask(artifacts: Mapping[str, ArtifactRow]) -> None:
    if "mask" not in artifacts:
        raise Conflict("This module was made before Microlith kept masks.", hint="Run its job again.")


def _check_inputs(request: PredictionRequest, read: DatasetSpec) -> None:
    """Raises InvalidInput for the first input that is not what the module was made with."""
    pairs = read.text_pair_column is not None
    for number, given in enumerate(request.inputs):
        if isinstance(given, TextPair) != pairs:
            raise InvalidInput(
                "This module reads pairs of texts." if pairs else "This module reads single texts, not pairs.",
                hint='Give each input as `{"text": "…", "text_pair": "…"}`.'
                if pairs
                else "Give each input as one text.",
                pointer=f"/inputs/{number}",
            )


def _candidate(module: ModuleRow, origin: JobRow) -> Candidate:
    model = _resolved(origin).model
    task = task_of(model.architecture if model else None)
    spec = JobSpec.model_validate(origin.spec)
    pairs, several = spec.source.text_pair_column is not None, model is not None and model.multi_label
    return Candidate(
        module.facts["concern"]["label"], module.facts["structure"], task, pairs, spec.recovery, multi_label=several
    )


def _resolved(origin: JobRow) -> Resolved:
    return Resolved.model_validate(origin.resolved)


def _spec_of(spec: JobSpec, module: ModuleRow, request: LayoutRequest) -> JobSpec:
    """The module's own part of the spec that it came of, in the layout that is asked for."""
    asked = {"layouts": [request.layout], "onnx": request.onnx}
    export = Export.model_validate(spec.export.model_copy(update=asked).model_dump())
    return spec.model_copy(update={**_part_of(module), "export": export, **ALONE})


def _part_of(module: ModuleRow) -> dict[str, Any]:
    """What a spec says of this module alone."""
    return {"concerns": [module.concern_id], "ratio": module.ratio}


def _fingerprint(of: str, request: LayoutRequest) -> str:
    return hashlib.sha256(f"{of} {request.model_dump_json()}".encode()).hexdigest()
