"""The same clip is found again, and other clips are not."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import ReportNotFound
from core.people import Role, User
from core.reviewing import Decision, Policy
from core.settings import Settings
from core.types import Frame, Likeness
from preprocessing.likeness import MOST, Watcher, hash_picture
from storage import ReportStore
from storage.lookup import Alike, Clips, Index
from storage.media import Media
from storage.reviews import ReviewStore
from storage.similar import Similar
from tests.test_storage import ANNA, BARE, BERT
from ui.similar import as_rows, sightings, similar_table
from ui.visit import Desk

RATE_HZ = 25
TAG = '<img src=x onerror="alert(1)">'


def random_likeness(n: int, seed: int = 0) -> Likeness:
    hashes = np.random.default_rng(seed).integers(0, 256, (n, 8), np.uint8)
    return Likeness(np.arange(n, dtype=np.float32) / 2, hashes)


def flipped(hashes: np.ndarray, bits: int, seed: int = 0) -> np.ndarray:
    """The hashes, each with so many bits turned over."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((len(hashes), 64), np.uint8)
    for row in mask:
        row[rng.choice(64, bits, replace=False)] = 1
    return hashes ^ np.packbits(mask, axis=1)


def test_the_index_finds_just_what_comparing_all_with_all_finds():
    held = random_likeness(300).hashes
    asked = np.concatenate([flipped(held[:40], bits) for bits in range(12)])
    i, j = Index(held).near(asked)
    distances = np.unpackbits(asked[:, None] ^ held[None], axis=2).sum(axis=2)
    expected = np.argwhere(distances <= 7)
    assert len(expected) >= 8 * 40
    np.testing.assert_array_equal(np.stack([i, j], axis=1), expected)


def test_a_trimmed_copy_is_found_with_its_offset_both_ways():
    whole = random_likeness(40)
    middle = Likeness(whole.time_s[:20], flipped(whole.hashes[10:30], 5))
    others = {str(seed): random_likeness(40, seed) for seed in range(1, 20)}
    assert Clips({"whole": whole} | others).find(middle) == [Alike("whole", 1.0, 5.0)]
    assert Clips({"middle": middle} | others).find(whole) == [Alike("middle", 1.0, -5.0)]


def test_a_clip_of_which_too_little_is_the_same_is_not_told_of():
    one, other = random_likeness(20), random_likeness(20, 1)
    mixed = Likeness(one.time_s, np.concatenate([one.hashes[:4], other.hashes[4:]]))
    assert [found.name for found in Clips({"one": one}).find(mixed, share=0.21)] == []
    assert [found.share for found in Clips({"one": one}).find(mixed, share=0.19)] == [0.2]


def test_nothing_is_found_in_nothing_and_by_nothing():
    assert Clips({}).find(random_likeness(3)) == []
    assert Clips({"one": random_likeness(3)}).find(random_likeness(0)) == []
    assert Clips({"none": random_likeness(0)}).find(random_likeness(0)) == []


