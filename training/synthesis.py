"""Fakes made from genuine faces, and the one post-processing that genuine and fake go through alike.

Self-blended images (Shiohara & Yamasaki, CVPR 2022), blending between two faces (Li et al., "Face X-ray", CVPR 2020),
face-warping artefacts (Li & Lyu, CVPRW 2019), a face swap driven by landmarks, and one still image animated by the
landmarks of another clip. Images are RGB uint8 (H, W, 3), landmarks (68, 2) px; every draw comes from the generator
that is given.
"""

from collections.abc import Sequence
from fractions import Fraction
from io import BytesIO

import av
import cv2
import numpy as np
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import ConvexHull

_BROWS = ((17, 0), (18, 36), (19, 37), (20, 38), (21, 39), (22, 42), (23, 43), (24, 44), (25, 45), (26, 16))
_COMPONENTS = (
    (*range(9), 17),
    (*range(8, 17), 26),
    (17, 18, 19, 8),
    (24, 25, 26, 8),
    (*range(19, 25), 8),
    (*range(17, 22), 27, *range(31, 36), 8),
    (*range(22, 27), 27, *range(31, 36), 8),
    tuple(range(27, 36)),
)
MASKS: dict[str, tuple[tuple[int, ...], ...]] = {
    "dfl_full": ((*range(17), *range(48, 68)), (27, 28, 29, 30, 33), (*range(17, 27), 0, 27, 16, 33)),
    "components": _COMPONENTS,
    "extended": _COMPONENTS,
    "facehull": (tuple(range(68)),),
}
"""Each the union of the convex hulls of these points."""
STRENGTHS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
FEATHER = 0.2
"""Of the longer side of a mask's box."""


