"""The tables, as rows that carry the very records of `core.types`.

An attribute has the name of the record's field. A record inside a record is a composite: its fields are columns behind
a prefix, such as `video_name`. Column types are those SQLite and PostgreSQL share.
"""

from dataclasses import asdict
from enum import StrEnum
from io import BytesIO
from typing import Any, ClassVar

import numpy as np
from sqlalchemy import (
    JSON,
    Dialect,
    Double,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, composite, mapped_column, relationship

from core.jobs import JobState
from core.people import Role
from core.reviewing import Decision, Move, State
from core.types import (
    Basis,
    ChangeName,
    Contributions,
    Label,
    Likeness,
    Motion,
    Options,
    Provenance,
    Quality,
    Thoroughness,
    Thresholds,
    UsedWeights,
    Verdict,
    Video,
    Weighing,
)


class JsonTuple(TypeDecorator[tuple[Any, ...]]):
    """A tuple as a JSON list; Python writes floats so that they read back as the same number."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_result_value(self, value: list[Any] | None, dialect: Dialect) -> tuple[Any, ...] | None:
        return None if value is None else tuple(value)


class ProvenanceJson(TypeDecorator[Provenance]):
    """Credentials as they are told: nobody looks for a report by them."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Provenance | None, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else asdict(value)

    def process_result_value(self, value: dict[str, Any] | None, dialect: Dialect) -> Provenance | None:
        if value is None:
            return None
        return Provenance(**{name: tuple(v) if isinstance(v, list) else v for name, v in value.items()})  # type: ignore[arg-type]


class MotionBytes(TypeDecorator[Motion]):
    """A `Motion` as a compressed .npz; times and flags exact, landmarks as float16.

    Half precision is off by at most 2.5e-4 inside [-1, 1], a twentieth of a pixel on a face crop of 400 px, less than
    an animation can show. Three seconds take about 45 kB; float32 takes twice, rounded JSON five times as much.
    """

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Motion | None, dialect: Dialect) -> bytes | None:
        if value is None:
            return None
        packed = BytesIO()
        np.savez_compressed(
            packed,
            time_s=value.time_s,
            raw=value.raw.astype(np.float16),
            calibrated=value.calibrated.astype(np.float16),
            seen=value.seen,
        )
        return packed.getvalue()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Motion | None:
        if value is None:
            return None
        with np.load(BytesIO(value), allow_pickle=False) as packed:
            return Motion(
                time_s=packed["time_s"],
                raw=packed["raw"].astype(np.float32),
                calibrated=packed["calibrated"].astype(np.float32),
                seen=packed["seen"],
            )


class HeatBytes(TypeDecorator[np.ndarray]):
    """A heat map as a compressed .npz of whole 255ths, so off by 1/510 at most: more than colours can show."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: np.ndarray | None, dialect: Dialect) -> bytes | None:
        if value is None:
            return None
        packed = BytesIO()
        np.savez_compressed(packed, heat=np.rint(255 * value).astype(np.uint8))
        return packed.getvalue()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> np.ndarray | None:
        if value is None:
            return None
        with np.load(BytesIO(value), allow_pickle=False) as packed:
            heat: np.ndarray = packed["heat"].astype(np.float32) / 255
            return heat


def _words(kind: type[StrEnum]) -> Enum:
    """Text rather than the database's own enum, so that a new word needs no migration."""
    return Enum(kind, native_enum=False, length=16, values_callable=lambda words: [word.value for word in words])


class LikenessBytes(TypeDecorator[Likeness]):
    """A `Likeness` as 12 bytes a hash: its time, then its 64 bits."""

    impl = LargeBinary
    cache_ok = True
    layout = np.dtype([("time_s", "<f4"), ("hashes", "u1", 8)])

    def process_bind_param(self, value: Likeness | None, dialect: Dialect) -> bytes | None:
        if value is None:
            return None
        packed = np.zeros(len(value.time_s), self.layout)
        packed["time_s"], packed["hashes"] = value.time_s, value.hashes
        return packed.tobytes()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Likeness | None:
        if value is None:
            return None
        packed = np.frombuffer(value, self.layout)
        return Likeness(packed["time_s"].copy(), packed["hashes"].copy())


