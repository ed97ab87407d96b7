"""Keep reviews, their steps and rulings, policies, opinions, and thresholds that were applied."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

ORDERED = ("open", "state", "label", "persons", "reviewer")


def upgrade() -> None:
    op.create_table(
        "reviews",
        sa.Column("report_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("label", sa.String(16), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("persons", sa.Integer(), nullable=False),
        sa.Column("detectors", sa.String(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("claimed_by", sa.String()),
        sa.Column("claimed_until", sa.String()),
        sa.Column("decision", sa.String(16)),
        sa.Column("reviewer", sa.String()),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_reviews_reports", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("report_id", name="pk_reviews"),
    )
    _queue_what_was_there()
    op.create_index("ix_reviews_created_at_report_id", "reviews", ["created_at", "report_id"])
    op.create_index("ix_reviews_score_report_id", "reviews", ["score", "report_id"])
    for by in ORDERED:
        op.create_index(f"ix_reviews_{by}_created_at_report_id", "reviews", [by, "created_at", "report_id"])
    for by in ("open", "state"):
        op.create_index(f"ix_reviews_{by}_score_report_id", "reviews", [by, "score", "report_id"])
    op.create_index("ix_reviews_claimed_by", "reviews", ["claimed_by"])
    op.create_table(
        "policies",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_policies"),
    )
    op.create_table(
        "opinions",
        sa.Column("report_id", sa.String(), nullable=False),
        sa.Column("reviewer", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_opinions_reports", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("report_id", "reviewer", name="pk_opinions"),
    )
    op.create_table(
        "steps",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("report_id", sa.String(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("move", sa.String(16), nullable=False),
        sa.Column("before", sa.String(16), nullable=False),
        sa.Column("after", sa.String(16), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_steps_reports", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_steps"),
    )
    op.create_index("ix_steps_report_id", "steps", ["report_id"])
    op.create_table(
        "rulings",
        sa.Column("step_id", sa.Integer(), nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("policy", sa.String(), nullable=False),
        sa.Column("policy_title", sa.String(), nullable=False),
        sa.Column("blind", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["step_id"], ["steps.id"], name="fk_rulings_steps", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["policy"], ["policies.id"], name="fk_rulings_policies"),
        sa.PrimaryKeyConstraint("step_id", name="pk_rulings"),
    )
    op.create_table(
        "bands",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("no_signs", sa.Double(), nullable=False),
        sa.Column("some_signs", sa.Double(), nullable=False),
        sa.Column("strong_signs", sa.Double(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_bands"),
    )


def downgrade() -> None:
    for table in ("bands", "rulings", "steps", "opinions", "policies", "reviews"):
        op.drop_table(table)


def _queue_what_was_there() -> None:
    """Every report that is kept already waits for review like a new one."""
    names = (
        "string_agg(detector, ',' ORDER BY detector)"
        if op.get_bind().dialect.name == "postgresql"
        else ("group_concat(detector, ',')")
    )
    op.execute(
        f"""
        INSERT INTO reviews (report_id, created_at, name, label, score, persons, detectors, state, open, why)
        SELECT id, created_at, video_name, verdict_label, coalesce(verdict_fake, -1),
            (SELECT count(*) FROM persons WHERE persons.report_id = reports.id),
            coalesce(',' || (SELECT {names} FROM (
                SELECT DISTINCT detector FROM findings JOIN scores
                    ON scores.report_id = findings.report_id AND scores.position = findings.position
                WHERE findings.report_id = reports.id ORDER BY detector) AS used) || ',', ','),
            'unreviewed', TRUE, ''
        FROM reports
        """
    )
