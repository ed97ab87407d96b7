"""Every detector keeps the contract, on every region and in every engine.

Weights are drawn from their names (`benchmarks/seeded.py`), made weaker where they would drive every answer to 0 or 1.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.special import expit, logit

from benchmarks.seeded import golden, seeded_state
from core.errors import NotApplicable
from core.types import Crops, Face, Quality, Scores, Track
from core.weights import Weights
from detectors import DETECTORS, engines
from detectors.appearance import against
from detectors.base import Detector
from detectors.capsule import LOWEST, Capsule, stretched
from detectors.compact import Compact
from detectors.dsp_fwa import DSPFWA
from detectors.engines import BATCHES, OnnxEngine, TorchEngine, has_int8
from detectors.gend import GenD
from detectors.laa_net import LAANet
from detectors.lipforensics import LipForensics, cut_clips, runs
from detectors.lrnet import LRNet
from detectors.networks import gend as gend_network
from detectors.texture import Texture
from detectors.xception import Xception
from preprocessing.cropping import Cropping
from preprocessing.profile import InputProfile
from preprocessing.regions import REGIONS, region_masks

HALF = {"frames": 5, "mean": [0.5] * 3, "std": [0.5] * 3}
IMAGENET = {"frames": 5, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
LOGIT = {"fake_index": 0, "average": "logit"}
MOUTHS = {
    "crop": {"name": "lipforensics", "size_px": 88},
    "colour": "grey",
    "mean": [0.421],
    "std": [0.165],
    "clip_frames": 25,
    "clip_stride": 25,
    **LOGIT,
}
RUNS = {"runs": 8, "run": 6, "average": "logit"}
FRAMES = 100
"""Enough for three blocks of LRNet."""
GEND_LAYERS = gend_network.LAYERS if torch.cuda.is_available() else 4
"""What GenD has to keep here does not depend on its depth, but for what half precision costs on a GPU."""


def split_capsule(state: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """As published: the trunk in ImageNet's own file."""
    trunk = {k.replace("vgg_ext.vgg_1", "features"): v for k, v in state.items() if k.startswith("vgg_ext.")}
    return {"network": {k: v for k, v in state.items() if not k.startswith("vgg_ext.")}, "trunk": trunk}