class Base(DeclarativeBase):
    # Batch migrations can change a constraint only by its name.
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        float: Double,
        dict[str, float]: JSON,
        tuple[str, ...]: JsonTuple,
        tuple[float, ...]: JsonTuple,
        tuple[float, float]: JsonTuple,
        Likeness: LikenessBytes,
        Motion: MotionBytes,
        Provenance: ProvenanceJson,
        np.ndarray: HeatBytes,
        Thoroughness: String(16),
        Basis: String(24),
        ChangeName: String(16),
        Label: _words(Label),
        State: _words(State),
        Move: _words(Move),
        Decision: _words(Decision),
        Role: _words(Role),
        JobState: _words(JobState),
    }


class ReportRow(Base):
    __tablename__ = "reports"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    created_at: Mapped[str]
    """As in the report: UTC in ISO 8601, which sorts as text."""
    app_version: Mapped[str]
    fingerprint: Mapped[str]
    options: Mapped[Options] = composite(Options, column_template="options_%s")
    video: Mapped[Video] = composite(Video, column_template="video_%s")
    verdict: Mapped[Verdict] = composite(Verdict, column_template="verdict_%s")
    tracks: Mapped[list["PersonRow"]] = relationship(order_by="PersonRow.position", lazy="selectin")
    findings: Mapped[list["FindingRow"]] = relationship(order_by="FindingRow.position", lazy="selectin")
    exhibits: Mapped[list["ExhibitRow"]] = relationship(order_by="ExhibitRow.position", lazy="selectin")
    occlusions: Mapped[list["OcclusionRow"]] = relationship(order_by="OcclusionRow.position", lazy="selectin")
    trials: Mapped[list["TrialRow"]] = relationship(order_by="TrialRow.position", lazy="selectin")
    review: Mapped["ReviewRow"] = relationship()
    likeness: Mapped["LikenessRow | None"] = relationship(lazy="joined")
    warnings: Mapped[tuple[str, ...]]
    timings_s: Mapped[dict[str, float]]
    device: Mapped[str]
    thresholds: Mapped[Thresholds | None] = composite(
        mapped_column("thresholds_strong_signs", nullable=True),
        mapped_column("thresholds_some_signs", nullable=True),
        mapped_column("thresholds_no_signs", nullable=True),
    )
    references: Mapped[tuple[str, ...]] = mapped_column(server_default="[]")
    deleted_at: Mapped[str | None]
    """Since when only this row is left of the report; None while it is whole."""
    provenance: Mapped[Provenance | None]

    __table_args__ = (
        Index(None, "owner", "created_at"),
        # With the date in it, or SQLite would look for a fingerprint along the other index, through all reports.
        Index(None, "owner", "fingerprint", "created_at"),
        Index(None, "video_sha256"),
    )


class PersonRow(Base):
    __tablename__ = "persons"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    """The place in the report's `tracks`, from 0."""
    id: Mapped[int]
    start_s: Mapped[float]
    end_s: Mapped[float]
    frames: Mapped[int]
    face_px: Mapped[float]
    verdict: Mapped[Verdict] = composite(Verdict, column_template="verdict_%s")
    quality: Mapped[Quality] = composite(Quality, column_template="quality_%s")
    thumbnail: Mapped[bytes]
    motion: Mapped[Motion | None]


class TrialRow(Base):
    __tablename__ = "trials"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    """The place in the report's `trials`, from 0."""
    change: Mapped[ChangeName]
    track_id: Mapped[int | None]
    label: Mapped[Label]
    fake: Mapped[float | None]
    reason: Mapped[str | None]


class LikenessRow(Base):
    """Apart from the report, so that all of them are read without anything else."""

    __tablename__ = "likenesses"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True)
    likeness: Mapped[Likeness]


class FindingRow(Base):
    __tablename__ = "findings"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    """The place in the report's `findings`, from 0."""
    detector: Mapped[str]
    region: Mapped[str]
    track_id: Mapped[int]
    reason: Mapped[str | None]
    weights: Mapped[UsedWeights | None] = composite(
        mapped_column("weights_id", nullable=True),
        mapped_column("weights_sha256", nullable=True),
        mapped_column("weights_licence", nullable=True),
    )
    score: Mapped["ScoreRow | None"] = relationship(lazy="joined")


