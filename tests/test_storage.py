"""Reports become rows and come back whole, to their owner only."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import MISSING, asdict, fields, replace
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, select, text

from core.errors import AppError, ReportNotFound
from core.people import Role, User
from core.reviewing import Decision, Policy
from core.settings import Settings
from core.types import (
    Contributions,
    Exhibit,
    Finding,
    Label,
    Likeness,
    Motion,
    Occlusion,
    Options,
    Person,
    Provenance,
    Quality,
    Report,
    Thresholds,
    Trial,
    UsedWeights,
    Verdict,
    Video,
    Weighing,
)
from storage import History, HistoryRow, ReportStore, database, upgrade
from storage.reports import GOES
from storage.reviews import ReviewStore
from storage.tables import Base, ReportRow

ANNA, BERT = "anna", "bert"

GRID = np.linspace(-1.2, 1.2, 3 * 68 * 2).reshape(3, 68, 2)

MOTION = Motion(
    time_s=np.array([0.1, 0.2, 1 / 3]),
    raw=GRID.astype(np.float32),
    calibrated=(GRID / 3).astype(np.float32),
    seen=np.array([True, False, True]),
)

PERSON = Person(
    id=7,
    start_s=0.25,
    end_s=4.75,
    frames=112,
    face_px=143.5,
    verdict=Verdict(Label.SOME_SIGNS, 0.71, (0.61, 0.81), 0.91, "The mouth moves oddly.", "uncalibrated"),
    quality=Quality(55.5, 12.25, 0.95, 29.97, 0.01, 0.02, ("The face is turned away.",)),
    thumbnail=b"\xff\xd8jpeg\x00\xff",
    motion=MOTION,
)

FINDING = Finding(
    detector="lrnet",
    region="mouth",
    track_id=7,
    status="scored",
    fake=0.1 + 0.2,
    interval=(0.2, 0.4),
    calibrated=True,
    overall=0.66,
    vote=0.625,
    reason="Some points were filled in.",
    weights=UsedWeights("lrnet/own", "ab" * 32, "Apache-2.0"),
    time_s=(1.0, 1 / 3, 2.5),
    scores=(0.125, 1 / 7, 0.875),
    weighing=Weighing(slope=0.9, intercept=-1 / 3, sd=0.7, reliability=0.22),
)

EXHIBIT = Exhibit(
    detector="lipforensics",
    region="mouth",
    track_id=7,
    weights="lipforensics/own",
    time_s=1 / 3,
    score=0.1 + 0.2,
    crop=b"\xff\xd8crop\x00\xff",
    frame=b"\xff\xd8frame\x00\xff",
    to_frame=(1.5, 1 / 3, 10.0, -1 / 3, 1.5, 20.0),
    heat=np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3),
    contributions=Contributions((0.04, 0.08), (1 / 3, -2.5), (0.25, 0.75), 0.125),
)

OCCLUSION = Occlusion(track_id=7, region="mouth", fake=0.1 + 0.2, hidden=1 / 7, moved={"lipforensics/own": -1 / 3})

PROVENANCE = Provenance(
    *("broken", "Anna", "2026-01-02T03:04:05Z", "Paint 1", "holiday", ("c2pa.edited",), ("beach.jpg",), ("changed",))
)

UNCALIBRATED = Finding("lrnet", "entire", 3, "scored", time_s=(0.5,), scores=(0.75,))

REPORT = Report(
    id="r-1",
    created_at="2026-03-04T05:06:07.000008+00:00",
    app_version="9.8.7",
    fingerprint="cd" * 32,
    options=Options(("lrnet", "lrnet/ffpp"), ("eyes", "nose"), "thorough", "fan"),
    video=Video("ef" * 32, "holiday.mp4", 12.5, 375, 374, 29.97, 1280, 720, "h264", 90),
    verdict=Verdict(Label.STRONG_SIGNS, 0.93, (0.83, 0.97), 0.85, "Landmarks jitter.", "partly uncalibrated"),
    tracks=(PERSON, replace(PERSON, id=3, motion=None)),
    findings=(FINDING, Finding("xception", "eyes", 3, "skipped", reason="Eyes hidden."), UNCALIBRATED),
    warnings=("Some frames could not be read.",),
    timings_s={"video": 1.5, "landmarks": 2.25},
    device="cpu",
    exhibits=(EXHIBIT, replace(EXHIBIT, contributions=None)),
    occlusions=(OCCLUSION, replace(OCCLUSION, region="nose")),
    trials=(
        Trial("scaled", None, Label.SOME_SIGNS, 0.61, "It moved."),
        Trial("re-encoded", 7, Label.NOT_ASSESSED, None, "Too blurred."),
    ),
    thresholds=Thresholds(0.8, 0.6, 1 / 3),
    references=("12" * 32, "34" * 32),
    provenance=PROVENANCE,
    likeness=Likeness(np.float32([0.04, 1 / 3]), np.arange(16, dtype=np.uint8).reshape(2, 8)),
)

BARE = Report(
    id="r-2",
    created_at="2026-03-04T05:06:08+00:00",
    app_version="9.8.7",
    fingerprint="01" * 32,
    options=Options(()),
    video=replace(REPORT.video, frames=None),
    verdict=Verdict(Label.NOT_ASSESSED, None, None, 0.0, "No face was found."),
    tracks=(),
    findings=(),
    warnings=(),
    timings_s={},
    device="cpu",
)


@pytest.fixture
def store(database_url: str) -> ReportStore:
    return ReportStore(database_url)


def test_migrations_end_at_the_very_schema_the_tables_declare(database_url):
    with connected(database_url) as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_a_report_whose_every_field_differs_from_its_default_comes_back_whole(store):
    records = (REPORT, REPORT.options, REPORT.verdict, PERSON, PERSON.verdict, PERSON.quality, FINDING, EXHIBIT)
    for record in (*records, REPORT.trials[0], PROVENANCE):
        assert not at_default(record)

    store.add(REPORT, owner=ANNA)
    back = store.get(REPORT.id, owner=ANNA)

    assert back == REPORT
    assert kinds(asdict(back)) == kinds(asdict(REPORT))
    assert [person.motion is None for person in back.tracks] == [False, True]
    np.testing.assert_array_equal(back.likeness.time_s, REPORT.likeness.time_s)
    np.testing.assert_array_equal(back.likeness.hashes, REPORT.likeness.hashes)


def test_a_report_without_anything_optional_comes_back_whole(store):
    store.add(BARE, owner=ANNA)
    assert store.get(BARE.id, owner=ANNA) == BARE


def test_a_motion_keeps_its_times_exactly_and_its_landmarks_within_the_stated_error(store):
    store.add(REPORT, owner=ANNA)
    back = store.get(REPORT.id, owner=ANNA).tracks[0].motion
    np.testing.assert_array_equal(back.time_s, MOTION.time_s)
    np.testing.assert_array_equal(back.seen, MOTION.seen)
    inside = np.abs(GRID) <= 1
    assert back.raw.dtype == back.calibrated.dtype == np.float32
    assert np.abs(back.raw - MOTION.raw)[inside].max() <= 2.5e-4
    assert np.abs(back.calibrated - MOTION.calibrated).max() <= 2.5e-4


def test_a_heat_map_keeps_its_shape_and_its_values_within_the_stated_error(store):
    store.add(REPORT, owner=ANNA)
    back = store.get(REPORT.id, owner=ANNA).exhibits[0].heat
    assert (back.dtype, back.shape) == (np.float32, EXHIBIT.heat.shape)
    assert np.abs(back - EXHIBIT.heat).max() <= 1 / 510


def test_a_deleted_report_leaves_no_row_in_any_table(database_url, store):
    store.add(REPORT, owner=ANNA)
    reviews, lead = ReviewStore(database_url, Settings.from_env({})), User("lea", Role.LEAD)
    reviews.keep_policy(lead, Policy("P", "A policy", ""))
    reviews.give_opinion(REPORT.id, lead, Decision.MANIPULATED)
    reviews.decide(REPORT.id, lead, Decision.MANIPULATED, "P")
    with connected(database_url) as connection:
        kept = rows(connection)
        assert all(kept[part.__tablename__] for part in (ReportRow, *GOES))
    store.delete(REPORT.id, owner=ANNA)
    with connected(database_url) as connection:
        assert not any(rows(connection).values())


def test_another_owner_sees_and_deletes_nothing(store):
    store.add(REPORT, owner=ANNA)
    with pytest.raises(ReportNotFound):
        store.get(REPORT.id, owner=BERT)
    with pytest.raises(ReportNotFound):
        store.delete(REPORT.id, owner=BERT)
    assert store.find(REPORT.fingerprint, owner=BERT) is None
    assert store.history(owner=BERT) == History((), 0)
    assert store.get(REPORT.id, owner=ANNA) == REPORT


def test_a_report_that_never_was_is_not_found(store):
    with pytest.raises(ReportNotFound):
        store.get("nothing", owner=ANNA)
    with pytest.raises(ReportNotFound):
        store.delete("nothing", owner=ANNA)


def test_the_newest_report_of_the_same_fingerprint_is_found(store):
    newer = replace(REPORT, id="r-0", created_at="2026-03-05T00:00:00+00:00")
    for report in (newer, REPORT, BARE):
        store.add(report, owner=ANNA)
    assert store.find(REPORT.fingerprint, owner=ANNA) == newer
    assert store.find("unheard of", owner=ANNA) is None


def test_a_history_row_says_what_the_report_says(store):
    store.add(REPORT, owner=ANNA)
    store.add(BARE, owner=ANNA)
    bare, full = store.history(owner=ANNA).rows
    assert full == HistoryRow(
        "r-1", REPORT.created_at, "holiday.mp4", 12.5, Label.STRONG_SIGNS, 0.93, "partly uncalibrated", 2
    )
    assert full.label is Label.STRONG_SIGNS
    assert (bare.label, bare.fake, bare.persons) == (Label.NOT_ASSESSED, None, 0)


def test_history_pages_newest_first_and_shows_no_report_twice(store):
    same_instant = "2026-03-04T00:00:00+00:00"
    for i in (2, 0, 4, 1, 3):
        store.add(replace(BARE, id=f"r-{i}", created_at=same_instant), owner=ANNA)
    store.add(replace(BARE, id="oldest", created_at="2025-01-01T00:00:00+00:00"), owner=ANNA)
    store.add(replace(BARE, id="newest", created_at="2027-01-01T00:00:00+00:00"), owner=ANNA)

    pages = [store.history(owner=ANNA, page=page, page_size=3) for page in (1, 2, 3, 4)]

    assert [page.total for page in pages] == [7, 7, 7, 7]
    assert [len(page.rows) for page in pages] == [3, 3, 1, 0]
    ids = [row.id for page in pages for row in page.rows]
    assert ids == ["newest", "r-4", "r-3", "r-2", "r-1", "r-0", "oldest"]


@pytest.mark.parametrize("paging", [{"page": 0}, {"page": -1}, {"page_size": 0}])
def test_a_page_before_the_first_and_an_empty_page_are_refused(store, paging):
    with pytest.raises(AppError, match="Pages count from 1"):
        store.history(owner=ANNA, **paging)


def test_history_filters_by_label(store):
    store.add(REPORT, owner=ANNA)
    store.add(BARE, owner=ANNA)
    found = store.history(owner=ANNA, label=Label.STRONG_SIGNS)
    assert ([row.id for row in found.rows], found.total) == (["r-1"], 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("%", {"100%.mp4"}),
        ("_", {"a_b.mp4"}),
        ("/", set()),
        ("\\", {"back\\slash.mp4"}),
        ("übung", {"Übung.mp4"}),
        ("SLASH", {"back\\slash.mp4"}),
        (".mp4", {"100%.mp4", "a_b.mp4", "axb.mp4", "back\\slash.mp4", "Übung.mp4"}),
    ],
)
def test_history_finds_names_by_what_they_literally_contain_in_either_case(store, text, found):
    for name in ("100%.mp4", "a_b.mp4", "axb.mp4", "back\\slash.mp4", "Übung.mp4"):
        store.add(named(name), owner=ANNA)
    history = store.history(owner=ANNA, text=text)
    assert {row.name for row in history.rows} == found
    assert history.total == len(found)


@pytest.mark.parametrize(
    "name", ["<script>'\"; DROP TABLE reports; --.mp4", "a\nb\t{0} %s :name.mp4", "影片 🎬.mp4", ""]
)
def test_a_name_is_data_whatever_it_holds(store, name):
    report = named(name)
    store.add(report, owner=name)
    assert store.get(report.id, owner=name) == report
    assert [row.name for row in store.history(owner=name, text=name).rows] == [name]


def test_reports_added_by_several_threads_at_once_are_all_kept(store):
    threads, each = 4, 5
    together = Barrier(threads)

    def add(thread: int) -> None:
        together.wait()
        for i in range(each):
            store.add(replace(REPORT, id=f"{thread}-{i}"), owner=ANNA)
            assert store.get(f"{thread}-{i}", owner=ANNA).findings == REPORT.findings

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(add, range(threads)))

    assert store.history(owner=ANNA).total == threads * each


@pytest.fixture
def file_url(tmp_path: Path) -> str:
    """An embedded database, for what only that one does."""
    address = f"sqlite:///{tmp_path / 'file' / 'telltale.db'}"
    upgrade(address)
    return address


def test_an_upgrade_that_rebuilds_a_table_keeps_the_rows_that_hang_on_it(file_url, tmp_path, monkeypatch):
    """With foreign keys on, dropping the old `reports` would take every person and finding along."""
    store = ReportStore(file_url)
    store.add(REPORT, owner=ANNA)
    migrations = shutil.copytree(database.MIGRATIONS, tmp_path / "100% new")
    (migrations / "versions" / "9999_rebuild.py").write_text(
        f"from alembic import op\nrevision, down_revision = '9999', '{newest(migrations)}'\n"
        "def upgrade():\n    with op.batch_alter_table('reports', recreate='always') as batch:\n        pass\n"
    )
    monkeypatch.setattr(database, "MIGRATIONS", migrations)

    upgrade(file_url)

    with connected(file_url) as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
    assert store.get(REPORT.id, owner=ANNA) == REPORT


def test_a_failed_upgrade_leaves_the_database_as_it_was(database_url, store, tmp_path, monkeypatch):
    store.add(REPORT, owner=ANNA)
    migrations = shutil.copytree(database.MIGRATIONS, tmp_path / "migrations")
    (migrations / "versions" / "9999_break.py").write_text(
        f"from alembic import op\nrevision, down_revision = '9999', '{newest(migrations)}'\n"
        "def upgrade():\n    op.drop_table('scores')\n    op.drop_table('no_such_table')\n"
    )
    monkeypatch.setattr(database, "MIGRATIONS", migrations)

    with pytest.raises(Exception, match="no_such_table"):
        upgrade(database_url)

    assert store.get(REPORT.id, owner=ANNA) == REPORT


def test_an_embedded_file_is_in_wal_mode_and_survives_a_second_start(file_url):
    ReportStore(file_url).add(REPORT, owner=ANNA)
    upgrade(file_url)
    with connected(file_url) as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
    assert ReportStore(file_url).get(REPORT.id, owner=ANNA) == REPORT


def newest(migrations: Path) -> str:
    """The revision that the next one follows: files are named by it."""
    return max(path.name for path in (migrations / "versions").glob("*.py"))[:4]


def named(name: str) -> Report:
    return replace(BARE, id=f"id of {name}", video=replace(BARE.video, name=name))


def at_default(record) -> list[str]:
    return [f.name for f in fields(record) if f.default is not MISSING and getattr(record, f.name) == f.default]


def kinds(value):
    """Types all the way down: `==` takes True for 1, 1 for 1.0 and a string for its enum."""
    if isinstance(value, dict):
        return {key: kinds(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(kinds(item) for item in value)
    return type(value)


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = database.open_database(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def rows(connection: Connection) -> dict[str, int]:
    """How many rows each table holds that hangs on `reports`, and that table itself."""
    hanging = ["reports"]
    for table in Base.metadata.sorted_tables:
        if {key.column.table.name for key in table.foreign_keys} & set(hanging):
            hanging.append(table.name)
    tables = (Base.metadata.tables[name] for name in hanging)
    return {table.name: connection.scalar(select(func.count()).select_from(table)) for table in tables}
