"""Keep analyses that were asked for, until some time after their end."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("key", sa.String()),
        sa.Column("address", sa.String()),
        sa.Column("language", sa.String(16), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("options_detectors", sa.JSON(), nullable=False),
        sa.Column("options_regions", sa.JSON(), nullable=False),
        sa.Column("options_thoroughness", sa.String(16), nullable=False),
        sa.Column("options_landmarks", sa.String(), nullable=False),
        sa.Column("references", sa.JSON(), nullable=False),
        sa.Column("reference_names", sa.JSON(), nullable=False),
        sa.Column("again", sa.String()),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.Column("started_s", sa.Double()),
        sa.Column("ended_s", sa.Double()),
        sa.Column("worker", sa.String()),
        sa.Column("lease_s", sa.Double()),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("fraction", sa.Double(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String()),
        sa.Column("report_id", sa.String()),
        sa.Column("from_store", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("owner", "key", name="uq_jobs_owner_key"),
    )
    op.create_index("ix_jobs_state_priority_created_s", "jobs", ["state", "priority", "created_s"])
    op.create_index("ix_jobs_owner_created_s", "jobs", ["owner", "created_s"])
    op.create_index("ix_jobs_address_created_s", "jobs", ["address", "created_s"])
    op.create_index("ix_jobs_state_ended_s", "jobs", ["state", "ended_s"])
    op.create_index("ix_jobs_report_id", "jobs", ["report_id"])


def downgrade() -> None:
    op.drop_table("jobs")
