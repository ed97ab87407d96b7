"""Which weights a request means: names, sets, regions, and what is missing."""

from dataclasses import replace

import pytest

from core.errors import InputError, WeightsError
from core.weights import load_manifest
from detectors import Choice, choose
from detectors.base import Card

LANDMARKS = Card("motion", "Motion: moves", "", "", ("entire",), "")
PIXELS = Card("pixels", "Pixels: looks", "", "", ("entire", "nose", "mouth"), "")
EYES = Card("pixels", "Pixels: looks", "", "", ("entire", "eyes", "nose"), "")
SOME = load_manifest()["lrnet/ffpp"]


def offer(card, id, region="entire", reason=None):
    return Choice(card, replace(SOME, id=id, detector=card.name, region=region), reason)


OFFERED = [
    offer(LANDMARKS, "motion/a", reason="Fetch motion/a."),
    offer(LANDMARKS, "motion/b"),
    offer(PIXELS, "pixels/old/entire", reason="Fetch pixels/old."),
    offer(PIXELS, "pixels/new/entire", "entire"),
    offer(PIXELS, "pixels/new/nose", "nose"),
    offer(PIXELS, "pixels/new/mouth", "mouth", "Fetch the mouth."),
]


def ids(names=(), regions=(), offered=OFFERED):
    return [choice.weights.id for choice in choose(names, offered, regions)]


def test_a_name_means_its_first_set_that_is_ready_and_none_means_every_detector():
    assert ids(("motion",)) == ["motion/b"]
    assert ids() == ids(("motion", "pixels")) == ["motion/b", "pixels/new/entire", "pixels/new/nose"]


def test_a_detector_that_tells_nothing_of_a_clip_by_itself_is_asked_only_beside_a_reference():
    shy = replace(PIXELS, name="shy", alone=False)
    offered = [offer(LANDMARKS, "motion/b"), offer(shy, "shy/a/nose", "nose")]
    assert ids((), (), offered) == ["motion/b"]
    with pytest.raises(WeightsError, match="add a genuine clip"):
        ids(("shy",), (), offered)
    assert [c.weights.id for c in choose((), offered, referenced=True)] == ["motion/b", "shy/a/nose"]


def test_a_set_means_that_set_and_an_id_that_one_file():
    assert ids(("pixels/new",)) == ["pixels/new/entire", "pixels/new/nose"]
    assert ids(("pixels/new/nose",)) == ["pixels/new/nose"]
    with pytest.raises(WeightsError, match=r"Fetch motion/a\."):
        ids(("motion/a",))


def test_a_region_that_is_not_ready_is_among_the_choices_with_its_reason():
    chosen = choose(("pixels",), OFFERED, ("nose", "mouth"))
    assert [(c.weights.region, c.reason) for c in chosen] == [("nose", None), ("mouth", "Fetch the mouth.")]


def test_regions_do_not_concern_a_detector_that_has_only_one():
    assert ids(("motion",), ("nose",)) == ["motion/b"]


def test_a_region_for_which_a_detector_has_no_weights_at_all_is_refused_and_not_left_out_in_silence():
    with pytest.raises(WeightsError, match="no weights for eyes, nose; they have some for: entire"):
        ids(("pixels",), ("eyes", "nose"), [offer(EYES, "pixels/new/entire")])
    assert ids((), ("nose",), [offer(LANDMARKS, "motion/b"), offer(PIXELS, "pixels/new/entire")]) == ["motion/b"]


def test_naming_a_detector_twice_runs_it_once():
    assert ids(("motion", "motion/b")) == ["motion/b"]


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(InputError, match="choose among: motion, pixels"):
        ids(("xray",))
    with pytest.raises(InputError, match="choose among: entire, nose, mouth"):
        ids((), ("ear",))
    with pytest.raises(WeightsError, match="No detector is ready"):
        ids(offered=OFFERED[:1])
