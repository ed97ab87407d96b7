"""Decoding: presentation times, rotation, limits, and files made to mislead."""

from dataclasses import asdict
from fractions import Fraction

import av
import numpy as np
import pytest

from core.errors import InputError
from core.settings import Settings
from preprocessing import decoding
from preprocessing.ahead import ahead
from preprocessing.video import Tally, decode, probe, read_claim

SETTINGS = Settings.from_env({})


def write(path, *, times=range(10), rate=25, size=(64, 48), codec="mpeg4", base=None, options=None):
    """A clip whose n-th frame is shown at times[n] / rate seconds; grey level 10 + 20 n, red left half."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = base or Fraction(1, rate)
        for n, time in enumerate(times):
            image = np.full((size[1], size[0], 3), (10 + 20 * n) % 256, np.uint8)
            image[:, : size[0] // 2, 0] = 255
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = time, base or Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(path, **more):
    tally = Tally()
    return list(decode(path, tally, settings=SETTINGS, **more)), tally


def test_times_are_those_of_the_container_also_when_they_are_uneven(tmp_path):
    shown_at = [0, 1, 2, 7, 8, 20]
    frames, tally = read(write(tmp_path / "vfr.mkv", times=shown_at, base=Fraction(1, 25)))
    np.testing.assert_allclose([f.time_s for f in frames], np.array(shown_at) / 25, atol=1e-3)
    assert [f.index for f in frames] == list(range(6))
    assert tally.frames == 6


def test_rotation_metadata_turns_the_picture_upright(tmp_path):
    plain = write(tmp_path / "plain.mp4")
    turned = tmp_path / "turned.mp4"
    data = bytearray(plain.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # the display matrix of the track header, version 0
    data[at : at + 36] = b"".join(
        int(v).to_bytes(4, "big", signed=True) for v in (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    )
    turned.write_bytes(data)
    video = probe(turned, name="turned", sha256="", settings=SETTINGS)
    frames, _ = read(turned)
    assert (video.width, video.height, video.rotation) == (48, 64, 90)
    assert frames[0].image.shape == (64, 48, 3)
    assert frames[0].image[:32, :, 0].min() > 200, "a quarter turn clockwise brings the left half to the top"
    assert frames[0].image[32:, :, 0].max() < 60


def test_probe_tells_what_the_container_claims(tmp_path):
    video = probe(write(tmp_path / "a.mp4"), name="a<b>.mp4", sha256="ab", settings=SETTINGS)
    assert (video.name, video.frames, video.fps, video.codec) == ("a<b>.mp4", 10, 25.0, "mpeg4")
    assert video.duration_s == pytest.approx(0.4, abs=0.05)


def test_a_claim_is_what_the_header_says_and_nothing_is_decoded_for_it(tmp_path, monkeypatch):
    path = write(tmp_path / "a.mp4", times=range(50))
    claim = read_claim(path, settings=SETTINGS)
    assert (claim.length_s, claim.rate_hz) == (pytest.approx(2.0, abs=0.05), 25.0)
    monkeypatch.setattr(decoding, "_decoded", lambda *_: pytest.fail("it was decoded"))
    task = decoding.Task(str(path), "claim", SETTINGS.max_seconds, SETTINGS.max_side_px)
    assert list(decoding.answer(task, None)) == [asdict(claim)]


def test_a_header_that_claims_too_much_or_nothing_is_not_believed(tmp_path):
    path = write(tmp_path / "a.mp4", times=range(50))
    short = Settings.from_env({"TELLTALE_MAX_SECONDS": "1"})
    with pytest.raises(InputError, match="1 s at most"):
        read_claim(path, settings=short)
    (tmp_path / "text.mp4").write_text("no video at all")
    with pytest.raises(InputError, match="not a video"):
        read_claim(tmp_path / "text.mp4", settings=SETTINGS)
    stream = write(tmp_path / "live.mkv", times=range(50), options={"live": "1"})
    assert read_claim(stream, settings=SETTINGS) is None


def test_reading_stops_at_the_time_asked_for(tmp_path):
    frames, _ = read(write(tmp_path / "a.mp4", times=range(50)), until_s=1.0)
    assert len(frames) == 26


def test_damaged_packets_are_passed_over_and_counted(tmp_path):
    path = write(tmp_path / "a.avi", times=range(60))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(data)
    frames, tally = read(path)
    assert tally.broken >= 1
    assert 30 < len(frames) < 60
    assert np.all(np.diff([f.time_s for f in frames]) > 0)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty"),
        (b"just text " * 100, "not a video that can be read"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n", "not a video that can be read"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "not a video that can be read"),
    ],
)
def test_what_is_not_a_video_is_refused_in_one_sentence(tmp_path, content, sentence):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        probe(path, name="clip", sha256="", settings=SETTINGS)


def test_clips_strung_together_go_on_where_the_clock_began_anew(tmp_path):
    one = write(tmp_path / "one.ts", times=range(50), codec="mpeg2video").read_bytes()
    (tmp_path / "two.ts").write_bytes(one + one)
    frames, tally = read(tmp_path / "two.ts")
    assert len(frames) + tally.broken >= 98
    assert np.all(np.diff([f.time_s for f in frames]) > 0)
    assert frames[-1].time_s == pytest.approx(4.0, abs=0.3)


def test_an_unknown_codec_is_refused_in_one_sentence(tmp_path):
    path = write(tmp_path / "a.mp4", codec="libx264")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz1"))
    with pytest.raises(InputError, match="cannot be read here"):
        probe(path, name="", sha256="", settings=SETTINGS)


def test_sound_that_outlasts_the_picture_is_not_the_length_of_the_video(tmp_path):
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        picture, sound = container.add_stream("mpeg4", rate=25), container.add_stream("pcm_s16le", rate=8000)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        sound.layout = "mono"
        for n in range(25):
            image = np.full((64, 64, 3), 5 * n, np.uint8)
            container.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(picture.encode())
        for _ in range(90):
            second = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
            second.sample_rate = 8000
            container.mux(sound.encode(second))
        container.mux(sound.encode())
    short = Settings.from_env({"TELLTALE_MAX_SECONDS": "30"})
    probe(path, name="", sha256="", settings=short)
    frames, tally = read(path)
    assert (len(frames), tally.is_complete) == (25, True)
    assert tally.end_s == pytest.approx(1.0, abs=0.05)


def test_limits_hold_against_what_is_decoded_and_not_only_against_the_header(tmp_path):
    path = write(tmp_path / "long.mkv", times=range(0, 4000, 25))
    strict = Settings.from_env({"TELLTALE_MAX_SECONDS": "60"})
    with pytest.raises(InputError, match="60 s at most"):
        list(decode(path, Tally(), settings=strict))
    with pytest.raises(InputError, match="64 px a side"):
        probe(write(tmp_path / "wide.mp4", size=(128, 64)), name="", sha256="",
              settings=Settings.from_env({"TELLTALE_MAX_SIDE_PX": "64"}))  # fmt: skip


def test_ahead_gives_the_same_items_and_closes_its_source_when_closed():
    closed = []

    def source():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    assert list(ahead(iter(range(5)))) == [0, 1, 2, 3, 4]
    items = ahead(source())
    assert next(items) == 0
    items.close()
    assert closed == [True]


def test_ahead_raises_what_its_source_raises():
    def source():
        yield 1
        raise InputError("broken")

    items = ahead(source())
    assert next(items) == 1
    with pytest.raises(InputError, match="broken"):
        next(items)
