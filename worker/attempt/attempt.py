"""An attempt as the story of its job gets it: what it may write, and what it may read.

with attempt.progress.phase("resolving"), attempt.hold_sources(spec) as shelf: ...
checkpoint=attempt.progress.follow()      work that progress counts
checkpoint=attempt.check                  work that it does not count
attempt.publisher.publish_base(base)      from now on everybody sees it
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.db.tables import ArtifactRow
from app.domain.errors import SourceUnavailable
from app.queue import Queue
from app.services.backend import Backend
from app.services.local_copies import Shelves, registered
from app.sources.references import Shelf
from app.storage import ObjectStore
from microlith.contract import JobSpec
from worker.attempt.lease import Lease
from worker.attempt.progress import ProgressWriter
from worker.attempt.publishing import Publisher
from worker.attempt.retrying import Returned, patient, reach_store


@dataclass(frozen=True)
class Attempt:
    """One attempt of one job."""

    lease: Lease
    objects: ObjectStore
    queue: Queue
    progress: ProgressWriter
    publisher: Publisher

    @classmethod
    def of(cls, lease: Lease, backend: Backend, *, shown: bool = True) -> Attempt:
        """The attempt that holds this lease; its phases and progress are `shown`, unless another worker's are."""
        objects = backend.objects
        return cls(lease, objects, backend.queue, ProgressWriter(lease, shown), Publisher(lease, objects))

    def check(self, _rows: int = 0) -> None:
        """A checkpoint for work that progress does not count: raises what the heartbeat heard, and writes nothing."""
        self.lease.checkpoint()

    @contextmanager
    def hold_sources(self, spec: JobSpec, *, model_only: bool = False) -> Iterator[Shelf]:
        """What the spec names of its caller's registered sources. SourceUnavailable for what was deleted meanwhile."""
        with ExitStack() as held:
            shelf = self._enter_shelf(spec, held, model_only)
            gone = ", ".join(sorted(registered(spec, model_only=model_only) - shelf.keys()))
            if gone:
                raise SourceUnavailable(
                    f"{gone} was deleted before the job ran.",
                    hint="Upload it again and submit a new job with its new id.",
                )
            yield shelf

    def fetch(self, artifact: ArtifactRow, file: Path) -> None:
        """Bring a stored file here. Raises StorageUnavailable."""
        self.reach_store(lambda: self.objects.download(artifact.key, file))

    def reach_store(self, step: Callable[[], Returned]) -> Returned:
        """What `step`, which uses the object store, answers, waiting for a store that is away.

        Raises StorageUnavailable when that was in vain, and what the heartbeat heard meanwhile.
        """
        return reach_store(step, self.lease.checkpoint)

    @patient
    def _enter_shelf(self, spec: JobSpec, held: ExitStack, model_only: bool) -> Shelf:
        shelves = Shelves(self.lease.database, self.objects, self.lease.settings, self.lease.owner)
        return self.reach_store(lambda: held.enter_context(shelves.shelf(spec, model_only=model_only)))
