"""Tries: what a module and its base make of a few texts."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("prediction", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "prediction")
