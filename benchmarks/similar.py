"""How surely a clip is found again, and how fast: `python -m benchmarks.similar --clips LIST.csv`.

Every clip of the list is looked up by copies of itself: encoded again, scaled, trimmed. On half of the sources it is
looked at from which share on clips should be told of; what the app's share does is told for the other half. Clips of
one source often show the same scene, so what they have in common is no mistake and stands apart. The time is that of
the processor, so that others on the machine do not count; nothing in a look-up runs on a second core.
"""

import argparse
import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from tqdm import tqdm

from core.settings import Settings
from core.types import Frame, Label, Likeness, Options, Report, Verdict, Video
from preprocessing.likeness import Watcher
from preprocessing.video import Tally, decode
from storage import ReportStore, upgrade
from storage.lookup import NEAR_SHARE, STEP_S, Clips
from storage.similar import Similar
from training.clips import Clip, Form, encode, groups, read_clips

CRF_36, HALF = "encoded again, crf 36", "half the width and height, crf 24"
FORMS = {CRF_36: Form(crf=36), HALF: Form(scale=0.5, crf=24)}
TRIMMED = "the middle half of it, crf 36"
COPIES = (CRF_36, HALF, TRIMMED)
FOUND = 0.99
"""Of the copies of those clips that the share is looked for with: it is the highest that still finds so many."""
HASHES = 100_000
ASKED = (24, 120, 600)
"""Hashes of a clip that is looked up: of 12 s, a minute and five minutes where no picture stays for half a second."""
RUNS = 30


