"""Schema version 3: a measurement has a result for each validation example."""

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """Add the column, without values: designs with earlier measurements are not paired."""
    op.add_column("dsx_measurements", sa.Column("examples", sa.LargeBinary(), nullable=True))
