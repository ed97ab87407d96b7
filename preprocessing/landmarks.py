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
"""FaceMesh vertices nearest the iBUG points 0..67. LRNet hardly sees the fixed offset that remains (specs: lrnet)."""


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
    """MediaPipe FaceMesh in video mode with refined (attention) points; the models are in the wheel."""

    def __init__(self) -> None:
        from mediapipe.python.solutions.face_mesh import FaceMesh as Solution  # seconds to import

        self._solution = Solution(static_image_mode=False, max_num_faces=MAX_FACES, refine_landmarks=True)

    def find(self, image: np.ndarray) -> list[Face]:
        return [_face(mesh[IBUG_68]) for mesh in self.meshes(image)]

    def meshes(self, image: np.ndarray) -> list[np.ndarray]:
        """float32 (478, 2) frame px per face. Not rounded: LRNet reads a pixel of jitter as a sign of manipulation."""
        height, width = image.shape[:2]
        found = self._solution.process(image).multi_face_landmarks or []
        return [np.array([(p.x * width, p.y * height) for p in face.landmark], np.float32) for face in found]

    def reset(self) -> None:
        self._solution.reset()

    def close(self) -> None:
        self._solution.close()


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
        boxes = [np.concatenate([m.min(axis=0), m.max(axis=0)]) for m in self._mesh.meshes(image)]
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
    box = np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)])
    return Face(box, landmarks, confidence)


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
