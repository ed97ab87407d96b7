"""Keep how each score enters the verdict, and what a verdict rests on."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

WEIGHING = ("weighing_slope", "weighing_intercept", "weighing_sd", "weighing_reliability")


def upgrade() -> None:
    with op.batch_alter_table("scores") as batch:
        for name in WEIGHING:
            batch.add_column(sa.Column(name, sa.Double()))
    for table in ("reports", "persons"):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("verdict_basis", sa.String(24)))


def downgrade() -> None:
    for table in ("persons", "reports"):
        with op.batch_alter_table(table) as batch:
            batch.drop_column("verdict_basis")
    with op.batch_alter_table("scores") as batch:
        for name in reversed(WEIGHING):
            batch.drop_column(name)
