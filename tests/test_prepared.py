"""What is kept of a sample is what the app would see of it."""

from pathlib import Path

import numpy as np
import pytest
from clips import good

from core.errors import InputError
from core.settings import Settings
from core.types import Options
from core.weights import load_manifest
from detectors.cues import CANVAS
from preprocessing.cropping import Look
from preprocessing.profile import InputProfile
from preprocessing.reading import read_tracks
from training.evaluate.scores import crops_for
from training.layouts.sample import Sample, groups
from training.prepared import KINDS, RULES, Made, load, look_of, write_about, write_index, write_track

READ = Options(detectors=(), thoroughness="thorough")


def sample(id, **more):
    return Sample(id=id, path=Path(id), label=0, split="train", method="genuine", **more)


def test_what_is_kept_reads_back_as_the_app_saw_it(tmp_path):
    clip, cache = good(tmp_path / "clip.mp4", 30), tmp_path / "cache"
    serving = Look(InputProfile.model_validate(load_manifest()["lipforensics/ffpp"].input).crop, None)
    looks = [*(look_of(kind, 4) for kind in RULES), serving]
    reading = read_tracks(clip, name="", sha256="", options=READ, settings=Settings(), manifest={}, looks=looks)
    (track,) = reading.tracks
    made = write_track(cache, "a/b.c", track, KINDS, 4)
    assert made == KINDS
    write_about(cache, {"frames_per_video": 4})
    write_index(cache, [(sample("a/b.c", identity="x+y"), Made(made, 1.0, 30, 25.0, 110.0))])
    for kind in RULES:
        (prepared,) = load(cache, kind, "train")
        seen, kept = (t.crops[look_of(kind, 4)] for t in (track, prepared.track(kind)))
        for name in ("index", "images", "to_frame"):
            assert np.array_equal(getattr(seen, name), getattr(kept, name)), (kind, name)
    again = prepared.track()
    for name in ("index", "time_s", "boxes", "landmarks", "seen", "crop", "calibrated", "starts"):
        assert np.array_equal(getattr(track, name), getattr(again, name)), name
    assert prepared.sample.identity == "x+y"
    assert prepared.made.kinds == KINDS

    middle, held = track.crops[serving], crops_for(serving, prepared)
    assert np.array_equal(held.index, middle.index)
    assert np.array_equal(held.images, middle.images)
    np.testing.assert_allclose(held.to_frame, middle.to_frame, rtol=1e-5)
    canvas = prepared.faces("canvas")
    assert len(canvas) == 4
    masks = canvas.masks(0)
    x, y = canvas.on_crop(0)[30].astype(int)
    assert masks["nose"][y, x]
    assert masks["entire"][y, x]
    assert not masks["eyes"][y, x]


def test_every_crop_that_a_checkpoint_sees_can_be_prepared():
    wanted = [InputProfile.model_validate(w.input).crop for w in load_manifest().values() if "mean" in (w.input or {})]
    wanted.append(CANVAS)
    assert len(wanted) > 10
    assert {rule for rule in wanted if rule.name != "lipforensics"} <= set(RULES.values())


def test_a_folder_that_is_no_cache_or_holds_nothing_of_a_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no cache"):
        load(tmp_path, "canvas")
    write_about(tmp_path, {"frames_per_video": 4})
    write_index(tmp_path, [(sample("a"), Made(("landmarks",), 1.0, 30, 25.0, 110.0))])
    with pytest.raises(InputError, match=r"'canvas' in the split 'any'; it has the kinds \['landmarks'\]"):
        load(tmp_path, "canvas")
    (tmp_path / "cache.json").write_text('{"format": 0}')
    with pytest.raises(InputError, match="is of format 0, this version reads"):
        load(tmp_path, "landmarks")


def test_samples_that_share_a_source_an_identity_or_a_pair_are_one_group():
    swapped = sample("000_003", source="000", identity="003")
    assert swapped.bonds == {"source:000", "identity:003"}
    others = [sample("000", source="000"), sample("003", identity="003+x"), sample("x", identity="x"), sample("y")]
    assert groups([swapped, *others]) == [0, 0, 0, 0, 1]
    with pytest.raises(ValueError, match="without"):
        sample("../elsewhere")
