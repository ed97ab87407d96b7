"""The queue and what people decide, on the real database."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from threading import Barrier

import pytest
from alembic import command
from sqlalchemy import event, text

from core.errors import AppError, Claimed, InputError, NotAllowed, NotPossible, ReportNotFound
from core.people import Role, User
from core.reviewing import AFTER, Bands, Decision, Move, Policy, State
from core.settings import Settings
from core.types import Label
from storage import ReportStore, database
from storage.audit import AuditLog
from storage.database import open_database
from storage.media import Media
from storage.reviews import COUNTED, Order, Page, ReviewStore, Wanted
from tests.conftest import DATABASES, Clock, new_database
from tests.test_storage import BARE, REPORT

ANNA, BERT = User("anna", Role.REVIEWER), User("bert", Role.REVIEWER)
LEA = User("lea", Role.LEAD)
YES, NO, UNSURE = Decision.MANIPULATED, Decision.NOT_MANIPULATED, Decision.CANNOT_TELL
SYN = "SYN-1"
ID = REPORT.id


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 5, 6, 7, 8, tzinfo=UTC))


def opened(url: str, clock: Clock, **chosen: str) -> ReviewStore:
    return ReviewStore(url, Settings.from_env({f"TELLTALE_{name}": value for name, value in chosen.items()}), clock)


@pytest.fixture
def reviews(database_url: str, clock: Clock) -> ReviewStore:
    store = opened(database_url, clock)
    ReportStore(database_url).add(REPORT, owner="carl")
    store.keep_policy(LEA, Policy(SYN, "Synthetic faces", "No face that is not the person's own."))
    return store


def acts(url: str, report_id: str = ID) -> list[str]:
    """What was done once it was analysed."""
    return [f"{entry.actor} {entry.action}" for entry in AuditLog(url).of(report_id)[1:]]


def test_every_state_can_be_reached_and_left_and_only_a_decision_ends_it():
    reached = {State.UNREVIEWED}
    while more := {after for (before, _), after in AFTER.items() if before in reached} - reached:
        reached |= more
    assert reached == set(State)
    for state in set(State) - {State.DECIDED}:
        assert AFTER[state, Move.SETTLE] is State.DECIDED
    assert {move for (state, move) in AFTER if state is State.DECIDED} == {Move.APPEAL}


def test_a_new_report_waits_with_all_that_the_list_shows(reviews):
    (row,) = reviews.queue(ANNA).rows
    assert (row.report_id, row.created_at, row.name, row.persons) == (ID, REPORT.created_at, "holiday.mp4", 2)
    assert (row.label, row.fake, row.state, row.claim) == (Label.STRONG_SIGNS, 0.93, State.UNREVIEWED, None)


def test_reports_from_before_there_was_a_queue_wait_in_it_like_new_ones(reviews, database_url):
    ReportStore(database_url).add(BARE, owner="carl")
    like_new = reviews.queue(LEA).rows
    config = database._config(database_url)
    command.downgrade(config, "0006")
    command.upgrade(config, "head")
    assert reviews.queue(LEA).rows == like_new
    for detector, found in (("lrnet", [ID]), ("xception", []), ("lr", [])):
        rows = reviews.queue(LEA, Wanted(detector=detector)).rows
        assert [row.report_id for row in rows] == found


def test_a_report_is_decided_and_everything_is_in_the_log(reviews, database_url):
    assert reviews.claim(ID, ANNA).by == "anna"
    assert reviews.decide(ID, ANNA, YES, SYN, "The mouth jumps.") is State.DECIDED
    review = reviews.review(ID, BERT)
    (step,) = review.steps
    assert (step.actor, step.note, step.before, step.after) == (
        "anna",
        "The mouth jumps.",
        State.UNREVIEWED,
        State.DECIDED,
    )
    assert (step.ruling.decision, step.ruling.policy, step.ruling.policy_title) == (YES, SYN, "Synthetic faces")
    assert (review.queued.decision, review.queued.reviewer, review.queued.claim) == (YES, "anna", None)
    assert acts(database_url) == ["anna claimed", "anna decided"]


def test_of_many_who_claim_at_once_one_wins_and_the_others_are_told_by_whom_and_until_when(reviews, clock):
    users = [User(f"user{i}", Role.REVIEWER) for i in range(8)]
    together = Barrier(len(users))

    def claim(user: User) -> str | Claimed:
        together.wait()
        try:
            return reviews.claim(ID, user).by
        except Claimed as refused:
            return refused

    with ThreadPoolExecutor(len(users)) as pool:
        outcomes = list(pool.map(claim, users))

    (winner,) = (outcome for outcome in outcomes if isinstance(outcome, str))
    told = [str(outcome) for outcome in outcomes if isinstance(outcome, Claimed)]
    assert len(told) == len(users) - 1
    assert all(winner in sentence and "07:28 (UTC)" in sentence for sentence in told)


def test_of_two_who_decide_at_once_the_second_is_told_and_changes_nothing(reviews):
    together = Barrier(2)

    def decide(user: User) -> State | AppError:
        together.wait()
        try:
            return reviews.decide(ID, user, YES, SYN)
        except AppError as refused:
            return refused

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(decide, (ANNA, BERT)))

    assert sorted(isinstance(outcome, NotPossible) for outcome in outcomes) == [False, True]
    assert len(reviews.review(ID, LEA).rulings) == 1


def test_a_claim_runs_out_by_itself_and_another_may_take_over(reviews, clock):
    reviews.claim(ID, ANNA)
    clock.now += timedelta(minutes=19)
    for act in (reviews.claim, lambda i, u: reviews.decide(i, u, YES, SYN), lambda i, u: reviews.escalate(i, u, "?")):
        with pytest.raises(Claimed, match="anna"):
            act(ID, BERT)
    clock.now += timedelta(minutes=1)
    assert reviews.queue(BERT).rows[0].claim is None
    assert reviews.claim(ID, BERT).until == "2026-05-06T07:48:00.000000+00:00"
    with pytest.raises(Claimed, match="bert"):
        reviews.decide(ID, ANNA, YES, SYN)


def test_a_claim_is_given_up_by_its_holder_or_ended_by_a_lead_only(reviews, database_url):
    reviews.claim(ID, ANNA)
    with pytest.raises(Claimed, match="anna"):
        reviews.release(ID, BERT)
    reviews.release(ID, LEA)
    reviews.claim(ID, BERT)
    reviews.release(ID, BERT)
    reviews.release(ID, BERT)
    assert acts(database_url) == ["anna claimed", "lea released", "bert claimed", "bert released"]


def test_the_next_one_is_the_oldest_that_this_person_may_decide(reviews, database_url):
    reports = ReportStore(database_url)
    for i in range(3):
        reports.add(replace(BARE, id=f"b-{i}", created_at=f"2026-04-0{i + 1}T00:00:00+00:00"), owner="carl")
    reviews.claim("b-0", BERT)
    assert [reviews.claim_next(BERT) for _ in range(2)] == [ID, ID]  # one's own claim is renewed
    reviews.decide(ID, BERT, YES, SYN, ask_second=True)
    assert reviews.claim_next(ANNA) == ID
    reviews.release(ID, ANNA)
    assert reviews.claim_next(BERT) == "b-0"
    assert reviews.claim_next(LEA, Wanted(persons=2)) == ID
    assert reviews.claim_next(LEA, Wanted(persons=7)) is None


def test_a_second_review_that_agrees_settles_it_and_the_first_reviewer_cannot_make_it(reviews):
    assert reviews.decide(ID, ANNA, YES, SYN, ask_second=True) is State.SECOND_REVIEW
    assert reviews.review(ID, BERT).queued.why == "anna asks for it"
    for act in (lambda: reviews.claim(ID, ANNA), lambda: reviews.decide(ID, ANNA, YES, SYN)):
        with pytest.raises(NotAllowed, match="somebody else makes the second"):
            act()
    assert reviews.decide(ID, BERT, YES, SYN) is State.DECIDED


def test_a_second_review_is_due_by_rule_for_a_first_decision_only(reviews):
    assert reviews.decide(ID, ANNA, YES, SYN, due="drawn by chance") is State.SECOND_REVIEW
    assert reviews.review(ID, BERT).queued.why == "drawn by chance"
    assert reviews.decide(ID, BERT, YES, SYN, due="drawn by chance") is State.DECIDED
    reviews.appeal(ID, ANNA, "New footage.")
    assert reviews.decide(ID, ANNA, NO, SYN, due="drawn by chance") is State.DECIDED


def test_two_who_differ_hand_it_to_a_lead_and_every_ruling_stays(reviews):
    reviews.decide(ID, ANNA, YES, SYN, "first", ask_second=True)
    assert reviews.decide(ID, BERT, NO, SYN, "second") is State.ESCALATED
    assert reviews.review(ID, LEA).queued.why == "anna and bert decided differently"
    assert reviews.cases() == ()
    assert reviews.cases(standing=False)[0].rulings == (("anna", YES), ("bert", NO))
    with pytest.raises(NotAllowed, match="a lead decides"):
        reviews.decide(ID, BERT, NO, SYN)
    assert reviews.decide(ID, LEA, UNSURE, SYN, "third") is State.DECIDED
    rulings = reviews.review(ID, LEA).rulings
    assert [(step.actor, step.ruling.decision, step.note) for step in rulings] == [
        ("anna", YES, "first"),
        ("bert", NO, "second"),
        ("lea", UNSURE, "third"),
    ]
    (case,) = reviews.cases()
    assert (case.decision, case.rulings[0]) == (UNSURE, ("anna", YES))


def test_an_escalation_needs_a_note_and_the_first_reviewer_may_still_ask_for_it(reviews, database_url):
    with pytest.raises(InputError, match="write a note"):
        reviews.escalate(ID, ANNA, " \n")
    reviews.decide(ID, ANNA, YES, SYN, ask_second=True)
    reviews.escalate(ID, ANNA, "Nobody else is here.")
    assert reviews.review(ID, LEA).queued.state is State.ESCALATED
    with pytest.raises(NotPossible, match="not yet with a lead"):
        reviews.escalate(ID, LEA, "Again.")
    assert acts(database_url) == ["anna decided", "anna escalated"]


def test_an_appeal_reopens_what_was_decided_for_somebody_else(reviews):
    with pytest.raises(NotPossible, match="Only what was decided"):
        reviews.appeal(ID, ANNA, "Why not?")
    reviews.decide(ID, ANNA, YES, SYN)
    with pytest.raises(NotPossible, match="anna has decided"):
        reviews.decide(ID, BERT, NO, SYN)
    with pytest.raises(InputError, match="needs its reason"):
        reviews.appeal(ID, BERT, "")
    reviews.appeal(ID, BERT, "The uploader sent the original.")
    assert reviews.queue(BERT, Wanted(open=True)).rows[0].state is State.REOPENED
    assert reviews.cases() == ()
    with pytest.raises(NotAllowed, match="appeal is against your decision"):
        reviews.decide(ID, ANNA, YES, SYN)
    reviews.decide(ID, BERT, NO, SYN)
    assert [step.ruling.decision for step in reviews.review(ID, ANNA).rulings] == [YES, NO]


def test_blind_first_keeps_scores_and_what_others_held_until_an_opinion_is_committed(reviews, database_url, clock):
    blind = opened(database_url, clock, BLIND_FIRST="1")
    assert blind.hides(ID, ANNA)
    assert not blind.hides(ID, LEA)
    assert not blind.hides(ID, User("carl", Role.REVIEWER))  # who had it analysed has seen them
    (row,) = blind.queue(ANNA).rows
    assert (row.label, row.fake) == (None, None)
    assert blind.queue(LEA).rows[0].fake == 0.93
    for tell_tale in ({"wanted": Wanted(label=Label.STRONG_SIGNS)}, {"order": Order.HIGHEST}):
        with pytest.raises(InputError, match="until you have given your opinion"):
            blind.queue(ANNA, **tell_tale)

    blind.give_opinion(ID, ANNA, NO)
    assert not blind.hides(ID, ANNA)
    with pytest.raises(NotPossible, match="stays as it was"):
        blind.give_opinion(ID, ANNA, YES)
    assert blind.queue(ANNA).rows[0].label is Label.STRONG_SIGNS
    blind.decide(ID, ANNA, YES, SYN, "Seen the scores.", due="methods contradict each other")

    second = blind.review(ID, BERT)
    assert second.queued.label is second.queued.decision is None
    assert second.opinions == ()
    assert [(step.note, step.why, step.ruling) for step in second.steps] == [("", "", None)]
    assert blind.decide(ID, BERT, YES, SYN) is State.DECIDED  # without having asked for scores: an opinion as well
    review = blind.review(ID, BERT)
    assert [(o.reviewer, o.decision, o.blind) for o in review.opinions] == [("anna", NO, True), ("bert", YES, True)]
    assert [step.ruling.blind for step in review.rulings] == [False, True]
    assert blind.cases()[0].blind == (("anna", NO), ("bert", YES))


def test_an_opinion_of_who_has_seen_the_scores_is_not_called_blind(reviews):
    reviews.give_opinion(ID, ANNA, NO)
    assert not reviews.review(ID, ANNA).opinions[0].blind
    reviews.decide(ID, ANNA, NO, SYN)
    assert reviews.cases()[0].blind == ()


def test_decisions_rest_on_an_active_policy_and_keep_the_title_it_had(reviews):
    with pytest.raises(InputError, match=f"no active policy 'NO-1'; choose among: {SYN}"):
        reviews.decide(ID, ANNA, YES, "NO-1")
    reviews.decide(ID, ANNA, YES, SYN)
    reviews.keep_policy(LEA, Policy(SYN, "Faces that were made up", "", active=False))
    assert reviews.review(ID, ANNA).rulings[0].ruling.policy_title == "Synthetic faces"
    assert reviews.policies(active_only=True) == ()
    assert [policy.title for policy in reviews.policies()] == ["Faces that were made up"]
    reviews.appeal(ID, BERT, "The policy was withdrawn.")
    with pytest.raises(InputError, match="the list is empty"):
        reviews.decide(ID, BERT, NO, SYN)


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        (Policy(" ", "Title", ""), "needs an id"),
        (Policy("A", "", ""), "needs a title"),
        (Policy("A" * 41, "Title", ""), "may have 40 characters, this one has 41"),
        (Policy("A", "Title", "x" * 4001), "may have 4000"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused_with_a_sentence(reviews, policy, sentence):
    with pytest.raises(InputError, match=sentence):
        reviews.keep_policy(LEA, policy)


def test_what_people_write_is_data_whatever_it_holds(reviews):
    odd = "<script>alert(1)</script> '; DROP TABLE steps; -- \0 %s {x} \u202e"
    reviews.keep_policy(LEA, Policy("<b>", odd, odd))
    reviews.decide(ID, ANNA, YES, "<b>", odd)
    step = reviews.review(ID, ANNA).steps[0]
    assert step.note == step.ruling.policy_title == odd.replace("\0", "").strip()
    with pytest.raises(InputError, match="may have 4000 characters, this one has 4001"):
        reviews.appeal(ID, ANNA, "x" * 4001)


def test_nothing_can_be_done_to_what_is_not_there(reviews):
    for act in (
        lambda: reviews.claim("nothing", ANNA),
        lambda: reviews.release("nothing", ANNA),
        lambda: reviews.decide("nothing", ANNA, YES, SYN),
        lambda: reviews.appeal("nothing", ANNA, "?"),
        lambda: reviews.review("nothing", ANNA),
    ):
        with pytest.raises(ReportNotFound):
            act()


def test_of_a_deleted_report_the_decision_stays_and_nobody_acts_on_it_any_more(reviews, database_url, tmp_path):
    reviews.decide(ID, ANNA, YES, SYN)
    ReportStore(database_url, Media(tmp_path / "media")).delete(ID, owner=None, actor="lea")
    assert [case.decision for case in reviews.cases()] == [YES]
    with pytest.raises(ReportNotFound):
        reviews.appeal(ID, BERT, "Too late.")
    with pytest.raises(ReportNotFound):
        reviews.claim(ID, BERT)


def test_thresholds_that_a_lead_applied_are_in_force_and_must_rise(reviews, database_url, clock):
    default = Settings.from_env({})
    assert reviews.bands() == Bands(default.no_signs, default.some_signs, default.strong_signs)
    with pytest.raises(InputError, match="must rise from 0 to 1"):
        reviews.apply_bands(LEA, Bands(0.5, 0.4, 0.8), "")
    reviews.apply_bands(LEA, Bands(0.3, 0.4, 0.8), "picked")
    reviews.apply_bands(LEA, Bands(0.3, 0.45, 0.8), "picked again")
    assert opened(database_url, clock).bands() == Bands(0.3, 0.45, 0.8)


# A hundred thousand


@dataclass(frozen=True)
class Row:
    id: str
    at: str
    score: float
    name: str
    persons: int
    label: str
    state: str
    reviewer: str | None
    detectors: str


MANY = 100_000
LABELS = [label.value for label in Label if label is not Label.NOT_ASSESSED]


def row(i: int) -> Row:
    """What SQL makes of the number i below, once more in Python."""
    state = "decided" if i % 10 < 9 else "unreviewed" if i % 20 < 10 else "second_review"
    return Row(
        str(1_000_000 + i),
        f"{2000 + i // 1000}-06-15T00:00:00.{1_000_000 + i // 3}+00:00",
        -1.0 if i % 50 == 0 else (i * 7919 % 1000) / 1000,
        f"Clip {i}.mp4",
        i % 4,
        "not_assessed" if i % 50 == 0 else LABELS[i % 4],
        state,
        None if state == "unreviewed" else "anna" if i % 3 else "bert",
        ",compact,lrnet," if i % 2 else ",lrnet,",
    )


COUNT_UP = f"WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < {MANY - 1}) "
LABEL_OF = " ".join(f"WHEN {k} THEN '{label}'" for k, label in enumerate(LABELS))
REVIEWS = f"""
INSERT INTO reviews (report_id, created_at, name, label, score, persons, detectors, state, open, why, reviewer)
{COUNT_UP}
SELECT CAST(1000000 + i AS VARCHAR),
    CAST(2000 + i / 1000 AS VARCHAR) || '-06-15T00:00:00.' || CAST(1000000 + i / 3 AS VARCHAR) || '+00:00',
    'Clip ' || CAST(i AS VARCHAR) || '.mp4',
    CASE WHEN i % 50 = 0 THEN 'not_assessed' ELSE CASE i % 4 {LABEL_OF} END END,
    CASE WHEN i % 50 = 0 THEN -1.0 ELSE (i * 7919 % 1000) / 1000.0 END,
    i % 4,
    CASE WHEN i % 2 = 1 THEN ',compact,lrnet,' ELSE ',lrnet,' END,
    CASE WHEN i % 10 < 9 THEN 'decided' WHEN i % 20 < 10 THEN 'unreviewed' ELSE 'second_review' END,
    i % 10 >= 9,
    '',
    CASE WHEN i % 20 = 9 THEN NULL WHEN i % 3 > 0 THEN 'anna' ELSE 'bert' END
