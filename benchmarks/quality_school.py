"""Students of `benchmarks.quality`: they learn as those of a job do, in one go and with nothing kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from microlith.contract import JobSpec
from worker.attempt.attempt import Attempt
from worker.compute.batches import unwatched
from worker.compute.examples import Examples
from worker.distilling.training import Study
from worker.families.anatomy import Anatomy
from worker.kinds.distil_students import School
from worker.pruning.masks import Mask
from worker.sources.open_sources import Sources


class LoneSchool(School):
    """A school without a job: no other attempt has begun, and none goes on."""

    def _find_study(self, ratio: float) -> Study:  # noqa: ARG002
        return Study()

    def _keep(self, study: Study, ratio: float) -> None:
        """Nothing is kept."""


def teach(
    spec: JobSpec, sources: Sources, anatomy: Anatomy, validation: Examples, masks: Mapping[float, Mask]
) -> dict[float, Mask]:
    """The masks, by ratio, with what their students have learned."""
    nobody = cast(Attempt, SimpleNamespace(check=unwatched_check))
    return LoneSchool(spec, sources, anatomy, validation, nobody, Path()).teach(masks, unwatched)


def unwatched_check(_rows: int = 0) -> None:
    """The check of an attempt that nobody stops."""
