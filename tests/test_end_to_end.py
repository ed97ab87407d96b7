"""A clip becomes a report through the whole path, and the same report every time."""

import hashlib
import threading
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from safetensors.torch import save_file
from skimage.data import astronaut

from analysis.pipeline import analyze
from analysis.weighing import reweigh
from benchmarks.seeded import seeded_state
from core.contract import as_json
from core.errors import Cancelled
from core.settings import ROOT, Mode, Settings
from core.types import Frame, Label, Options
from core.weights import WeightsFile, load_manifest
from preprocessing.landmarks import FaceMesh
from preprocessing.tracking import Cuts, follow
from storage import ReportStore, upgrade

EXAMPLE = ROOT / "ui" / "assets" / "example.mp4"
MANIFEST = load_manifest()
OWN = "lrnet/telltale"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings.from_env({"TELLTALE_DATA": str(tmp_path_factory.mktemp("data"))})


def run(path: Path, settings, *, manifest=MANIFEST, regions=(), thoroughness="standard", **more):
    options = Options((OWN,), regions, thoroughness)
    return analyze(path, name=path.name, options=options, settings=settings, manifest=manifest, **more)


@pytest.fixture(scope="module")
def report(settings):
    return run(EXAMPLE, settings)


def test_the_example_clip_becomes_a_report_about_one_person(report):
    (person,), (finding,) = report.tracks, report.findings
    assert report.video.frames == report.video.frames_decoded == person.frames == 300
    assert (finding.status, finding.track_id, finding.weights.id) == ("scored", person.id, OWN)
    assert len(finding.scores) == (300 - 1) // 30
    assert np.all(np.diff(finding.time_s) > 0)
    assert finding.overall == pytest.approx(np.mean(finding.scores), abs=1e-3)
    assert report.verdict.fake == person.verdict.fake == finding.fake
    assert report.verdict.interval[0] <= report.verdict.fake <= report.verdict.interval[1]
    assert 0.85 < report.verdict.coverage <= 1
    assert person.quality.coverage == 1
    assert person.thumbnail.startswith(b"\xff\xd8")
    assert report.warnings == ()


def test_the_same_file_gives_the_same_report_again(report, settings):
    again = run(EXAMPLE, settings)
    same = {"id": report.id, "created_at": report.created_at, "timings_s": report.timings_s}
    assert as_json(replace(again, **same)) == as_json(report)
    np.testing.assert_array_equal(again.tracks[0].motion.calibrated, report.tracks[0].motion.calibrated)


def test_the_report_is_stored_and_comes_back_as_programs_see_it(report, settings):
    upgrade(settings.database_url)
    store = ReportStore(settings.database_url)
    store.add(report, owner="me")
    assert as_json(store.get(report.id, owner="me")) == as_json(report)
    assert store.find(report.fingerprint, owner="me").id == report.id
    assert as_json(reweigh(store.get(report.id, owner="me"), {}, settings)) == as_json(report), "fused again"


def test_what_a_clip_looks_like_is_kept_at_the_moderators_desk_only(report, settings):
    desk = settings.model_copy(update={"mode": Mode.MODERATION})
    kept = run(EXAMPLE, desk, thoroughness="fast").likeness
    assert report.likeness is None
    assert 0 < len(kept.time_s) <= 21
    assert np.all(np.diff(kept.time_s) >= 0.5 - 1 / 25)


def test_fast_looks_at_the_beginning_only_and_says_so(settings):
    report = run(EXAMPLE, settings, thoroughness="fast")
    assert report.video.frames_decoded == 251
    assert report.verdict.coverage < 10 / 12 + 0.01
    assert any("first 10 s" in warning for warning in report.warnings)


def test_a_genuine_clip_of_the_same_source_takes_off_what_the_source_scores_by_itself(settings):
    known = replace(MANIFEST[OWN].calibration, slope=1.0, intercept=0.0, real_logit=-3.0)
    manifest = {OWN: replace(MANIFEST[OWN], calibration=known), "landmarks/fan": MANIFEST["landmarks/fan"]}
    plain = run(EXAMPLE, settings, manifest=manifest)
    compared = run(EXAMPLE, settings, manifest=manifest, references=[EXAMPLE])
    assert compared.verdict.fake < plain.verdict.fake
    assert compared.fingerprint != plain.fingerprint
    assert any("reference" in warning for warning in compared.warnings)
    sha256 = hashlib.sha256(EXAMPLE.read_bytes()).hexdigest()
    assert f"Read against {EXAMPLE.name} (SHA-256 {sha256[:12]}…)." in compared.warnings
    assert any(" scores +0.00 log-odds (90 % interval -" in warning for warning in compared.warnings), "beside itself"