class ScoreRow(Base):
    """What a scored finding has and a skipped one has not; the row's presence is the finding's status."""

    __tablename__ = "scores"

    report_id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    fake: Mapped[float | None]
    interval: Mapped[tuple[float, float] | None]
    calibrated: Mapped[bool]
    overall: Mapped[float | None]
    vote: Mapped[float | None]
    time_s: Mapped[tuple[float, ...]]
    scores: Mapped[tuple[float, ...]]
    weighing: Mapped[Weighing | None] = composite(
        mapped_column("weighing_slope", nullable=True),
        mapped_column("weighing_intercept", nullable=True),
        mapped_column("weighing_sd", nullable=True),
        mapped_column("weighing_reliability", nullable=True),
    )

    __table_args__ = (
        ForeignKeyConstraint(
            ["report_id", "position"], ["findings.report_id", "findings.position"], ondelete="CASCADE"
        ),
    )


class ExhibitRow(Base):
    __tablename__ = "exhibits"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    """The place in the report's `exhibits`, from 0."""
    detector: Mapped[str]
    region: Mapped[str]
    track_id: Mapped[int]
    weights: Mapped[str]
    time_s: Mapped[float]
    score: Mapped[float]
    crop: Mapped[bytes]
    frame: Mapped[bytes]
    to_frame: Mapped[tuple[float, ...]]
    heat: Mapped[np.ndarray]
    contributions: Mapped[Contributions | None] = composite(
        mapped_column("contributions_time_s", JsonTuple, nullable=True),
        mapped_column("contributions_log_odds", JsonTuple, nullable=True),
        mapped_column("contributions_weights", JsonTuple, nullable=True),
        mapped_column("contributions_bias", Double, nullable=True),
    )


class OcclusionRow(Base):
    __tablename__ = "occlusions"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    """The place in the report's `occlusions`, from 0."""
    track_id: Mapped[int]
    region: Mapped[str]
    fake: Mapped[float]
    hidden: Mapped[float]
    moved: Mapped[dict[str, float]]


class ReviewRow(Base):
    """A report as the queue sees it: narrow, with all that it is filtered and sorted by, so that no join is needed."""

    __tablename__ = "reviews"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True)
    created_at: Mapped[str]
    name: Mapped[str]
    label: Mapped[Label]
    score: Mapped[float]
    """P(fake) of the verdict; -1 where there is none, for a null has no place in an order."""
    persons: Mapped[int]
    detectors: Mapped[str]
    """Those that scored somebody, between commas: `,compact,lrnet,`."""
    state: Mapped[State] = mapped_column(default=State.UNREVIEWED)
    open: Mapped[bool] = mapped_column(default=True)
    """Whether the state is any but decided: what most look for, so it has an index."""
    why: Mapped[str] = mapped_column(default="")
    claimed_by: Mapped[str | None]
    claimed_until: Mapped[str | None]
    decision: Mapped[Decision | None]
    reviewer: Mapped[str | None]

    __table_args__ = (
        Index(None, "created_at", "report_id"),
        Index(None, "score", "report_id"),
        *(Index(None, by, "created_at", "report_id") for by in ("open", "state", "label", "persons", "reviewer")),
        *(Index(None, by, "score", "report_id") for by in ("open", "state")),
        Index(None, "claimed_by"),
    )


class PolicyRow(Base):
    __tablename__ = "policies"

    id: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    text: Mapped[str]
    active: Mapped[bool]


class OpinionRow(Base):
    __tablename__ = "opinions"

    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True)
    reviewer: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[str]
    decision: Mapped[Decision]
    blind: Mapped[bool]


class StepRow(Base):
    __tablename__ = "steps"

    id: Mapped[int] = mapped_column(primary_key=True)
    report_id: Mapped[str] = mapped_column(ForeignKey("reports.id", ondelete="CASCADE"), index=True)
    at: Mapped[str]
    actor: Mapped[str]
    move: Mapped[Move]
    before: Mapped[State]
    after: Mapped[State]
    note: Mapped[str]
    why: Mapped[str]
    ruling: Mapped["RulingRow | None"] = relationship(lazy="joined")


class RulingRow(Base):
    """What a step has that is a decision."""

    __tablename__ = "rulings"

    step_id: Mapped[int] = mapped_column(ForeignKey("steps.id", ondelete="CASCADE"), primary_key=True)
    decision: Mapped[Decision]
    policy: Mapped[str] = mapped_column(ForeignKey("policies.id"))
    policy_title: Mapped[str]
    blind: Mapped[bool]


class BandsRow(Base):
    """Thresholds that a lead applied; the newest are in force."""

    __tablename__ = "bands"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[str]
    actor: Mapped[str]
    no_signs: Mapped[float]
    some_signs: Mapped[float]
    strong_signs: Mapped[float]
    why: Mapped[str]


