"""Keep what the pictures of a clip look like, and find reports by the file they are about."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "likenesses",
        sa.Column("report_id", sa.String(), nullable=False),
        sa.Column("likeness", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_likenesses_reports", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("report_id", name="pk_likenesses"),
    )
    op.create_index("ix_reports_video_sha256", "reports", ["video_sha256"])


def downgrade() -> None:
    op.drop_index("ix_reports_video_sha256", "reports")
    op.drop_table("likenesses")
