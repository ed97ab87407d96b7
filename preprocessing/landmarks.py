"""A frame becomes faces: 68 points each, from MediaPipe FaceMesh or from FAN."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from core.errors import InputError, WeightsError
from core.settings import Settings
from core.types import Face
from core.weights import Weights, locate

MAX_FACES = 5
SEARCH_EVERY = 10
"""While somebody is missing, every tenth frame is searched in pieces."""
LOOK_ROUND_EVERY = 100
"""While nobody is missing, so often others are looked for who are too small to be found beside a larger face."""
SAME_FACE = 0.3
"""Overlap of two boxes that are one face."""
FAN_WEIGHTS = "landmarks/fan"
FAN_MIN_SCORE = 0.1
"""Upstream's bound: below this mean heat the points are not a face."""

# fmt: off
IBUG_68 = np.array([
    127, 234, 93, 132, 58, 172, 150, 176, 152, 400, 379, 397, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
])
# fmt: on
"""FaceMesh vertices nearest the iBUG points 0..67. LRNet hardly sees the fixed offset that remains."""


class LandmarkBackend(Protocol):
    """Finds faces in the frames of one video, in order. Not to be shared between threads or videos."""

    def find(self, image: np.ndarray) -> list[Face]: ...

    def reset(self) -> None:
        """Forget the frames before: the scene has changed."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Backend:
    """A landmark backend as offered to people; `reason` says why it cannot run here."""

    name: str
    title: str
    reason: str | None = None


class FaceMesh:
    """MediaPipe FaceMesh in video mode with refined (attention) points; the models are in the wheel.

    Its own face finder overlooks faces narrower than about an eighth of the picture. Where it finds nobody, the picture
    is searched in pieces, and each person found is followed in a close-up of their own.
    """

    def __init__(self) -> None:
        from mediapipe.python.solutions.face_detection import FaceDetection  # seconds to import

        self._finder = FaceDetection(model_selection=0)
        self._views = [_View(None)]
        self._unsearched = LOOK_ROUND_EVERY

    def find(self, image: np.ndarray) -> list[Face]:
        return [_face(mesh[IBUG_68]) for mesh in self.meshes(image)]

    def meshes(self, image: np.ndarray) -> list[np.ndarray]:
        """float32 (478, 2) frame px per face. Not rounded: LRNet reads a pixel of jitter as a sign of manipulation."""
        by_view = [(view, view.meshes(image)) for view in self._views]
        lost = [view for view, found in by_view if not found]
        found = _once_each([mesh for _, meshes in by_view for mesh in meshes])
        self._unsearched += 1
        if self._unsearched >= (SEARCH_EVERY if lost else LOOK_ROUND_EVERY):
            self._unsearched = 0
            found = self._search(image, found, lost)
        return found[:MAX_FACES]

    def reset(self) -> None:
        self._show([_View(None)])
        self._unsearched = LOOK_ROUND_EVERY

    def close(self) -> None:
        self._show([])
        self._finder.close()

    def _search(self, image: np.ndarray, found: list[np.ndarray], lost: list["_View"]) -> list[np.ndarray]:
        """Close-ups for people nobody looks at yet, in place of those that lost theirs; all faces of this frame."""
        kept = [view for view in self._views if view not in lost]
        for box in self._boxes(image):
            if len(kept) < MAX_FACES and not any(overlap(box, _box(mesh)) > SAME_FACE for mesh in found):
                close_up = _View(_about(box, image.shape))
                together = _once_each(found + close_up.meshes(image))
                if len(together) > len(found):
                    kept.append(close_up)
                    found = together
                else:
                    close_up.close()  # a slip of the finder, or somebody who is followed already
        self._show(kept or [self._views[0] if self._views[0].window is None else _View(None)])
        return found

    def _show(self, views: list["_View"]) -> None:
        for view in self._views:
            if view not in views:
                view.close()
        self._views = views

    def _boxes(self, image: np.ndarray) -> list[np.ndarray]:
        """Boxes (4,) px of faces, in squares as high as the picture and half as high, overlapping by half."""
        height, width = image.shape[:2]
        boxes = []
        for side in (min(height, width), min(height, width) // 2):
            for y in _starts(height, side):
                for x in _starts(width, side):
                    view = np.ascontiguousarray(image[y : y + side, x : x + side])
                    for found in self._finder.process(view).detections or []:
                        box = found.location_data.relative_bounding_box
                        relative = (box.xmin, box.ymin, box.xmin + box.width, box.ymin + box.height)
                        boxes.append(np.array(relative) * side + (x, y, x, y))
        return boxes


class _View:
    """FaceMesh on a fixed window of the picture, x1 y1 x2 y2 px, or on all of it (None).

    Fixed, because the mesh finds a face where it was in the frame before.
    """

    def __init__(self, window: tuple[int, int, int, int] | None) -> None:
        from mediapipe.python.solutions.face_mesh import FaceMesh as Solution

        self.window = window
        faces = MAX_FACES if window is None else 1
        self._solution = Solution(static_image_mode=False, max_num_faces=faces, refine_landmarks=True)

    def meshes(self, image: np.ndarray) -> list[np.ndarray]:
        height, width = image.shape[:2]
        x1, y1, x2, y2 = self.window or (0, 0, width, height)
        view = image if self.window is None else np.ascontiguousarray(image[y1:y2, x1:x2])
        faces = self._solution.process(view).multi_face_landmarks or []
        points = (np.array([(p.x, p.y) for p in face.landmark]) for face in faces)
        return [(p * (x2 - x1, y2 - y1) + (x1, y1)).astype(np.float32) for p in points]

    def close(self) -> None:
        self._solution.close()


def _about(box: np.ndarray, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """A window four faces wide and high, as far as the picture goes."""
    room = 1.5 * (box[2:] - box[:2])
    limits = (shape[1], shape[0])
    x1, y1 = np.clip(box[:2] - room, 0, limits).astype(int).tolist()
    x2, y2 = np.clip(box[2:] + room, 0, limits).astype(int).tolist()
    return x1, y1, x2, y2


def _once_each(meshes: list[np.ndarray]) -> list[np.ndarray]:
    """Without those that close-ups which overlap have both found."""
    once: list[np.ndarray] = []
    for mesh in meshes:
        if not any(overlap(_box(mesh), _box(known)) > SAME_FACE for known in once):
            once.append(mesh)
    return once


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (4,)."""
    width, height = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    common = float(width * height)
    union = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - common
    return common / union if union > 0 else 0.0


