"""Keep a log of what was done to reports, what they were judged by, and what is left of those that were deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

THRESHOLDS = ("thresholds_strong_signs", "thresholds_some_signs", "thresholds_no_signs")


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("report_id", sa.String()),
        sa.Column("details", sa.String(), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
    )
    op.create_index("ix_audit_report_id_number", "audit", ["report_id", "number"])
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )
    op.bulk_insert(head, [{"id": 1, "count": 0, "hash": "0" * 64}])
    with op.batch_alter_table("reports") as batch:
        for name in THRESHOLDS:
            batch.add_column(sa.Column(name, sa.Double()))
        batch.add_column(sa.Column("references", sa.JSON(), nullable=False, server_default="[]"))
        batch.add_column(sa.Column("deleted_at", sa.String()))


def downgrade() -> None:
    with op.batch_alter_table("reports") as batch:
        for name in ("deleted_at", "references", *reversed(THRESHOLDS)):
            batch.drop_column(name)
    op.drop_table("audit_head")
    op.drop_table("audit")