class UserRow(Base):
    """Never removed, since what people did is kept under their names; who leaves is disabled."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[Role]
    password: Mapped[str]
    """Hashed with argon2, in its own notation."""
    disabled: Mapped[bool]
    created_at: Mapped[str]


class SessionRow(Base):
    """Somebody is logged in, until a moment in seconds since 1970."""

    __tablename__ = "sessions"

    token: Mapped[str] = mapped_column(primary_key=True)
    """SHA-256 of what the browser keeps."""
    user_name: Mapped[str] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"), index=True)
    until_s: Mapped[float]


class KeyRow(Base):
    """A program's way in, under the name and with the role of its user."""

    __tablename__ = "keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_name: Mapped[str] = mapped_column(ForeignKey("users.name", ondelete="CASCADE"), index=True)
    label: Mapped[str]
    secret: Mapped[str] = mapped_column(unique=True)
    """SHA-256 of the key."""
    created_at: Mapped[str]
    used_at: Mapped[str | None]


class AttemptRow(Base):
    """Somebody tried to log in and was not let in, or not yet, in seconds since 1970."""

    __tablename__ = "attempts"

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str]
    """SHA-256 of the name or address: people type passwords in the field for the name."""
    at_s: Mapped[float]

    __table_args__ = (Index(None, "subject", "at_s"),)


class AuditRow(Base):
    """An entry of the log (`storage.audit`). It points to no row of `reports`, as it outlives them."""

    __tablename__ = "audit"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[str]
    actor: Mapped[str]
    action: Mapped[str]
    report_id: Mapped[str | None]
    details: Mapped[str]
    """Canonical JSON as text: a hash is over bytes."""
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))

    __table_args__ = (Index(None, "report_id", "number"),)


class AuditHeadRow(Base):
    """The end of the log, in the one row that the migration puts there."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    count: Mapped[int]
    hash: Mapped[str] = mapped_column(String(64))


class HookRow(Base):
    """Where a program of the organisation wants to hear what was analysed or decided."""

    __tablename__ = "hooks"

    id: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    secret: Mapped[str]
    """As it is: who signs must know it."""
    events: Mapped[tuple[str, ...]]
    created_at: Mapped[str]
    busy_until: Mapped[float]
    """Until then one sender has this hook to itself; seconds since 1970."""
    delivered_at: Mapped[str | None]
    trouble: Mapped[str | None]
    """Why the last attempt failed, if it did."""


class DeliveryRow(Base):
    """News that a hook has not received yet; gone once it has."""

    __tablename__ = "deliveries"

    id: Mapped[str] = mapped_column(primary_key=True)
    hook_id: Mapped[str] = mapped_column(ForeignKey("hooks.id", ondelete="CASCADE"))
    event: Mapped[str]
    body: Mapped[str]
    attempts: Mapped[int]
    due_at: Mapped[float]
    """The next attempt is not made before; seconds since 1970."""

    __table_args__ = (Index(None, "hook_id", "due_at"),)


class JobRow(Base):
    """An analysis that was asked for. Moments are in seconds since 1970. It points to no row of `reports`: either may
    go first."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    key: Mapped[str | None]
    """By which its owner knows it: asking again with the same one is not asking twice."""
    address: Mapped[str | None]
    """A keyed hash of where it was asked from, for as long as that is counted."""
    language: Mapped[str] = mapped_column(String(16))
    name: Mapped[str]
    sha256: Mapped[str]
    options: Mapped[Options] = composite(Options, column_template="options_%s")
    references: Mapped[tuple[str, ...]]
    reference_names: Mapped[tuple[str, ...]]
    again: Mapped[str | None]
    priority: Mapped[int]
    state: Mapped[JobState]
    created_s: Mapped[float]
    started_s: Mapped[float | None]
    ended_s: Mapped[float | None]
    worker: Mapped[str | None]
    """Who has claimed it."""
    lease_s: Mapped[float | None]
    """Until then, without a further sign of life of the worker."""
    stage: Mapped[str] = mapped_column(default="")
    fraction: Mapped[float] = mapped_column(default=0.0)
    tries: Mapped[int] = mapped_column(default=0)
    reason: Mapped[str | None]
    report_id: Mapped[str | None]
    from_store: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (
        UniqueConstraint("owner", "key"),
        Index(None, "state", "priority", "created_s"),
        Index(None, "owner", "created_s"),
        Index(None, "address", "created_s"),
        Index(None, "state", "ended_s"),
        Index(None, "report_id"),
    )