def held_widely(state: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """A model of cues as drawn, but for the bounds within which they are held: nothing reaches them."""
    bounds = {key: torch.full_like(tensor, -9.0) for key, tensor in state.items() if key.endswith(".low")}
    bounds |= {key: torch.full_like(tensor, 9.0) for key, tensor in state.items() if key.endswith(".high")}
    return {"model": state | bounds}


@dataclass(frozen=True)
class Case:
    """A detector, what its checkpoint looks at, how much stronger than drawn some of its tensors are, and which there
    are none of."""

    cls: type[Detector]
    input: Mapping[str, Any]
    stronger: Mapping[str, float]
    state: str | None = None
    without: str = "(?!)"
    files: Callable[[dict[str, torch.Tensor]], dict[str, dict[str, torch.Tensor]]] = lambda state: {"network": state}

    def write(self, folder: Path) -> dict[str, Path]:
        """The files of its weights by role."""
        state = seeded_state(self.state or self.cls.card.name, without=self.without)
        for end, factor in self.stronger.items():
            state |= {key: tensor * factor for key, tensor in state.items() if key.endswith(end)}
        files = {}
        for role, tensors in self.files(state).items():
            files[role] = folder / f"{role}.safetensors"
            save_file(tensors, files[role])
        return files

    def weights(self, region: str, **changed: Any) -> Weights:
        return Weights(
            id=f"{self.cls.card.name}/seeded/{region}",
            detector=self.cls.card.name,
            region=region,
            source="manual",
            files=(),
            licence="",
            commercial_use=True,
            auto_download=False,
            trained_on="",
            paper="",
            input={**self.input, **changed},
            calibration=None,
            measured=None,
        )


CASES = {
    "compact": Case(Compact, RUNS, {"slopes": 0, ".weight": 0.1}, files=held_widely),
    "texture": Case(Texture, {"average": "logit"}, {"running_var": 3}),
    "lrnet": Case(LRNet, {}, {}, files=lambda state: {"g1": state, "g2": state}),
    "lipforensics": Case(LipForensics, MOUTHS, {"running_var": 3}),
    "lipforensics with attention": Case(LipForensics, MOUTHS, {"running_var": 3}, state="lipforensics_attention"),
    "laa_net": Case(
        LAANet,
        {**HALF, "crop": {"name": "laa_net", "size_px": 384, "margin": 1.5, "trim_px": 5}, **LOGIT},
        {},
    ),
    "xception": Case(Xception, {"crop": {"name": "ffpp", "size_px": 299, "margin": 1.3}, **HALF}, {"running_var": 3}),
    "capsule": Case(
        Capsule,
        {"crop": {"name": "nii", "size_px": 300, "margin": 1.3}, **IMAGENET},
        {"route_weights": 32},
        files=split_capsule,
    ),
    "dsp_fwa": Case(
        DSPFWA,
        {
            "crop": {"name": "dsp_fwa", "size_px": 224, "resize": "linear", "views": 2},
            "colour": "bgr",
            "scale": 1,
            "frames": 5,
            "mean": [103.939, 116.779, 123.68],
            "std": [1, 1, 1],
            "fake_index": 0,
        },
        {"running_var": 8},
    ),
    "gend": Case(
        GenD,
        {"crop": {"name": "gend", "size_px": 224, "margin": 1.3, "resize": "bicubic"}, **IMAGENET},
        {"model.linear.weight": 32},
        without=rf"layers\.(?!({'|'.join(map(str, range(GEND_LAYERS)))})\.)",
    ),
}


@dataclass(frozen=True)
class Bench:
    """A case with its weights written and its network exported."""

    case: Case
    files: Mapping[str, Path]
    cache: Path

    def open(
        self, region: str | None = None, *, device: str = "cpu", exported: bool = True, **changed: Any
    ) -> Detector:
        weights = self.case.weights(region or self.region, **changed)
        return self.case.cls(weights, self.files, device, self.cache if exported else None)

    @property
    def region(self) -> str:
        return self.case.cls.card.regions[0]


@pytest.fixture(scope="module", autouse=True)
def _networks_in_their_own_arithmetic_and_soon_there() -> Iterator[None]:
    """Engines are held against each other without what 8 bits cost; that has a test of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GenD, "int8", False)
        patch.setattr(gend_network, "LAYERS", GEND_LAYERS)
        patch.setattr(engines, "RUNS", 1)
        yield


@pytest.fixture(scope="module", params=CASES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with TemporaryDirectory() as folder:  # not pytest's, which would keep gigabytes from run to run
        case = CASES[request.param]
        yield Bench(case, case.write(Path(folder)), Path(folder) / "cache")


def track_for(bench: Bench, frames: int = FRAMES) -> Track:
    """An invented face that sways over a moving pattern, seen as the detector wants; it cannot be written to."""
    points = golden("lipforensics_crop")["landmarks"]
    there_and_back = np.concatenate([points, points[::-1]])
    landmarks = there_and_back[np.arange(frames) % len(there_and_back)].astype(np.float32)
    boxes = np.concatenate([landmarks.min(axis=1), landmarks.max(axis=1)], axis=1)
    y, x, c = np.ogrid[:360, :480, :3]
    looks = bench.case.cls.looks(bench.case.weights(bench.region), "fast")
    cropping = Cropping(looks)
    for i in range(frames):
        folded = np.abs((((2 + c) * x + (4 - c) * y + 60 * c + 7 * i) % 512) - 255.5)
        cropping.see(i, folded.astype(np.uint8), Face(boxes[i], landmarks[i]))
    crops = cropping.finish()
    middle = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    track = Track(
        id=7,
        index=np.arange(frames),
        time_s=np.arange(frames) / 25,
        boxes=boxes,
        landmarks=landmarks,
        seen=np.ones(frames, bool),
        crop=np.tile(np.float32([0, 0, 360]), (frames, 1)),
        calibrated=(landmarks - middle) / 180,
        starts=np.array([0]),
        quality=Quality(100.0, 0.0, 1.0, 25.0, 0.0, 0.0),
        thumbnail=np.zeros((4, 4, 3), np.uint8),
        crops=crops,
    )
    seen = [array for c in crops.values() for array in (c.index, c.images, c.to_frame)]
    for array in (track.time_s, boxes, landmarks, track.calibrated, *seen):
        array.flags.writeable = False
    return track


@pytest.fixture(scope="module")
def track(bench: Bench) -> Track:
    return track_for(bench)


@pytest.fixture(scope="module")
def scores(bench: Bench, track: Track) -> Scores:
    return bench.open().score(track)


def test_every_detector_is_tested() -> None:
    assert set(DETECTORS.values()) <= {case.cls for case in CASES.values()}


def test_scores_are_finite_in_range_and_in_order_of_time(bench: Bench, track: Track, scores: Scores) -> None:
    assert (scores.detector, scores.region, scores.track_id) == (bench.case.cls.card.name, bench.region, 7)
    assert scores.weights == f"{scores.detector}/seeded/{scores.region}"
    assert len(scores.fake) >= 3
    assert scores.fake.dtype == np.float32
    assert ((scores.fake > 0) & (scores.fake < 1)).all(), "seeded weights that saturate test nothing"
    assert np.ptp(scores.fake) > 0
    assert (np.diff(scores.time_s) > 0).all()
    assert track.time_s[0] <= scores.time_s[0] <= scores.time_s[-1] <= track.time_s[-1]
    fake = scores.fake.astype(np.float64)
    expected = expit(logit(fake).mean()) if bench.case.input.get("average") == "logit" else fake.mean()
    assert scores.overall == pytest.approx(expected, abs=1e-5)


def test_the_same_track_gives_the_same_scores_whatever_the_batch(bench: Bench, track: Track, scores: Scores) -> None:
    detector = bench.open()
    again, once_more = detector.score(track), detector.score(track)
    assert again.fake.tolist() == once_more.fake.tolist() == scores.fake.tolist()
    if hasattr(detector, "_engine"):
        detector._engine.batch = 3
        np.testing.assert_allclose(detector.score(track).fake, scores.fake, atol=1e-5)


def test_every_region_keeps_the_contract_and_is_not_the_entire_face(bench: Bench, track: Track, scores: Scores) -> None:
    for region in bench.case.cls.card.regions[1:]:
        detector = bench.open(region, masked=True)
        other = detector.score(track)
        assert other.region == region
        assert np.isfinite(other.fake).all()
        assert (other.fake >= 0).all()
        assert (other.fake <= 1).all()
        assert 0 <= other.overall <= 1
        assert other.time_s.tolist() == scores.time_s.tolist()
        assert np.abs(other.fake - scores.fake).max() > 1e-4, region
        for poor in too_poor(bench, track):
            with pytest.raises(NotApplicable, match=SENTENCE):
                detector.score(poor)


SENTENCE = r"^[A-Z0-9].*; (use|upload) .*\.$"


def too_poor(bench: Bench, track: Track) -> list[Track]:
    # LRNet reads landmarks; its crops are only shown.
    blind = [] if bench.case.cls is LRNet else [replace(track, crops={})]
    return [track_for(bench, frames=4), *blind]


def test_a_track_that_is_short_or_has_nothing_to_look_at_is_skipped_with_a_sentence(bench: Bench, track: Track) -> None:
    detector = bench.open()
    for poor in too_poor(bench, track):
        with pytest.raises(NotApplicable, match=SENTENCE):
            detector.score(poor)


def test_it_tells_where_it_looked_in_the_very_crop_it_saw_towards_fake_and_the_same_twice(
    bench: Bench, track: Track, scores: Scores
) -> None:
    detector, moments = bench.open(), [0, 2]
    found = detector.explain(track, scores, moments)
    if bench.case.cls in (Compact, Texture):  # they read averages over whole areas; Compact says which by words
        assert found == []
        assert bool(scores.grounds) == (bench.case.cls is Compact)
        return
    assert len(found) == len(moments)
    (twin,) = detector.explain(track, scores, moments[:1])
    np.testing.assert_allclose(twin.heat, found[0].heat, atol=1e-4)  # alone, and beside another
    for seen, moment in zip(found, moments, strict=True):
        assert (seen.time_s, seen.score) == (scores.time_s[moment], scores.fake[moment])
        (crops,) = track.crops.values()
        (where,) = np.flatnonzero((crops.index == seen.index) & (crops.images == seen.image).all(axis=(1, 2, 3)))
        np.testing.assert_array_equal(seen.to_frame, crops.to_frame[where])
        assert (seen.heat.dtype, seen.heat.ndim) == (np.float32, 2)
        assert 0 <= seen.heat.min() < seen.heat.max() <= 1
        assert bench.case.cls is LAANet or seen.heat.max() == pytest.approx(seen.score)


def test_what_hiding_a_region_does_begins_from_the_scores_themselves(
    bench: Bench, track: Track, scores: Scores
) -> None:
    answers = bench.open().hide(track, scores, [0, 2])
    if bench.case.cls in (Compact, Texture):  # their regions are measured each by itself already
        assert answers == {}
        return
    assert list(answers) == list(REGIONS)
    np.testing.assert_allclose(answers["entire"].fake, scores.fake[[0, 2]], atol=1e-5)
    assert answers["entire"].time_s.tolist() == scores.time_s[[0, 2]].tolist()
    moved = {region: np.abs(answers[region].fake - answers["entire"].fake).max() for region in REGIONS[1:]}
    assert all(change > 1e-5 for change in moved.values()), moved


def test_torch_and_onnx_agree(bench: Bench, track: Track, scores: Scores) -> None:
    np.testing.assert_allclose(bench.open(exported=False).score(track).fake, scores.fake, atol=1e-3)


@pytest.mark.skipif(not has_int8(), reason="no instructions for 8-bit products")
@pytest.mark.parametrize("bench", ["gend"], indirect=True)
def test_gend_in_8_bits_is_known_apart_and_scores_nearly_the_same(
    bench: Bench, track: Track, scores: Scores, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert GenD.runs_on("cpu") == "cpu"
    monkeypatch.setattr(GenD, "int8", True)
    assert (GenD.runs_on("cpu"), GenD.runs_on("cuda")) == ("cpu int8", "cuda")
    assert not GenD.is_prepared(bench.case.weights(bench.region), bench.files, "cpu", bench.cache)
    detector = bench.open()
    assert isinstance(detector, GenD)
    assert isinstance(detector._engine, OnnxEngine)
    assert detector._engine.batch == 1, "what is read together shares its steps"
    fake = detector.score(track).fake
    assert (fake != scores.fake).any()
    np.testing.assert_allclose(fake, scores.fake, atol=2e-2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_scores_of_the_cpu(
    bench: Bench, track: Track, scores: Scores, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = bench.open(device="cuda")
    np.testing.assert_allclose(detector.score(track).fake, scores.fake, atol=2e-2)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    if hasattr(detector, "_engine"):
        detector._engine._half = False
    np.testing.assert_allclose(detector.score(track).fake, scores.fake, atol=1e-3)


@pytest.mark.parametrize("bench", ["capsule"], indirect=True)
def test_a_network_is_exported_once_for_its_weights(bench: Bench, scores: Scores) -> None:
    cls, weights = bench.case.cls, bench.case.weights(bench.region)
    (exported,) = bench.cache.iterdir()
    made = (exported / "network.onnx").stat().st_mtime_ns
    assert int((exported / "batch").read_text()) in BATCHES
    assert cls.is_prepared(weights, bench.files, "cpu", bench.cache)
    assert not cls.is_prepared(weights, bench.files, "cpu", bench.cache / "another")
    bench.open("eyes", masked=True)
    assert [exported] == list(bench.cache.iterdir())
    assert (exported / "network.onnx").stat().st_mtime_ns == made


@pytest.mark.parametrize("bench", ["xception"], indirect=True)
def test_whichever_class_the_checkpoint_calls_fake_the_score_is_that_of_fake(
    bench: Bench, track: Track, scores: Scores
) -> None:
    np.testing.assert_allclose(bench.open(fake_index=0).score(track).fake, 1 - scores.fake, atol=1e-6)


@pytest.mark.parametrize("bench", ["laa_net"], indirect=True)
def test_laa_net_cannot_tell_a_face_from_its_mirror_image(bench: Bench, track: Track, scores: Scores) -> None:
    ((look, crops),) = track.crops.items()
    mirrored = replace(track, crops={look: replace(crops, images=crops.images[:, :, ::-1])})
    np.testing.assert_allclose(bench.open().score(mirrored).fake, scores.fake, atol=1e-5)


@pytest.mark.parametrize("bench", ["xception"], indirect=True)
def test_a_masked_checkpoint_sees_nothing_outside_its_region(bench: Bench, track: Track) -> None:
    ((look, crops),) = track.crops.items()
    mask = region_masks(track.landmarks[0], crops.to_frame[0], look.rule.size_px)["mouth"]
    noisy = np.where(mask[..., None], crops.images[0], 255 - crops.images[0])
    detector = bench.open("mouth", masked=True)
    seen = [
        detector.score(replace(track, crops={look: replace(crops, images=np.stack([image, *crops.images[1:]]))}))
        for image in (crops.images[0], noisy)
    ]
    assert seen[0].fake.tolist() == seen[1].fake.tolist()


def test_log_odds_are_of_fake_whatever_the_network_answers_with() -> None:
    assert against(np.array([[2.0, 5.0]]), 1).tolist() == [3.0]
    assert against(np.array([[2.0, 5.0]]), 0).tolist() == [-3.0]
    assert against(np.array([[2.0]]), 0).tolist() == [2.0]


def test_capsule_says_all_from_0_to_1() -> None:
    np.testing.assert_allclose(stretched(np.array([LOWEST, 0.5, 1 - LOWEST])), [0, 0.5, 1], atol=1e-12)


def test_dsp_fwa_believes_the_upper_half_of_its_crops() -> None:
    fake = np.array([[0.9, 0.1, 0.7, 0.3], [0.0, 0.0, 0.0, 1.0]])
    np.testing.assert_allclose(DSPFWA.merge_views(fake), [0.8, 0.5])
    np.testing.assert_allclose(DSPFWA.merge_views(fake[:, :1]), fake[:, 0])


def crops_at(index: Sequence[int]) -> Crops:
    return Crops(np.array(index), np.zeros((len(index), 8, 8, 3), np.uint8), np.zeros((len(index), 2, 3), np.float32))


@pytest.mark.parametrize("bench", ["lrnet"], indirect=True)
def test_clips_of_a_mouth_do_not_run_across_a_gap(bench: Bench, track: Track) -> None:
    track = replace(track, starts=np.array([0, 9]))
    pieces = runs(track, crops_at([0, 1, 2, 3, 6, 7, 8, 9, 10]))
    assert [piece.tolist() for piece in pieces] == [[0, 1, 2, 3], [4, 5, 6], [7, 8]]
    clips = [clip.tolist() for piece in pieces for clip in cut_clips(piece, frames=2, stride=2)]
    assert clips == [[0, 1], [2, 3], [4, 5], [7, 8]]


@pytest.mark.parametrize("bench", ["lipforensics"], indirect=True)
def test_of_footage_at_twice_the_rate_every_second_frame_is_read(bench: Bench, track: Track, scores: Scores) -> None:
    def at(rate: float) -> Track:
        return replace(track, time_s=track.time_s * 25 / rate, quality=replace(track.quality, frame_rate_hz=rate))

    detector = bench.open()
    np.testing.assert_allclose(scores.time_s, [0.48, 1.48, 2.48, 3.48])
    np.testing.assert_allclose(detector.score(at(50)).time_s, [0.48, 1.48])
    with pytest.raises(NotApplicable, match=r"20 frames a second .* 15\.0"):
        detector.score(at(15))


@pytest.mark.parametrize("bench", ["lipforensics", "lipforensics with attention"], indirect=True)
def test_what_the_frames_of_a_mouth_add_is_the_log_odds_of_their_clip(
    bench: Bench, track: Track, scores: Scores
) -> None:
    for moment, seen in zip([0, 2], bench.open().explain(track, scores, [0, 2]), strict=True):
        told = seen.contributions
        assert told is not None
        assert sum(told.log_odds) + told.bias == pytest.approx(logit(float(scores.fake[moment])), abs=1e-3)
        assert told.time_s == tuple(track.time_s[25 * moment : 25 * moment + 25].tolist())
        assert track.time_s[seen.index] == told.time_s[int(np.argmax(told.log_odds))]
        attends = bench.case.state is not None
        assert bool(told.weights) is attends
        assert not attends or sum(told.weights) == pytest.approx(1, abs=1e-5)


def test_lipforensics_attends_exactly_where_its_file_does() -> None:
    for name, attends in {"lipforensics": False, "lipforensics_attention": True}.items():
        for state in (seeded_state(name), {"model": seeded_state(name)}):
            assert (LipForensics.load(state).tcn.attention_net is not None) is attends


@pytest.mark.shared
@pytest.mark.parametrize("name", ["real", "fake"])
def test_lipforensics_gives_mouths_of_real_clips_the_published_logits(shared: Path, name: str) -> None:
    with av.open(str(shared / "clips" / f"lipforensics_{name}_mouth.avi")) as file:
        mouths = np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])[:, 4:-4, 4:-4]
    engine = TorchEngine(LipForensics.load(seeded_state("lipforensics")), "cpu", half=False)
    logits, *_ = engine.run(InputProfile.model_validate(MOUTHS).tensor(mouths))
    expected = golden("lipforensics_clips")[f"{name}_seeded_logits"]
    np.testing.assert_allclose(logits.ravel(), expected.ravel(), atol=1e-4 * np.abs(expected).max())
