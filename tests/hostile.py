"""Files made to break whoever reads them: small clips of every kind FFmpeg writes here, and what can be done to them.

`corpus(folder, count)` yields them one after the other; the same count and seed give the same files.
"""

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count as numbers
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

SIZE = (64, 48)
FRAMES = 12
LARGEST = 0xFFFFFFFF


@dataclass(frozen=True)
class Kind:
    """How a clip is written; `times` are those of its frames, in frames."""

    name: str
    suffix: str
    codec: str
    pixels: str = "yuv420p"
    size: tuple[int, int] = SIZE
    times: tuple[int, ...] = tuple(range(FRAMES))
    codec_options: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    turn: tuple[int, ...] = ()
    """The display matrix of an MP4, in 1/65536."""
    sound: bool = False


_H264 = {"preset": "ultrafast"}
_SLOW = {"libx264": _H264, "libx265": _H264, "libsvtav1": {"preset": "13"}, "libvpx-vp9": {"deadline": "realtime"}}
_WRITES = {
    ".mp4": ("libx264", "libx265", "libvpx-vp9", "libsvtav1", "mpeg4", "mjpeg"),
    ".mov": ("libx264", "libx265", "mpeg4", "mjpeg", "prores_ks", "qtrle", "png"),
    ".mkv": ("libx264", "libx265", "libvpx", "libvpx-vp9", "libsvtav1", "mpeg4", "mjpeg", "ffv1", "mpeg2video"),
    ".webm": ("libvpx", "libvpx-vp9", "libsvtav1"),
    ".avi": ("libx264", "mpeg4", "mjpeg", "huffyuv", "utvideo", "rawvideo"),
    ".ts": ("libx264", "libx265", "mpeg2video", "mpeg4"),
    ".gif": ("gif",),
    ".flv": ("flv", "libx264"),
}
_PIXELS = {"gif": "rgb8", "prores_ks": "yuv422p10le", "qtrle": "rgb24", "png": "rgb24", "mjpeg": "yuvj420p"}
_PIXELS |= {"huffyuv": "yuv422p"}

KINDS = (
    *(
        Kind(
            f"{codec} in {suffix[1:]}", suffix, codec, _PIXELS.get(codec, "yuv420p"), codec_options=_SLOW.get(codec, {})
        )
        for suffix, codecs in _WRITES.items()
        for codec in codecs
    ),
    Kind("variable frame rate", ".mkv", "libx264", times=(0, 1, 9, 10, 11, 40, 41, 90), codec_options=_H264),
    Kind("clock that stands still", ".mkv", "ffv1", times=(0, 0, 0, 1, 1, 1, 2, 2, 3, 3)),
    Kind("upside down", ".mp4", "libx264", codec_options=_H264, turn=(-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30)),
    Kind("turned", ".mov", "mpeg4", turn=(0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)),
    Kind("turned by 45 degrees", ".mp4", "mpeg4", turn=(46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30)),
    Kind("interlaced", ".mp4", "libx264", codec_options=_H264 | {"x264-params": "interlaced=1"}),
    Kind("odd sizes", ".mkv", "ffv1", "yuv444p", size=(61, 47)),
    Kind("one pixel high", ".mkv", "ffv1", "yuv444p", size=(200, 1)),
    Kind("10 bits", ".mp4", "libx265", "yuv420p10le", codec_options=_H264),
    Kind("16 bits", ".mkv", "ffv1", "yuv420p16le"),
    Kind("alpha", ".webm", "libvpx-vp9", "yuva420p", codec_options=_SLOW["libvpx-vp9"]),
    Kind("alpha in QuickTime", ".mov", "qtrle", "argb"),
    Kind("B-frames", ".mp4", "libx264", times=tuple(range(40)), codec_options={"preset": "veryfast", "bf": "8"}),
    Kind(
        "edit list", ".mp4", "libx264", times=tuple(range(30, 60)), options={"use_editlist": "1"}, codec_options=_H264
    ),
    Kind("fragments", ".mp4", "libx264", options={"movflags": "frag_keyframe+empty_moov"}, codec_options=_H264),
    Kind("index in front", ".mp4", "libx264", options={"movflags": "faststart"}, codec_options=_H264),
    Kind("no index", ".mkv", "libx264", options={"live": "1"}, codec_options=_H264),
    Kind("endless loop", ".gif", "gif", "rgb8", options={"loop": "0"}),
    Kind("with sound", ".mp4", "libx264", codec_options=_H264, sound=True),
    Kind("longer than allowed", ".mkv", "mpeg4", times=tuple(range(0, 25 * 900, 25 * 60))),
    Kind("far future", ".mkv", "ffv1", times=(0, 1, 25 * 86_400 * 365)),
    Kind("bomb: large and flat", ".mp4", "libx264", size=(4096, 4096), times=(0, 1, 2), codec_options=_H264),
    Kind("bomb: larger than allowed", ".mkv", "ffv1", size=(8192, 4352), times=(0, 1)),
    Kind("bomb: a thousand frames a second", ".mkv", "mpeg4", times=tuple(range(2000)), size=(32, 32)),
)


