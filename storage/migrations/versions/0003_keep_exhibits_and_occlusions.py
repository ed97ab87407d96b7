"""Keep exhibits and occlusions."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "exhibits",
        sa.Column("report_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("detector", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("track_id", sa.Integer(), nullable=False),
        sa.Column("weights", sa.String(), nullable=False),
        sa.Column("time_s", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("crop", sa.LargeBinary(), nullable=False),
        sa.Column("frame", sa.LargeBinary(), nullable=False),
        sa.Column("to_frame", sa.JSON(), nullable=False),
        sa.Column("heat", sa.LargeBinary(), nullable=False),
        sa.Column("contributions_time_s", sa.JSON()),
        sa.Column("contributions_log_odds", sa.JSON()),
        sa.Column("contributions_weights", sa.JSON()),
        sa.Column("contributions_bias", sa.Double()),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_exhibits_reports", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("report_id", "position", name="pk_exhibits"),
    )
    op.create_table(
        "occlusions",
        sa.Column("report_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("track_id", sa.Integer(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("fake", sa.Double(), nullable=False),
        sa.Column("hidden", sa.Double(), nullable=False),
        sa.Column("moved", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_occlusions_reports", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("report_id", "position", name="pk_occlusions"),
    )


def downgrade() -> None:
    op.drop_table("occlusions")
    op.drop_table("exhibits")
