"""Schema version 2: a study states whether its networks are deployed with native forms."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Add the column, without values: the forms of earlier studies are known from their metrics."""
    op.add_column("dsx_studies", sa.Column("deploy", sa.String(255), nullable=True))
