"""Keep what a file says of its own origin."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    with op.batch_alter_table("reports") as batch:
        batch.add_column(sa.Column("provenance", sa.JSON()))


def downgrade() -> None:
    with op.batch_alter_table("reports") as batch:
        batch.drop_column("provenance")