def test_a_method_that_looks_at_regions_runs_beside_one_that_does_not(tmp_path):
    """Its weights are made up, which only a test may do."""
    made_up = tmp_path / "given" / "made-up.safetensors"
    made_up.parent.mkdir()
    state = seeded_state("dsp_fwa")
    state["classifier.weight"] *= 0.01
    save_file(state, made_up)
    file = WeightsFile("network", made_up.name, "", hashlib.sha256(made_up.read_bytes()).hexdigest(), None)
    manifest = {OWN: MANIFEST[OWN]}
    for region in ("eyes", "nose", "mouth"):
        id, files = f"dsp_fwa/made-up/{region}", (file,) if region != "mouth" else (replace(file, name="absent"),)
        entry = MANIFEST["dsp_fwa/bida-uadfv/entire"]
        manifest[id] = replace(entry, id=id, region=region, source="manual", files=files)
    settings = Settings.from_env({"TELLTALE_DATA": str(tmp_path), "TELLTALE_WEIGHTS": str(made_up.parent)})
    stages = []
    report = analyze(
        EXAMPLE,
        name="example",
        options=Options((OWN, "dsp_fwa/made-up"), ("eyes", "nose", "mouth", "rest"), "fast"),
        settings=settings,
        manifest=manifest,
        on_progress=lambda progress: stages.append(progress.stage),
    )
    found = {(f.detector, f.region): f for f in report.findings}
    assert found["lrnet", "entire"].calibrated
    for region in ("eyes", "nose"):
        assert (found["dsp_fwa", region].status, found["dsp_fwa", region].calibrated) == ("scored", False)
        assert len(found["dsp_fwa", region].scores) == 8
    assert found["dsp_fwa", "eyes"].overall != found["dsp_fwa", "nose"].overall
    assert found["dsp_fwa", "mouth"].status == "skipped"
    assert "absent" in found["dsp_fwa", "mouth"].reason
    assert any("no weights of DSP-FWA for the region rest" in warning for warning in report.warnings)
    assert "uncalibrated" in report.verdict.reason
    assert sum("for this machine" in stage for stage in stages) == 1


def test_a_cancelled_analysis_leaves_no_thread_behind(settings):
    before = set(threading.enumerate())

    def stop(progress):
        if progress.fraction > 0.1:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        run(EXAMPLE, settings, on_progress=stop)
    assert {t for t in threading.enumerate() if t.name == "ahead"} <= before


def test_two_people_side_by_side_are_judged_apart(settings, tmp_path):
    def pair(image):
        return np.hstack([image, image[:, ::-1]])

    report = run(edit(EXAMPLE, tmp_path / "two.mp4", pair, frames=130), settings)
    assert len(report.tracks) == 2
    assert {f.track_id for f in report.findings if f.status == "scored"} == {p.id for p in report.tracks}
    assert "person" in report.verdict.reason


def test_a_video_without_a_face_is_not_assessed_and_has_no_number(settings, tmp_path):
    report = run(edit(EXAMPLE, tmp_path / "none.mp4", lambda image: image[:1] + 0 * image, frames=30), settings)
    assert report.verdict.label is Label.NOT_ASSESSED
    assert report.verdict.fake is report.verdict.interval is None
    assert "No face was found in the 30 frames" in report.verdict.reason
    assert report.tracks == report.findings == ()


def test_a_picture_that_changes_its_size_midway_is_followed_in_each_size(settings, tmp_path):
    """MediaPipe ends the whole process when it is handed a window outside the picture."""

    def small(height, width):
        picture = np.full((height, width, 3), 128, np.uint8)
        picture[height - 220 : height - 20, width - 220 : width - 20] = cv2.resize(
            astronaut()[:300, 100:400], (200, 200)
        )
        return picture

    def found():
        cuts, mesh = Cuts(), FaceMesh()
        for n in range(40):
            image = small(720, 1280) if n < 20 else small(360, 640)
            cut = cuts.is_cut(image)
            if cut:
                mesh.reset()
            yield Frame(n, n / 25, image), mesh.find(image), cut
        mesh.close()

    assert [len(track.time_s) for track in follow(found())] == [20, 20]


def test_a_region_that_no_method_looks_at_is_told_of(settings, tmp_path):
    report = run(edit(EXAMPLE, tmp_path / "short.mp4", lambda image: image, frames=6), settings, regions=("nose",))
    assert report.warnings == ("None of these methods looks at the region nose alone.",)


def test_a_clip_too_short_for_the_method_says_what_it_needs(settings, tmp_path):
    report = run(edit(EXAMPLE, tmp_path / "short.mp4", lambda image: image, frames=60), settings)
    assert report.verdict.label is Label.NOT_ASSESSED
    assert "91 consecutive frames of one face are needed, 60 were found" in report.verdict.reason


def edit(source: Path, target: Path, change, *, frames: int) -> Path:
    """The first frames of a clip, each changed, encoded anew."""
    with av.open(str(source)) as before, av.open(str(target), "w") as after:
        stream = after.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "20"})
        stream.pix_fmt = "yuv420p"
        for frame, _ in zip(before.decode(video=0), range(frames), strict=False):
            image = np.ascontiguousarray(change(frame.to_ndarray(format="rgb24")))
            if not stream.codec_context.is_open:
                stream.height, stream.width = image.shape[:2]
            after.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        after.mux(stream.encode())
    return target
