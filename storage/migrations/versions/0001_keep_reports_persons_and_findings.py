"""Keep reports, persons and findings."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "reports",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("app_version", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("options_detectors", sa.JSON(), nullable=False),
        sa.Column("options_regions", sa.JSON(), nullable=False),
        sa.Column("options_thoroughness", sa.String(16), nullable=False),
        sa.Column("options_landmarks", sa.String(), nullable=False),
        sa.Column("video_sha256", sa.String(), nullable=False),
        sa.Column("video_name", sa.String(), nullable=False),
        sa.Column("video_duration_s", sa.Double(), nullable=False),
        sa.Column("video_frames", sa.Integer()),
        sa.Column("video_frames_decoded", sa.Integer(), nullable=False),
        sa.Column("video_fps", sa.Double(), nullable=False),
        sa.Column("video_width", sa.Integer(), nullable=False),
        sa.Column("video_height", sa.Integer(), nullable=False),
        sa.Column("video_codec", sa.String(), nullable=False),
        sa.Column("video_rotation", sa.Integer(), nullable=False),
        sa.Column("verdict_label", sa.String(16), nullable=False),
        sa.Column("verdict_fake", sa.Double()),
        sa.Column("verdict_interval", sa.JSON()),
        sa.Column("verdict_coverage", sa.Double(), nullable=False),
        sa.Column("verdict_reason", sa.String(), nullable=False),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("timings_s", sa.JSON(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reports"),
    )
    op.create_index("ix_reports_owner_created_at", "reports", ["owner", "created_at"])
    op.create_index("ix_reports_owner_fingerprint_created_at", "reports", ["owner", "fingerprint", "created_at"])
    op.create_table(
        "findings",
        sa.Column("report_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("detector", sa.String(), nullable=False),
        sa.Column("region", sa.String(), nullable=False),
        sa.Column("track_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String()),
        sa.Column("weights_id", sa.String()),
        sa.Column("weights_sha256", sa.String()),
        sa.Column("weights_licence", sa.String()),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_findings_reports", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("report_id", "position", name="pk_findings"),
    )
    op.create_table(
        "persons",
        sa.Column("report_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("start_s", sa.Double(), nullable=False),
        sa.Column("end_s", sa.Double(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("face_px", sa.Double(), nullable=False),
        sa.Column("verdict_label", sa.String(16), nullable=False),
        sa.Column("verdict_fake", sa.Double()),
        sa.Column("verdict_interval", sa.JSON()),
        sa.Column("verdict_coverage", sa.Double(), nullable=False),
        sa.Column("verdict_reason", sa.String(), nullable=False),
        sa.Column("quality_sharpness", sa.Double(), nullable=False),
        sa.Column("quality_yaw_deg", sa.Double(), nullable=False),
        sa.Column("quality_coverage", sa.Double(), nullable=False),
        sa.Column("quality_frame_rate_hz", sa.Double(), nullable=False),
        sa.Column("quality_repeated", sa.Double(), nullable=False),
        sa.Column("quality_imputed", sa.Double(), nullable=False),
        sa.Column("quality_warnings", sa.JSON(), nullable=False),
        sa.Column("thumbnail", sa.LargeBinary(), nullable=False),
        sa.Column("motion", sa.LargeBinary()),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name="fk_persons_reports", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("report_id", "position", name="pk_persons"),
    )
    op.create_table(
        "scores",
        sa.Column("report_id", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("fake", sa.Double()),
        sa.Column("interval", sa.JSON()),
        sa.Column("calibrated", sa.Boolean(), nullable=False),
        sa.Column("overall", sa.Double()),
        sa.Column("vote", sa.Double()),
        sa.Column("time_s", sa.JSON(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["report_id", "position"],
            ["findings.report_id", "findings.position"],
            name="fk_scores_findings",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("report_id", "position", name="pk_scores"),
    )


def downgrade() -> None:
    op.drop_table("scores")
    op.drop_table("persons")
    op.drop_table("findings")
    op.drop_table("reports")
