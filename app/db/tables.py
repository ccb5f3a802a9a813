"""The tables. JSONB columns hold wire models whole; what is filtered, guarded or counted has a column of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, MetaData, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from microlith.contract import Kind, Phase, State

QUEUED = text("state = 'queued'")
LISTED = text("kind <> 'predict'")
"""Of partial indexes: a query that says the same, in just these words and not by a parameter, can use them."""

ID = text('id COLLATE "C"')
"""The order of lists, which is not the primary key's: see app.db.jobs."""


class Table(DeclarativeBase):
    """Base of all tables; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        Kind: Text,
        State: Text,
        Phase: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
    }


class JobRow(Table):
    """A job. `lease_token` is the right of one attempt to write; `last_seq` numbers its events without gaps.

    What came of it is read when it is asked for: it may be large, and a list does without.
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    kind: Mapped[Kind] = mapped_column(default="decompose")
    state: Mapped[State]
    phase: Mapped[Phase | None]
    spec: Mapped[dict[str, Any]]
    order: Mapped[dict[str, Any] | None]
    fingerprint: Mapped[str]
    model: Mapped[str]
    dataset: Mapped[str]
    method: Mapped[str]
    labels: Mapped[dict[str, Any]]
    priority: Mapped[int]
    progress: Mapped[dict[str, Any]]
    concerns_total: Mapped[int]
    concerns_succeeded: Mapped[int] = mapped_column(default=0)
    concerns_failed: Mapped[int] = mapped_column(default=0)
    resolved: Mapped[dict[str, Any]]
    base: Mapped[dict[str, Any] | None] = mapped_column(deferred=True, deferred_group="results")
    overlap: Mapped[list[dict[str, Any]]] = mapped_column(deferred=True, deferred_group="results")
    combination: Mapped[dict[str, Any] | None] = mapped_column(deferred=True, deferred_group="results")
    prediction: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    timings: Mapped[dict[str, Any]]
    attempts: Mapped[int] = mapped_column(default=0)
    lease_token: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    last_seq: Mapped[int] = mapped_column(default=0)
    repairing: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    queued_at: Mapped[datetime]
    deadline_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_jobs_listed", "owner", ID, postgresql_where=text("kind <> 'predict' AND id > ''")),
        Index("ix_jobs_owner_kind", "owner", "kind", ID),
        Index("ix_jobs_owner_state", "owner", "state", ID, postgresql_where=LISTED),
        Index("ix_jobs_owner_model", "owner", "model", ID, postgresql_where=LISTED),
        Index("ix_jobs_owner_dataset", "owner", "dataset", ID, postgresql_where=LISTED),
        Index("ix_jobs_owner_method", "owner", "method", ID, postgresql_where=LISTED),
        Index(None, "owner", "fingerprint", "id"),
        Index("ix_jobs_turn", text("priority DESC"), "queued_at", "id", postgresql_where=QUEUED),
        Index("ix_jobs_queue", "kind", text("priority DESC"), "queued_at", "id", postgresql_where=QUEUED),
        Index("ix_jobs_deadline", "deadline_at", postgresql_where=text("state = 'queued' AND deadline_at IS NOT NULL")),
        Index(None, "lease_expires_at", postgresql_where=text("lease_token IS NOT NULL")),
        Index(None, "kind", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    )


class LabelRow(Table):
    """A job's own mark, once more: a list of the jobs marked so is read in their order, however many there are."""

    __tablename__ = "job_labels"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    owner: Mapped[str]

    __table_args__ = (Index("ix_job_labels_listed", "owner", "key", "value", text('job_id COLLATE "C"')),)


class EventRow(Table):
    """One line of a job's history."""

    __tablename__ = "events"

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    seq: Mapped[int]
    type: Mapped[str]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("job_id", "seq"),)


class ModuleRow(Table):
    """A published module; `facts` is the wire model without its artifacts and what depends on other modules."""

    __tablename__ = "modules"

    id: Mapped[str] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    concern_id: Mapped[int]
    ratio: Mapped[float]
    facts: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("job_id", "concern_id", "ratio"),)


class ShardRow(Table):
    """A concern of a job that several workers make, in the attempt with this lease token. Its holder makes its modules.

    `held_until` is null for the worker that has the lease: it holds as long as that.
    """

    __tablename__ = "shards"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    concern_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    token: Mapped[str]
    holder: Mapped[str | None]
    held_until: Mapped[datetime | None]
    finished: Mapped[bool] = mapped_column(default=False)


class ArtifactRow(Table):
    """A stored file of a module or of a combining job, under a key named by its content, which rows may share.

    What was not `asked` for is there for other layouts to be made from, and is not shown.
    """

    __tablename__ = "artifacts"

    id: Mapped[str] = mapped_column(primary_key=True)
    module_id: Mapped[str | None] = mapped_column(ForeignKey("modules.id", ondelete="CASCADE"), index=True)
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    layout: Mapped[str]
    asked: Mapped[bool] = mapped_column(default=True)
    media_type: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    key: Mapped[str] = mapped_column(index=True)
    filename: Mapped[str]
    files: Mapped[list[dict[str, Any]]]
    created_at: Mapped[datetime]


class UploadRow(Table):
    """A file a caller sends: at `staged` while it is open; at `key`, where nobody can write, once it is complete."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    kind: Mapped[str]
    filename: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    staged: Mapped[str] = mapped_column(index=True)
    key: Mapped[str | None] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(index=True)
    completed_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "owner", "id"), Index(None, "owner", "sha256"))


class SourceRow(Table):
    """A registered model or dataset: an upload, or a name on the hub; `facts` is its wire model, null while unknown.

    They are long, and read by the queries that tell of sources alone.
    """

    __tablename__ = "sources"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    kind: Mapped[str]
    upload_id: Mapped[str | None] = mapped_column(ForeignKey("uploads.id"), index=True)
    hub: Mapped[str | None]
    columns: Mapped[dict[str, Any]]
    facts: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    created_at: Mapped[datetime]

    __table_args__ = (Index(None, "owner", "kind", "id"),)


class EndedSessionRow(Table):
    """A browser's session that was ended before its time; kept until that is over."""

    __tablename__ = "ended_sessions"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    expires_at: Mapped[datetime]


class IdempotencyRow(Table):
    """Which job a caller's idempotency key made, and from which body."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_sha256: Mapped[str]
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