def picture(seed: int, side: int = 96) -> np.ndarray:
    """Some blobs in colour, the same at every size."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    image = np.zeros((side, side, 3))
    for cx, cy, r, *colour in rng.uniform(0.1, 0.9, (12, 6)):
        image += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (0.3 * r) ** 2)[..., None] * colour
    return (255 * image / image.max()).astype(np.uint8)


def test_a_picture_keeps_its_hash_when_it_is_scaled_and_changes_it_when_it_is_another():
    of = [hash_picture(picture(seed)) for seed in range(8)]
    bits = [[np.unpackbits(a ^ hash_picture(picture(seed, 288))).sum() for seed in range(8)] for a in of]
    assert max(np.diag(bits)) <= 2
    assert np.array(bits)[~np.eye(8, dtype=bool)].min() >= 12


def test_two_pictures_a_second_are_hashed_and_neither_flat_nor_repeated_ones():
    grey = np.full((96, 96, 3), 90, np.uint8)
    shown = [picture(0)] * 50 + [grey] * 50 + [picture(1)] * 25 + [picture(2)] * 25
    watcher = Watcher()
    passed = list(watcher.watch(Frame(i, i / RATE_HZ, image) for i, image in enumerate(shown)))
    likeness = watcher.likeness()
    assert [frame.index for frame in passed] == list(range(150))
    np.testing.assert_allclose(likeness.time_s, [0, 4, 5])
    np.testing.assert_array_equal(likeness.hashes, [hash_picture(picture(seed)) for seed in range(3)])


def test_a_clip_has_so_many_hashes_at_most(monkeypatch):
    monkeypatch.setattr("preprocessing.likeness.MOST", 5)
    watcher = Watcher()
    list(watcher.watch(Frame(i, float(i), picture(i)) for i in range(9)))
    assert len(watcher.likeness().time_s) == 5 < MOST


def add(database_url: str, id: str, likeness: Likeness | None, *, sha256: str, owner: str = ANNA) -> None:
    video = replace(BARE.video, sha256=sha256, name=f"{id}.mp4")
    ReportStore(database_url).add(replace(BARE, id=id, video=video, likeness=likeness), owner=owner)


def test_reports_on_the_same_file_and_on_nearly_the_same_clip_are_told_of_whoever_made_them(database_url):
    clip = random_likeness(20)
    add(database_url, "first", clip, sha256="aa")
    add(database_url, "same", clip, sha256="aa", owner=BERT)
    add(database_url, "copy", Likeness(clip.time_s, flipped(clip.hashes, 3)), sha256="bb")
    add(database_url, "other", random_likeness(20, 1), sha256="cc")
    matches = Similar(database_url).matches("first")
    assert [(m.report_id, m.same_file, m.share, m.offset_s) for m in matches] == [
        ("same", True, 1.0, 0.0),
        ("copy", False, 1.0, 0.0),
    ]
    assert (matches[1].name, matches[1].label, matches[1].created_at) == (
        "copy.mp4",
        BARE.verdict.label,
        BARE.created_at,
    )


def test_the_same_file_is_found_even_where_its_pictures_say_nothing(database_url):
    add(database_url, "black", random_likeness(0), sha256="aa")
    add(database_url, "again", None, sha256="aa")
    assert [m.report_id for m in Similar(database_url).matches("black")] == ["again"]
    assert [m.report_id for m in Similar(database_url).matches("again")] == ["black"]


def test_what_others_add_and_delete_meanwhile_is_seen(database_url):
    similar, clip = Similar(database_url), random_likeness(20)
    add(database_url, "first", clip, sha256="aa")
    assert similar.matches("first") == []
    add(database_url, "copy", clip, sha256="bb")
    assert [m.report_id for m in similar.matches("first")] == ["copy"]
    ReportStore(database_url).delete("copy", owner=ANNA)
    assert similar.matches("first") == []
    add(database_url, "late", clip, sha256="cc")
    assert [m.report_id for m in similar.matches("first")] == ["late"]


def test_a_report_that_never_was_is_like_nothing_and_said_so(database_url):
    with pytest.raises(ReportNotFound, match="no report of this id"):
        Similar(database_url).matches("nothing")


LEA, ANNA_REVIEWS = User("lea", Role.LEAD), User("anna", Role.REVIEWER)


def moderated(database_url: str, **chosen: str) -> Desk:
    settings = Settings.from_env({"TELLTALE_MODE": "moderation"} | chosen)
    store, queue = ReportStore(database_url), ReviewStore(database_url, settings)
    none = SimpleNamespace()
    return Desk(settings, {}, store, none, none, users=none, queue=queue, similar=Similar(database_url))


def test_an_earlier_decision_on_a_copy_is_told_with_its_date(database_url):
    clip, desk = random_likeness(40), moderated(database_url)
    add(database_url, "first", clip, sha256="aa")
    add(database_url, "copy", Likeness(clip.time_s[:20], clip.hashes[10:30]), sha256="bb")
    desk.reviews.keep_policy(LEA, Policy("P", "A policy", ""))
    desk.reviews.decide("first", LEA, Decision.MANIPULATED, "P")
    found = sightings(desk, "copy", ANNA_REVIEWS)
    (row,) = as_rows(found)
    assert (row["report_id"], row["decision"], row["state"], row["offset_s"]) == ("first", "manipulated", "decided", 5)
    assert row["decided_at"][:10] == str(datetime.now(UTC).date())
    page = similar_table(found)
    assert "Manipulated" in page
    assert "100\N{NO-BREAK SPACE}% of the pictures, from 0:05.0 of that clip" in page
    assert 'data-report="first"' in page
    assert similar_table([]) == ""


def test_what_was_decided_outlives_the_report(database_url, tmp_path):
    clip, desk = random_likeness(20), moderated(database_url)
    add(database_url, "first", clip, sha256="aa" * 32)
    add(database_url, "copy", clip, sha256="bb")
    desk.reviews.keep_policy(LEA, Policy("P", "A policy", ""))
    desk.reviews.decide("first", LEA, Decision.MANIPULATED, "P")
    ReportStore(database_url, Media(tmp_path / "media")).delete("first", owner=None)
    (gone,) = found = sightings(desk, "copy", LEA)
    assert (gone.match.report_id, gone.match.deleted, gone.match.name) == ("first", True, "")
    assert gone.queued.decision is Decision.MANIPULATED
    assert 'data-report="first"' not in similar_table(found)
    with pytest.raises(ReportNotFound):
        desk.similar.matches("first")


def test_what_a_reviewer_has_to_judge_first_is_told_without_its_scores(database_url):
    clip, desk = random_likeness(20), moderated(database_url, TELLTALE_BLIND_FIRST="1")
    add(database_url, "first", clip, sha256="aa", owner=BERT)
    add(database_url, "copy", clip, sha256="bb", owner=ANNA_REVIEWS.name)
    (row,) = as_rows(sightings(desk, "copy", ANNA_REVIEWS))
    assert row["label"] is None
    assert as_rows(sightings(desk, "copy", LEA))[0]["label"] is BARE.verdict.label


def test_a_name_with_markup_is_shown_and_never_run(database_url):
    clip, desk = random_likeness(20), moderated(database_url)
    add(database_url, "first", clip, sha256="aa")
    add(database_url, TAG, clip, sha256="bb")
    page = similar_table(sightings(desk, "first", LEA))
    assert TAG not in page
    assert "&lt;img" in page
