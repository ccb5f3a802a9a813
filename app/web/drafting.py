"""A job being drafted: the form as it was filled in, checked and planned by the services that the API asks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from app.api.problems import details
from app.domain.errors import MicrolithError
from app.services import catalog
from app.services.jobs import Jobs, Submission
from app.services.registry import Library
from app.web.views.form import FormPage, SourcesOffered, form_page, with_faults
from app.web.views.form_to_spec import Pairs, spec_of
from app.web.views.plan import plan_view
from microlith.contract import ErrorDetail, Job, JobSpec, ModelInfo

LISTED = 100


@dataclass(frozen=True)
class Drafting:
    """Drafts of one caller; `address` is where this server is reached."""

    jobs: Jobs
    library: Library
    address: str

    def form(self, spec: dict[str, Any]) -> FormPage:
        """The form that says `spec`."""
        models = self.library.models(None, LISTED)
        known = SourcesOffered(models, self.library.datasets(None, LISTED), self._model(spec.get("model")))
        return form_page(catalog.methods(), known, spec)

    def planned(self, pairs: Pairs) -> FormPage:
        """The form as it was sent, with its plan or its faults."""
        form, spec = self._read(pairs)
        try:
            plan = self.jobs.plan(JobSpec.model_validate(spec))
        except (ValidationError, MicrolithError) as error:
            return _faulty(form, error, spec)
        return replace(form, plan=plan_view(plan, spec, self.address))

    def submit(self, pairs: Pairs) -> Job | FormPage:
        """The job; or the form with what is wrong with it."""
        form, spec = self._read(pairs)
        try:
            return self.jobs.submit(Submission(JobSpec.model_validate(spec)))
        except (ValidationError, MicrolithError) as error:
            return _faulty(form, error, spec)

    def again(self, job_id: str) -> FormPage:
        """The form that says what this job was asked, to be changed and sent again."""
        spec = self.jobs.get(job_id).spec.model_dump(mode="json")
        return self.form(spec)

    def _read(self, pairs: Pairs) -> tuple[FormPage, dict[str, Any]]:
        """Which fields there are depends on the method that was sent, so the form is made twice."""
        method = next((value for name, value in pairs if name == "/method/name"), "")
        asked = self.form({"method": {"name": method}} if method else {})
        spec = spec_of(pairs, asked.fields)
        return self.form(spec), spec

    def _model(self, ref: object) -> ModelInfo | None:
        """What is known of the chosen model; nothing of one that only a worker can fetch, or that is not there."""
        try:
            return self.library.model(ref) if isinstance(ref, str) and ref else None
        except MicrolithError:
            return None


def _faulty(form: FormPage, error: ValidationError | MicrolithError, spec: dict[str, Any]) -> FormPage:
    if isinstance(error, ValidationError):
        located = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        return with_faults(form, details(RequestValidationError(located, body=spec)))
    return with_faults(form, [ErrorDetail(pointer=error.pointer or "", detail=error.detail)], error.hint)
