"""Combinations: what came of them, and artifacts that are a job's own."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("combination", JSONB(), nullable=True))
    op.add_column("artifacts", sa.Column("job_id", sa.Text(), nullable=True))
    op.create_foreign_key("fk_artifacts_job_id", "artifacts", "jobs", ["job_id"], ["id"], ondelete="CASCADE")
    op.create_index("ix_artifacts_job_id", "artifacts", ["job_id"])
    op.alter_column("artifacts", "module_id", nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM artifacts WHERE module_id IS NULL")
    op.alter_column("artifacts", "module_id", nullable=False)
    op.drop_index("ix_artifacts_job_id", "artifacts")
    op.drop_constraint("fk_artifacts_job_id", "artifacts")
    op.drop_column("artifacts", "job_id")
    op.drop_column("jobs", "combination")
