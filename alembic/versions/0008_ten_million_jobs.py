"""Lists, the queue and the sweep read what they need in its order, from an index, however many jobs there are."""

import sqlalchemy as sa

from alembic import op

revision = "0008"
down_revision = "0007"

ID = sa.text('id COLLATE "C"')
LISTED = sa.text("kind <> 'predict'")
QUEUED = sa.text("state = 'queued'")
FINISHED = sa.text("finished_at IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "job_labels",
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_labels_job_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "key", name="pk_job_labels"),
    )
    marks = ["owner", "key", "value", sa.text('job_id COLLATE "C"')]
    op.create_index("ix_job_labels_listed", "job_labels", marks)
    op.execute(
        "INSERT INTO job_labels (job_id, key, value, owner)"
        " SELECT id, label.key, label.value, owner FROM jobs, jsonb_each_text(labels) AS label"
    )
    for old in ("owner_id", "owner_fingerprint", "labels", "finished_at", "queue"):
        op.drop_index(f"ix_jobs_{old}", "jobs")
    every = sa.text("kind <> 'predict' AND id > ''")
    op.create_index("ix_jobs_listed", "jobs", ["owner", ID], postgresql_where=every)
    op.create_index("ix_jobs_owner_kind", "jobs", ["owner", "kind", ID])
    for column in ("state", "model", "dataset", "method"):
        op.create_index(f"ix_jobs_owner_{column}", "jobs", ["owner", column, ID], postgresql_where=LISTED)
    op.create_index("ix_jobs_owner_fingerprint_id", "jobs", ["owner", "fingerprint", "id"])
    turn = [sa.text("priority DESC"), "queued_at", "id"]
    op.create_index("ix_jobs_turn", "jobs", turn, postgresql_where=QUEUED)
    op.create_index("ix_jobs_queue", "jobs", ["kind", *turn], postgresql_where=QUEUED)
    waiting = sa.text("state = 'queued' AND deadline_at IS NOT NULL")
    op.create_index("ix_jobs_deadline", "jobs", ["deadline_at"], postgresql_where=waiting)
    op.create_index("ix_jobs_kind_finished_at", "jobs", ["kind", "finished_at"], postgresql_where=FINISHED)


def downgrade() -> None:
    for new in ("listed", "owner_kind", "owner_fingerprint_id", "turn", "queue", "deadline", "kind_finished_at"):
        op.drop_index(f"ix_jobs_{new}", "jobs")
    for column in ("state", "model", "dataset", "method"):
        op.drop_index(f"ix_jobs_owner_{column}", "jobs")
    op.create_index("ix_jobs_owner_id", "jobs", ["owner", "id"])
    succeeded = sa.text("state = 'succeeded'")
    op.create_index("ix_jobs_owner_fingerprint", "jobs", ["owner", "fingerprint"], postgresql_where=succeeded)
    op.create_index("ix_jobs_labels", "jobs", ["labels"], postgresql_using="gin")
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"], postgresql_where=FINISHED)
    op.create_index("ix_jobs_queue", "jobs", ["kind", "priority", "queued_at", "id"], postgresql_where=QUEUED)
    op.drop_table("job_labels")
