"""Keep what became of a verdict when the clip was changed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "trials",
        sa.Column("report_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("change", sa.String(16), nullable=False),
        sa.Column("track_id", sa.Integer()),
        sa.Column("label", sa.String(16), nullable=False),
        sa.Column("fake", sa.Double()),
        sa.Column("reason", sa.String()),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_trials_reports", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("report_id", "position", name="pk_trials"),
    )


def downgrade() -> None:
    op.drop_table("trials")