FROM numbers
"""


@pytest.fixture(scope="module")
def crowd() -> list[Row]:
    return [row(i) for i in range(MANY)]


@pytest.fixture(scope="module", params=DATABASES)
def full(request, tmp_path_factory) -> Iterator[str]:
    """A database of a hundred thousand reports, made by itself: one by one would take minutes."""
    with new_database(request, tmp_path_factory.mktemp("full")) as url:
        _fill(url)
        yield url


def _fill(url: str) -> None:
    engine = open_database(url)
    with engine.connect() as connection:
        # The queue reads no other table, so the reports themselves are not needed.
        if engine.dialect.name == "sqlite":
            connection.execute(text("PRAGMA foreign_keys = OFF"))
        else:
            connection.execute(text("ALTER TABLE reviews DROP CONSTRAINT fk_reviews_reports"))
        connection.execute(text(REVIEWS))
        if engine.dialect.name == "postgresql":
            connection.execute(text("ANALYZE reviews"))  # as its own daemon would in time
        connection.commit()
    engine.dispose()


WALKS = {
    "newest": (Wanted(), Order.NEWEST, lambda r: True),
    "oldest": (Wanted(), Order.OLDEST, lambda r: True),
    "highest": (Wanted(), Order.HIGHEST, lambda r: True),
    "open, lowest": (Wanted(open=True), Order.LOWEST, lambda r: r.state != "decided"),
    "open": (Wanted(open=True), Order.NEWEST, lambda r: r.state != "decided"),
    "state": (Wanted(state=State.SECOND_REVIEW), Order.OLDEST, lambda r: r.state == "second_review"),
    "band": (Wanted(label=Label.SOME_SIGNS), Order.NEWEST, lambda r: r.label == "some_signs"),
    "detector": (Wanted(detector="compact"), Order.NEWEST, lambda r: ",compact," in r.detectors),
    "persons": (Wanted(persons=3), Order.NEWEST, lambda r: r.persons == 3),
    "reviewer": (Wanted(reviewer="bert"), Order.OLDEST, lambda r: r.reviewer == "bert"),
    "dates": (
        Wanted(since=date(2003, 6, 15), until=date(2007, 6, 15)),
        Order.NEWEST,
        lambda r: 2003 <= int(r.at[:4]) <= 2007,
    ),
    "text": (Wanted(text="cLIP 999"), Order.NEWEST, lambda r: r.name.startswith("Clip 999")),
    "all at once": (
        Wanted(True, State.UNREVIEWED, Label.SOME_SIGNS, "compact", 1, None, None, date(2001, 1, 1), None, "9.mp4"),
        Order.NEWEST,
        lambda r: (
            (r.state, r.label, r.persons, r.detectors) == ("unreviewed", "some_signs", 1, ",compact,lrnet,")
            and r.at > "2001"
            and "9.mp4" in r.name
        ),
    ),
}


@pytest.mark.parametrize(("wanted", "order", "fits"), WALKS.values(), ids=WALKS)
def test_at_a_hundred_thousand_reports_pages_hold_what_they_should_both_ways(full, crowd, clock, wanted, order, fits):
    store = opened(full, clock)
    expected = sorted(
        (r for r in crowd if fits(r)), key=lambda r: (r.score if order.by_score else r.at, r.id), reverse=order.falling
    )
    assert expected
    ids, size = [r.id for r in expected], 50
    first = store.queue(LEA, wanted, order, size=size)
    assert first.total == min(len(ids), COUNTED + 1)
    assert first.before is None
    pages = [first]
    while (last := pages[-1]).after and len(pages) < 4:
        pages.append(store.queue(LEA, wanted, order, after=last.after, size=size))
    assert [row.report_id for page in pages for row in page.rows] == ids[: 4 * size]
    back = pages[-1]
    for page in reversed(pages[:-1]):
        back = store.queue(LEA, wanted, order, before=back.before, size=size)
        assert back.rows == page.rows
    assert back.before is None
    # And far down, from the end of the list.
    other = expected[-min(len(ids), 70)]
    edge = f"{other.score if order.by_score else other.at}|{other.id}"
    rest = store.queue(LEA, wanted, order, after=edge, size=100)
    assert [row.report_id for row in rest.rows] == ids[len(ids) - min(len(ids), 70) + 1 :]
    assert rest.after is None


NARROW = {"text", "all at once"}
"""What a part of a name or much at once narrows down to a few, a server may rather find by one pass, and sort."""


@pytest.mark.parametrize("walk", [name for name in WALKS if name not in NARROW])
def test_a_page_is_read_along_an_index_and_nothing_is_sorted(full, clock, walk):
    wanted, order, _ = WALKS[walk]
    store, asked = opened(full, clock), []
    engine = store._session.kw["bind"]
    event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args[2:4]))
    middle = f"{0.5 if order.by_score else row(MANY // 2).at}|{row(MANY // 2).id}"
    store.queue(LEA, wanted, order, after=middle)
    page, *_ = (statement for statement in asked if "ORDER BY" in statement[0])
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    with engine.connect() as connection:
        plan = " ".join(str(line[-1]) for line in connection.exec_driver_sql(explain + page[0], page[1]))
    assert "USING INDEX" in plan or "Index Scan" in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan.replace("Incremental Sort", "")


def test_a_place_of_another_order_is_refused(reviews):
    with pytest.raises(InputError, match="begin at the first"):
        reviews.queue(LEA, order=Order.HIGHEST, after="2026-01-01|r-1")
    assert reviews.queue(LEA, after="9999|x").rows[0].report_id == ID
    assert reviews.queue(LEA, after="0000|x") == Page((), 1, None, None)
