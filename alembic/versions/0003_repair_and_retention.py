"""Jobs that are being repaired; finished jobs by age."""

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("repairing", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.alter_column("jobs", "repairing", server_default=None)
    op.drop_column("jobs", "expires_at")
    op.create_index("ix_jobs_finished_at", "jobs", ["finished_at"], postgresql_where=sa.text("finished_at IS NOT NULL"))


def downgrade() -> None:
    op.drop_index("ix_jobs_finished_at", "jobs")
    op.add_column("jobs", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_column("jobs", "repairing")