def face_mask(landmarks: np.ndarray, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """uint8 (H, W), 1 inside the mask of this kind; points are cut to whole pixels."""
    points = landmarks.astype(np.int32)
    if kind == "extended":
        points = _with_raised_brows(points)
    mask = np.zeros(shape[:2], np.uint8)
    for group in MASKS[kind]:
        cv2.fillConvexPoly(mask, cv2.convexHull(points[list(group)]), (1,))
    return mask


def soften(mask: np.ndarray, size: tuple[int, int], kernels: tuple[int, int], sigma: float) -> np.ndarray:
    """SBI's soft erosion and blur, float32 (H, W) in [0, 1].

    Args:
        size: height and width at which it is done, px.
        kernels: odd sides of the two blurs, px.
        sigma: of the second blur, px; the first one's follows from its kernel.
    """
    small = cv2.resize(mask.astype(np.float32), size[::-1])
    inner = cv2.GaussianBlur(small, (kernels[0],) * 2, 0)
    inner[inner < inner.max()] = 0
    soft = cv2.GaussianBlur(inner / inner.max(), (kernels[1],) * 2, sigma) if inner.max() else inner
    return np.asarray(cv2.resize(soft / max(float(soft.max()), 1e-6), mask.shape[::-1]))


def resized_mask(mask: np.ndarray, kernel: int) -> np.ndarray:
    """Grown by a square of this side, or shrunk where it is negative; even sides become the next odd one."""
    square = np.ones((abs(kernel) | 1,) * 2, np.uint8)
    return np.asarray((cv2.dilate if kernel > 0 else cv2.erode)(mask, square))


def feathered(mask: np.ndarray) -> np.ndarray:
    """Face X-ray's weight, float32 (H, W): it rises from the edge of the mask's convex hull inwards."""
    rows, columns = np.nonzero(mask)
    hull = cv2.convexHull(np.stack([columns, rows], axis=1).astype(np.int32))
    filled = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(filled, hull, (1,))
    reach = FEATHER * max(np.ptp(rows) + 1, np.ptp(columns) + 1)
    distance = cv2.distanceTransform(filled, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) - 1
    return np.where(mask > 0, np.clip(distance / reach, 0, 1), 0).astype(np.float32)


def with_colour_of(image: np.ndarray, other: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image with the colours inside the mask shifted such that their means are those of the other, uint8."""
    inside = mask > 0
    shifted = image + (other[inside].mean(axis=0) - image[inside].mean(axis=0))
    return np.where(inside[..., None], np.clip(shifted, 0, 255), image).astype(np.uint8)


def blend(foreground: np.ndarray, background: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """weight x foreground + (1 - weight) x background, cut to whole levels."""
    mixed = weight[..., None] * foreground + (1 - weight[..., None]) * background
    return np.clip(mixed, 0, 255).astype(np.uint8)


def boundary(weight: np.ndarray) -> np.ndarray:
    """4 M (1 - M): 1 where both pictures weigh alike."""
    return 4 * weight * (1 - weight)


def self_blended(
    image: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator, sizes: tuple[int, int] = (192, 256)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """SBI: the genuine partner, the fake, and the weight float32 (H, W); they are equal where it is 0.

    The mask is softened at a height and a width within `sizes`, px.
    """
    source, target = image, image
    if rng.random() < 0.5:
        source = changed_statistics(image, rng)
    else:
        target = changed_statistics(image, rng)
    mask = face_mask(landmarks, str(rng.choice(list(MASKS))), image.shape)
    height, width = mask.shape
    x, y = rng.uniform(-0.03, 0.03) * width, rng.uniform(-0.015, 0.015) * height
    across, down = rng.uniform(0.95, 1 / 0.95, 2)
    move = np.array([[across, 0, x + (1 - across) * width / 2], [0, down, y + (1 - down) * height / 2]])
    source = cv2.warpAffine(source, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
    mask = elastic(cv2.warpAffine(mask.astype(np.float32), move, (width, height)), rng)
    least, most = sizes
    size = (int(rng.integers(least, most + 1)), int(rng.integers(least, most + 1)))
    kernels = (int(rng.integers(2, 13)) * 2 + 1, int(rng.integers(2, 13)) * 2 + 1)
    weight = soften(mask, size, kernels, float(rng.integers(5, 46))) * np.float32(rng.choice(STRENGTHS))
    return target, blend(source, target, weight), weight


def blended(
    foreground: np.ndarray, background: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """BI: a face pasted onto another of the same size and much the same landmarks; the fake, and its weight."""
    mask = face_mask(landmarks, str(rng.choice(list(MASKS))), background.shape)
    grown = resized_mask(mask, int(-rng.integers(1, 22) if rng.random() < 0.5 else rng.integers(1, 6)))
    mask = grown if grown.any() else mask
    weight = feathered(mask)
    return blend(with_colour_of(foreground, background, mask), background, weight), weight


def face_warped(image: np.ndarray, landmarks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """FWA: the face was made at another resolution, blurred, and put back."""
    height, width = image.shape[:2]
    scale = rng.uniform(0.25, 0.7)
    small = cv2.resize(image, (max(8, int(width * scale)), max(8, int(height * scale))), interpolation=cv2.INTER_AREA)
    made = cv2.resize(cv2.GaussianBlur(small, (0, 0), rng.uniform(0.3, 1.0)), (width, height))
    mask = face_mask(landmarks, str(rng.choice(list(MASKS))), image.shape)
    return blend(made, image, cv2.GaussianBlur(mask.astype(np.float32), (0, 0), width / 60))


def swapped(
    source: np.ndarray,
    source_landmarks: np.ndarray,
    target: np.ndarray,
    target_landmarks: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """The source's face, bent to the landmarks of the target and blended into it."""
    bent = bend(source, source_landmarks, target_landmarks, target.shape)
    return blended(bent, target, target_landmarks, rng)[0]


def animated(image: np.ndarray, landmarks: np.ndarray, motion: np.ndarray, *, mouth: bool) -> list[np.ndarray]:
    """One image bent over time, so that its face moves as another does.

    Args:
        motion: landmarks (T, 68, 2) px of the other face; where it is in the picture and how large does not matter.
        mouth: paint teeth and darkness where lips part, as generators do; otherwise what is there is stretched.
    """
    first = motion[0]
    scale = np.linalg.norm(np.ptp(landmarks, axis=0)) / np.linalg.norm(np.ptp(first, axis=0))
    frames = []
    for points in motion:
        moved = landmarks + (points - first) * scale
        frame = bend(image, landmarks, moved, image.shape)
        frames.append(_with_interior(frame, moved) if mouth else frame)
    return frames


def bend(image: np.ndarray, landmarks: np.ndarray, onto: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The image with its landmarks where `onto` has them, triangle by triangle; still far from the face."""
    height, width = shape[:2]
    frame = np.array([(x, y) for x in (0, (width - 1) / 2, width - 1) for y in (0, (height - 1) / 2, height - 1)])
    edge = np.delete(frame, 4, axis=0)
    scale = np.array([image.shape[1] - 1, image.shape[0] - 1]) / (width - 1, height - 1)
    back = LinearNDInterpolator(np.concatenate([onto, edge]), np.concatenate([landmarks, edge * scale]))
    y, x = np.mgrid[0:height:4, 0:width:4]
    coarse = np.nan_to_num(back(np.stack([x, y], axis=-1).astype(np.float64))).astype(np.float32)
    # Samples stand at every fourth pixel's place, so the map is sampled there too and not at the middles of blocks.
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32) / 4, np.arange(height, dtype=np.float32) / 4)
    dense = cv2.remap(coarse, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.remap(image, dense[..., 0], dense[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def changed_statistics(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """SBI's change of one of the two copies: colour, brightness, and either resolution or sharpness."""
    changed = image.astype(np.float32)
    if rng.random() < 0.3:
        changed += rng.uniform(-20, 20, 3).astype(np.float32)
    changed = (changed - 128) * rng.uniform(0.9, 1.1) + 128 + 255 * rng.uniform(-0.1, 0.1)
    changed = np.clip(changed, 0, 255).astype(np.uint8)
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        factor = int(rng.choice((2, 4)))
        small = cv2.resize(changed, (width // factor, height // factor), interpolation=cv2.INTER_NEAREST)
        return np.asarray(cv2.resize(small, (width, height)))
    alpha, lightness = rng.uniform(0.2, 0.5), rng.uniform(0.5, 1)
    kernel = np.full((3, 3), -alpha)
    kernel[1, 1] = 1 - alpha + alpha * (8 + lightness)
    return np.asarray(cv2.filter2D(changed, -1, kernel))


def elastic(mask: np.ndarray, rng: np.random.Generator, alpha: float = 50, sigma: float = 7) -> np.ndarray:
    """A mask bent by a smooth random field."""
    height, width = mask.shape
    dx, dy = (cv2.GaussianBlur(rng.uniform(-1, 1, mask.shape), (0, 0), sigma) * alpha for _ in range(2))
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.asarray(cv2.remap(mask, (x + dx).astype(np.float32), (y + dy).astype(np.float32), cv2.INTER_LINEAR))


def recorded(frames: Sequence[np.ndarray], rng: np.random.Generator, size_px: int) -> list[np.ndarray]:
    """Frames as they come out of one camera and one encoder: scaled, blurred, as JPEG, as H.264; (size_px, size_px).

    Call it for genuine and fake with generators of one seed, and they go through the very same.
    """
    # Whole macroblocks: of other sizes the encoder makes something else from run to run.
    side = max(64, int(size_px * rng.uniform(0.5, 1.2)) // 16 * 16)
    sigma = rng.uniform(0.2, 1.0) if rng.random() < 0.3 else 0.0
    quality = int(rng.integers(50, 96)) if rng.random() < 0.5 else None
    crf = int(rng.integers(18, 35)) if rng.random() < 0.7 else None
    seen = [cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames]
    if sigma:
        seen = [cv2.GaussianBlur(frame, (0, 0), sigma) for frame in seen]
    if quality:
        seen = [as_jpeg(frame, quality) for frame in seen]
    if crf:
        seen = as_h264(seen, crf)
    return [np.asarray(cv2.resize(frame, (size_px, size_px))) for frame in seen]


def as_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def as_h264(frames: Sequence[np.ndarray], crf: int) -> list[np.ndarray]:
    """Frames whose sides are multiples of 16, after an encoder at this quality (higher is worse)."""
    file = BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
        for frame in frames:
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(image))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file, "r") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def _with_raised_brows(points: np.ndarray) -> np.ndarray:
    """Each brow point moves away from the eye by half of its offset from a partner, in whole pixels."""
    left = (points[36] + (points[36] + points[0]) // 2) // 2
    right = (points[45] + (points[45] + points[16]) // 2) // 2
    partners = np.stack([left, *points[36:40], *points[42:46], right])
    raised = points.copy()
    raised[17:27] += (points[17:27] - partners) // 2
    return raised


def _with_interior(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Darkness and a row of teeth between the lips, soft as a generator's; nothing where they are closed."""
    inner = landmarks[60:68]
    open_px = float(landmarks[66, 1] - landmarks[62, 1])
    if open_px < 2 or ConvexHull(inner).volume < 12:
        return image
    mask = np.zeros(image.shape[:2], np.float32)
    cv2.fillPoly(mask, [np.rint(inner).astype(np.int32)], (1.0,))
    depth = (np.arange(image.shape[0])[:, None, None] - landmarks[62, 1]) / open_px
    skin = image[
        np.clip(int(landmarks[30, 1]), 0, len(image) - 1), np.clip(int(landmarks[30, 0]), 0, len(image[0]) - 1)
    ]
    teeth, dark = 0.9 * skin.mean() + np.array([10, 5, 0]), 0.2 * skin + np.array([15, 0, 0])
    inside = np.broadcast_to(np.where(depth < 0.4, teeth, dark), image.shape)
    return blend(cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 1.5), image, cv2.GaussianBlur(mask, (0, 0), 1.0))
