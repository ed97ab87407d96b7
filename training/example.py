"""Small clips to try the commands of training on: `python -m training.example FOLDER`.

They show one portrait (NASA's of Eileen Collins, in the public domain, which scikit-image ships), stretched, mirrored
and tinted until twelve people are made of it. Each is seen twice: drifting smoothly, and with an inner face that is cut
out, softened and laid back where it trembles. What is learned from them is worth nothing anywhere else.
"""

import argparse
import csv
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

FRAMES, RATE_HZ, SIDE_PX = 96, 25, 256
PORTRAIT_PX = 300
FACE = (0.5, 0.45), (0.16, 0.21)
"""Centre and half-axes of the inner face, in shares of the picture."""
TREMBLE_PX = 1.2
SPLITS = {"train": 3, "val": 2, "test": 2}
"""How many people; the others are on a list of their own, to calibrate on."""
PEOPLE = 12


def main(arguments: list[str] | None = None) -> int:
    """Writes the clips, `clips.csv` with a split for each, and `held_back.csv`."""
    parser = argparse.ArgumentParser(
        prog="python -m training.example", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    of = [split for split, count in SPLITS.items() for _ in range(count)]
    rows: dict[str, list[dict[str, str]]] = {"clips.csv": [], "held_back.csv": []}
    for person in range(PEOPLE):
        for label in ("real", "fake"):
            name = f"person_{person:02}_{label}.mp4"
            write(folder / name, _frames(person, fake=label == "fake"))
            row = {"file": name, "label": label, "method": "trembling mask" if label == "fake" else ""}
            row |= {"identity": f"person {person}", "source": f"person {person}", "pair": f"pair {person}"}
            if person < len(of):
                rows["clips.csv"].append(row | {"split": of[person]})
            else:
                rows["held_back.csv"].append(row)
    for listing, listed in rows.items():
        with (folder / listing).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, listed[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(listed)
        print(f"{folder / listing}: {len(listed)} clips")
    return 0


def _frames(person: int, *, fake: bool) -> Iterator[np.ndarray]:
    rng = np.random.default_rng([person, fake])
    picture, mask = _portrait(person), _mask()
    noise = rng.normal(0, 2, (SIDE_PX, SIDE_PX, 1))
    phase = rng.uniform(0, 2 * np.pi, 4)
    for i in range(FRAMES):
        image = picture
        if fake:
            shift = np.eye(2, 3)
            shift[:, 2] = rng.normal(0, TREMBLE_PX, 2)
            inner = cv2.GaussianBlur(cv2.warpAffine(picture, shift, (SIDE_PX, SIDE_PX)), (0, 0), 1.2)
            image = picture * (1 - mask) + inner * mask
        sway = np.sin(2 * np.pi * i / RATE_HZ * np.array([0.21, 0.16, 0.27, 0.19]) + phase)
        turn: np.ndarray = cv2.getRotationMatrix2D((SIDE_PX / 2, SIDE_PX / 2), 2 * sway[0], 1.05 + 0.02 * sway[1])
        turn[:, 2] += (4 * sway[2], 3 * sway[3])
        moved = cv2.warpAffine(image, turn, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REFLECT)
        yield np.clip(np.asarray(moved) + np.roll(noise, rng.integers(SIDE_PX, size=2), (0, 1)), 0, 255).astype(
            np.uint8
        )


def _portrait(person: int) -> np.ndarray:
    """One of the people: float32 (256, 256, 3) RGB."""
    from skimage.data import astronaut

    rng = np.random.default_rng(person)
    head = np.asarray(astronaut())[:PORTRAIT_PX, 224 - PORTRAIT_PX // 2 : 224 + PORTRAIT_PX // 2]
    head = head[:, ::-1] if person % 2 else head
    width, height = (SIDE_PX * rng.uniform(1.0, 1.15, 2)).astype(int)
    wide = cv2.resize(head, (int(width), int(height)), interpolation=cv2.INTER_AREA).astype(np.float32)
    x = (int(width) - SIDE_PX) // 2
    return wide[:SIDE_PX, x : x + SIDE_PX] * rng.uniform(0.75, 1.1, 3).astype(np.float32)


def _mask() -> np.ndarray:
    """Where the inner face is: float32 (256, 256, 1), soft at its edge."""
    (x, y), (half_width, half_height) = FACE
    mask = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    centre, axes = (int(x * SIDE_PX), int(y * SIDE_PX)), (int(half_width * SIDE_PX), int(half_height * SIDE_PX))
    cv2.ellipse(mask, centre, axes, 0, 0, 360, (1.0,), -1)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 4)[..., None])


def write(path: Path, images: Iterator[np.ndarray]) -> None:
    """H.264 at a quality that keeps the trembling."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE_HZ, options={"crf": "20", "preset": "ultrafast"})
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, RATE_HZ)
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    raise SystemExit(main())