def write(kind: Kind, path: Path) -> Path:
    """The clip of this kind: a grey ramp with a bright square that wanders."""
    width, height = kind.size
    with av.open(str(path), "w", options=kind.options) as container:
        stream = container.add_stream(kind.codec, rate=25, options=kind.codec_options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, kind.pixels
        sound = container.add_stream("aac", rate=44100) if kind.sound else None
        ramp = np.broadcast_to(np.linspace(40, 200, width, dtype=np.uint8)[None, :, None], (height, width, 3))
        for n, time in enumerate(kind.times):
            image = ramp.copy()
            if max(kind.size) <= 512:
                image[n % height : n % height + 8, n % width : n % width + 8] = 255
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound:
            quiet = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            quiet.sample_rate, quiet.pts, quiet.time_base = 44100, 0, Fraction(1, 44100)
            quiet.planes[0].update(bytes(quiet.planes[0].buffer_size))
            container.mux(sound.encode(quiet))
            container.mux(sound.encode())
    if kind.turn:
        data = bytearray(path.read_bytes())
        start = data.index(b"tkhd") + 4 + 40  # the display matrix of the track header, version 0
        data[start : start + 36] = struct.pack(">9i", *kind.turn)
        path.write_bytes(data)
    return path


def flip_bits(data: bytearray, dice: random.Random, _: bytes) -> bytearray:
    for _n in range(dice.choice((1, 4, 32, 256))):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return data


def cut_short(data: bytearray, dice: random.Random, _: bytes) -> bytearray:
    return data[: dice.randrange(len(data))]


def take_out(data: bytearray, dice: random.Random, _: bytes) -> bytearray:
    start = dice.randrange(len(data))
    del data[start : start + dice.choice((1, 7, 64, 1024))]
    return data


def say_twice(data: bytearray, dice: random.Random, _: bytes) -> bytearray:
    start = dice.randrange(len(data))
    piece = data[start : start + dice.choice((4, 64, 4096))]
    return data[:start] + piece * dice.choice((2, 50)) + data[start:]


def silence(data: bytearray, dice: random.Random, _: bytes) -> bytearray:
    start, length = dice.randrange(len(data)), dice.choice((16, 256, 4096))
    data[start : start + length] = bytes(len(data[start : start + length]))
    return data


def claim_much(data: bytearray, dice: random.Random, _: bytes) -> bytearray:
    """Sizes, counts and times lie in the head as numbers of 16 to 64 bits; some of them become extremes."""
    head = min(len(data), 2048) - 8
    for _n in range(dice.choice((1, 3, 10))):
        width, code = dice.choice(((2, ">H"), (4, ">I"), (4, "<I"), (8, ">Q")))
        value = dice.choice((0, 1, 0x7F, 0x7FFF, 0x7FFFFFFF, LARGEST, 1 << 63)) % (1 << 8 * width)
        start = dice.randrange(max(head, 1))
        data[start : start + width] = struct.pack(code, value)
    return data


def splice(data: bytearray, dice: random.Random, other: bytes) -> bytearray:
    return data[: dice.randrange(len(data))] + other[dice.randrange(len(other)) :]


def shuffle(data: bytearray, dice: random.Random, _: bytes) -> bytearray:
    size = dice.choice((64, 512))
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    dice.shuffle(pieces)
    return bytearray().join(pieces)


Mutation = Callable[[bytearray, random.Random, bytes], bytearray]
MUTATIONS: tuple[Mutation, ...] = (
    *(flip_bits, cut_short, take_out, say_twice, silence, claim_much, claim_much, splice, shuffle),
)


def box(name: bytes, *content: bytes) -> bytes:
    """One box of an MP4 file."""
    body = b"".join(content)
    return struct.pack(">I", 8 + len(body)) + name + body


def ten_thousand_tracks() -> bytes:
    """An MP4 that is all tracks, each with a header and nothing to show."""
    track = box(
        b"trak", box(b"tkhd", bytes(84)), box(b"mdia", box(b"mdhd", bytes(24)), box(b"hdlr", bytes(8), b"vide"))
    )
    return box(b"ftyp", b"isom\0\0\2\0isom") + box(b"moov", box(b"mvhd", bytes(100)), track * 10_000)


def boxes_in_boxes() -> bytes:
    inner = b""
    for _ in range(3000):
        inner = box(b"moov", inner)
    return box(b"ftyp", b"isom\0\0\2\0isom") + inner


def made_by_hand() -> dict[str, bytes]:
    """By file name, what no encoder writes."""
    return {
        "empty.mp4": b"",
        "one byte.mp4": b"\0",
        "zeros.mp4": bytes(100_000),
        "noise.mp4": random.Random(7).randbytes(200_000),
        "ten thousand tracks.mp4": ten_thousand_tracks(),
        "boxes in boxes.mp4": boxes_in_boxes(),
        "huge box.mp4": box(b"ftyp", b"isom\0\0\2\0isom") + struct.pack(">I", LARGEST) + b"moov" + bytes(64),
        "64-bit box.mp4": struct.pack(">I4sQ", 1, b"moov", 1 << 62) + bytes(64),
        "box of no size.mp4": struct.pack(">I4s", 0, b"moov") * 500,
        "playlist.m3u8": b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n",
        "playlist.mp4": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
        "concat.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "dash.mp4": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>file:///etc/</BaseURL></MPD>',
        "script.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        "page.mp4": b"<html><script>alert(1)</script></html>" * 50,
        "matroska of nothing.mkv": b"\x1aE\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff",
        "riff of nothing.avi": b"RIFF"
        + struct.pack("<I", LARGEST)
        + b"AVI LIST"
        + struct.pack("<I", LARGEST)
        + b"hdrl",
        "gif of 65535 px.gif": b"GIF89a\xff\xff\xff\xff\xf7\0\0"
        + bytes(768)
        + b"\x2c\0\0\0\0\xff\xff\xff\xff\0\x08\0;",
        "transport of one byte.ts": b"\x47" * 188 * 500,
    }


def corpus(folder: Path, count: int, *, seed: int = 0) -> Iterator[tuple[str, Path]]:
    """`count` files, each with what was done to it: the clips as they are, those made by hand, then mutations.

    A file is to be deleted by whoever has looked at it; the clips themselves are kept for the mutations.
    """
    dice, whole = random.Random(seed), [write(kind, folder / f"seed {i}{kind.suffix}") for i, kind in enumerate(KINDS)]
    small = [path for path in whole if path.stat().st_size < 300_000]
    made, names = numbers(), {path: kind.name for path, kind in zip(whole, KINDS, strict=True)}

    def plain() -> Iterator[tuple[str, Path, bytes]]:
        for path in whole:
            yield names[path], path, path.read_bytes()
        for name, data in made_by_hand().items():
            yield name, Path(name), data
        while True:
            path, mutate = dice.choice(small), dice.choice(MUTATIONS)
            changed = mutate(bytearray(path.read_bytes()), dice, dice.choice(small).read_bytes())
            yield f"{names[path]}: {mutate.__name__}", path, bytes(changed)

    for (what, path, data), _ in zip(plain(), range(count), strict=False):
        file = folder / f"{next(made)}{path.suffix}"
        file.write_bytes(data)
        yield what, file
