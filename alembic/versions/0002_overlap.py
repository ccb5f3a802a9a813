"""How much the modules of a job share."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("overlap", JSONB(), nullable=False, server_default="[]"))
    op.alter_column("jobs", "overlap", server_default=None)


def downgrade() -> None:
    op.drop_column("jobs", "overlap")