@dataclass(frozen=True, slots=True)
class Seen:
    """A clip and its copies; `group` is the same for clips of one source."""

    clip: Clip
    group: int
    length_s: float
    original: Likeness
    copies: Mapping[str, Likeness]


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path, required=True, help="a labelled list, as for benchmarks.evidence")
    clips = read_clips(parser.parse_args().clips)
    settings = Settings.from_env(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        seen = [
            _see(clip, group, Path(folder) / "copy.mp4", settings)
            for clip, group in zip(tqdm(clips, unit="clip"), groups(clips), strict=True)
        ]
        print(recall(seen), end="\n\n")
        print(times([s.original for s in seen], f"sqlite:///{folder}/telltale.db"))


def _see(clip: Clip, group: int, target: Path, settings: Settings) -> Seen:
    tally, copies = Tally(), {}
    original = _watch(decode(clip.path, tally, settings=settings))
    for name, form in FORMS.items():
        encode(clip, form, target, settings, any_rate=True)
        copies[name] = _watch(decode(target, Tally(), settings=settings))
        if name == CRF_36:
            copies[TRIMMED] = _watch(_middle(decode(target, Tally(), settings=settings), tally.end_s))
    return Seen(clip, group, tally.end_s, original, copies)


def _middle(frames: Iterator[Frame], length_s: float) -> Iterator[Frame]:
    for frame in frames:
        if length_s / 4 <= frame.time_s < length_s * 3 / 4:
            yield replace(frame, time_s=frame.time_s - length_s / 4)


def _watch(frames: Iterator[Frame]) -> Likeness:
    watcher = Watcher()
    for _ in watcher.watch(frames):
        pass
    return watcher.likeness()


def recall(seen: Sequence[Seen]) -> str:
    """Which copies are told of, and which other clips, as a table."""
    clips = Clips({str(i): s.original for i, s in enumerate(seen)})
    shares = {name: np.zeros((len(seen), len(seen))) for name in ("itself", *COPIES)}
    for i, s in enumerate(seen):
        for name, likeness in {"itself": s.original, **s.copies}.items():
            for alike in clips.find(likeness, share=0.0):
                shares[name][i, int(alike.name)] = alike.share
    highest = np.max(list(shares.values()), axis=0)
    group, pair = np.array([s.group for s in seen]), np.array([s.clip.pair for s in seen])
    same = group[:, None] == group[None]
    twins = np.triu(same & (pair[:, None] == pair[None]) & (pair != "")[:, None], 1)
    kin = np.triu(same, 1) & ~twins
    rows = {name: (shares[name].diagonal(), np.ones(len(seen), bool)) for name in COPIES}
    rows |= {
        "told to be like one of another source": (np.where(same, 0, highest).max(axis=1), np.ones(len(seen), bool)),
        "with each of another source": (highest, ~same),
        "with its unmanipulated original": (shares["itself"], twins),
        "with each other of the same source": (shares["itself"], kin),
    }
    chosen = group % 2 == 0
    known = np.sort(np.concatenate([shares[name].diagonal()[chosen] for name in COPIES]))
    needed = known[int((1 - FOUND) * len(known))]
    foreign = highest[chosen][~same[chosen]].max()
    return "\n".join(
        [
            f"Of the copies of {chosen.sum()} clips, {FOUND:.0%} share {needed:.2f} or more with their original; none "
            f"shares more than {foreign:.2f} with a clip of another source. Told of are clips that share {NEAR_SHARE} "
            "or more:",
            "",
            f"| told of | {chosen.sum()} clips of {len({*group[chosen]})} sources, chosen by "
            f"| {(~chosen).sum()} clips of {len({*group[~chosen]})} other sources | 95 % interval |",
            "|---|---|---|---|",
            *(
                _line(name, found[chosen][of[chosen]], found[~chosen][of[~chosen]])
                for name, (found, of) in rows.items()
            ),
            "",
            f"Median error of the offset, {TRIMMED}: {_offset_error(clips, seen):.1f} s.",
        ]
    )


def _line(name: str, chosen: np.ndarray, others: np.ndarray) -> str:
    told = int((others >= NEAR_SHARE).sum())
    interval = "{:.3f} to {:.3f}".format(*wilson(told, len(others))) if len(others) else "-"
    return f"| {name} | {(chosen >= NEAR_SHARE).sum()} of {len(chosen)} | {told} of {len(others)} | {interval} |"


def _offset_error(clips: Clips, seen: Sequence[Seen]) -> float:
    errors = []
    for i, s in enumerate(seen):
        offsets = [a.offset_s for a in clips.find(s.copies[TRIMMED]) if a.name == str(i)]
        errors += [abs(offset - s.length_s / 4) for offset in offsets]
    return median(errors)


def wilson(successes: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share, as if the cases were independent."""
    z = 1.96
    spread = z * math.sqrt(successes * (total - successes) / total + z * z / 4)
    middle, scale = successes + z * z / 2, total + z * z
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def times(likenesses: Sequence[Likeness], url: str) -> str:
    """What a look-up takes among `HASHES` that are distributed as those of the clips are, as a table."""
    rng = np.random.default_rng(0)
    hashes = np.concatenate([likeness.hashes for likeness in likenesses])

    def clip(count: int) -> Likeness:
        """Pictures of the clips with a quarter of their bits drawn anew, so that few are alike."""
        changed = np.packbits(rng.random((count, 64)) < 0.125, axis=1)
        return Likeness(
            (STEP_S * np.arange(count)).astype(np.float32), hashes[rng.integers(len(hashes), size=count)] ^ changed
        )

    upgrade(url)
    store, similar = ReportStore(url), Similar(url)
    for n in tqdm(range(HASHES // ASKED[0]), unit="report"):
        store.add(_report(f"{n}", clip(ASKED[0])), owner="")
    rows = []
    for count in ASKED:
        first: list[float] = []
        again: list[float] = []
        for run in range(RUNS):
            id = f"asked-{count}-{run}"
            store.add(_report(id, clip(count)), owner="")
            for taken in (first, again):
                began = time.process_time()
                similar.matches(id)
                taken.append(1000 * (time.process_time() - began))
        rows.append(f"| {count} | {median(again):.0f} | {max(again):.0f} | {median(first):.0f} | {max(first):.0f} |")
    return "\n".join(
        [
            f"ms of one core for a look-up among {HASHES:,} hashes of {HASHES // ASKED[0]:,} reports, median and "
            f"longest of {RUNS}:",
            "",
            "| hashes of the clip | median | longest | median, after a report was added | longest |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


def _report(id: str, likeness: Likeness) -> Report:
    return Report(
        id=id,
        created_at="2026-01-01T00:00:00+00:00",
        app_version="",
        fingerprint=id,
        options=Options(()),
        video=Video(id, "", 0.0, None, 0, 25.0, 64, 64, "", 0),
        verdict=Verdict(Label.NOT_ASSESSED, None, None, 0.0, ""),
        tracks=(),
        findings=(),
        warnings=(),
        timings_s={},
        device="",
        likeness=likeness,
    )


if __name__ == "__main__":
    main()