def _starts(length: int, side: int) -> list[int]:
    """Where pieces of `side` begin so that they cover `length` and overlap by at least half."""
    count = -(-(length - side) * 2 // side) + 1
    return np.linspace(0, length - side, count).astype(int).tolist()


class FAN:
    """The 2-D face alignment network (Bulat & Tzimiropoulos, ICCV 2017) on the boxes that FaceMesh finds.

    Some hundred times slower than FaceMesh without a GPU.
    """

    def __init__(self, weights: Weights, settings: Settings) -> None:
        import torch
        from face_alignment import FaceAlignment, LandmarksType
        from face_alignment.models import FAN as Network

        path = locate(weights, settings)["fan"]

        class Verified(FaceAlignment):  # type: ignore[misc]
            """Loads the file we verified; the library would fetch one of its own without checking it."""

            def _load_native(self, name: str, size: int, device: str, dtype: torch.dtype) -> torch.nn.Module:
                network = Network(size)
                network.load_state_dict(torch.load(path, map_location=device, weights_only=True))
                return network.to(device, dtype=dtype).eval()

        device = "cuda" if torch.cuda.is_available() else "cpu"
        # Compiling wants a C++ compiler and then fails at the first call, not here; "folder" loads no face detector.
        self._network = Verified(LandmarksType.TWO_D, device=device, face_detector="folder", compile=False)
        self._mesh = FaceMesh()

    def find(self, image: np.ndarray) -> list[Face]:
        boxes = [_box(mesh) for mesh in self._mesh.meshes(image)]
        if not boxes:
            return []
        points, heat, _ = self._network.get_landmarks_from_image(
            image, detected_faces=boxes, return_landmark_score=True, return_bboxes=True
        )
        faces = [_face(p.astype(np.float32), float(np.mean(h))) for p, h in zip(points, heat, strict=True)]
        return [face for face in faces if face.confidence >= FAN_MIN_SCORE]

    def reset(self) -> None:
        self._mesh.reset()

    def close(self) -> None:
        self._mesh.close()


def landmark_backends(manifest: Mapping[str, Weights], settings: Settings) -> list[Backend]:
    """Both backends, the default first; FAN is not ready where its weights are absent."""
    try:
        locate(manifest[FAN_WEIGHTS], settings)
        reason = None
    except WeightsError as error:
        reason = str(error)
    return [Backend("facemesh", "MediaPipe FaceMesh (fast)"), Backend("fan", "FAN (face-alignment, slow)", reason)]


def open_landmarks(name: str, manifest: Mapping[str, Weights], settings: Settings) -> LandmarkBackend:
    """The backend of this name, loaded.

    Raises:
        InputError: there is none of this name.
        WeightsError: its weights are absent.
    """
    if name == "facemesh":
        return FaceMesh()
    if name == "fan":
        return FAN(manifest[FAN_WEIGHTS], settings)
    raise InputError(f"There are no landmarks called {name!r}; choose facemesh or fan.")


def _face(landmarks: np.ndarray, confidence: float = 1.0) -> Face:
    return Face(_box(landmarks), landmarks, confidence)


def _box(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def yaw_deg(landmarks: np.ndarray) -> np.ndarray:
    """How far heads are turned to the side, from landmarks (T, 68, 2); float (T,), positive to the subject's left.

    The nose tip stands halfway between the jaw's edges in a frontal face and meets the nearer one at about 60 degrees;
    good to some ten degrees, which is enough to tell a profile.
    """
    eyes = landmarks[:, 36:48].mean(axis=1) - landmarks[:, 48:68].mean(axis=1)
    across = np.stack([-eyes[:, 1], eyes[:, 0]], axis=1)
    right, left, nose = ((landmarks[:, i] * across).sum(axis=1) for i in (2, 14, 30))
    share = (2 * nose - right - left) / np.where(left == right, 1, left - right)
    return np.degrees(np.arcsin(np.clip(share, -1, 1) * math.sin(math.radians(60))))
