"""Jobs of several kinds: decompositions, layouts made on demand, combinations."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("kind", sa.Text(), nullable=False, server_default="decompose"))
    op.alter_column("jobs", "kind", server_default=None)
    op.add_column("jobs", sa.Column("order", JSONB(), nullable=True))
    op.add_column("artifacts", sa.Column("asked", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.alter_column("artifacts", "asked", server_default=None)
    op.drop_index("ix_jobs_queue", "jobs")
    op.create_index(
        "ix_jobs_queue",
        "jobs",
        ["kind", "priority", "queued_at", "id"],
        postgresql_where=sa.text("state = 'queued'"),
    )


def downgrade() -> None:
    op.drop_index("ix_jobs_queue", "jobs")
    op.create_index(
        "ix_jobs_queue", "jobs", ["priority", "queued_at", "id"], postgresql_where=sa.text("state = 'queued'")
    )
    op.drop_column("artifacts", "asked")
    op.drop_column("jobs", "order")
    op.drop_column("jobs", "kind")
