"""The five regions are a partition of the face, wherever and however the face is turned."""

import numpy as np
import pytest

from benchmarks.seeded import golden
from preprocessing.landmarks import FaceMesh, yaw_deg
from preprocessing.regions import REGIONS, outline, region_masks

SIZE = 256
FACE = golden("lipforensics_crop")["landmarks"][0]
"""An invented face, upright and frontal."""


def turned(landmarks: np.ndarray, *, yaw: float = 0, roll: float = 0) -> np.ndarray:
    """The face on half a ball that is turned, then the picture of it rotated; angles in degrees."""
    middle = landmarks.mean(axis=0)
    points = (landmarks - middle).astype(np.float64)
    yaw, roll = np.radians([yaw, roll])
    depth = np.sqrt(np.maximum(0, 100**2 - points[:, 0] ** 2))
    points[:, 0] = points[:, 0] * np.cos(yaw) + depth * np.sin(yaw)
    return points @ [[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]] + middle


def tight(landmarks: np.ndarray) -> np.ndarray:
    """Takes a square of 256 px to the box of the outline, which distorts it."""
    hull = outline(landmarks)
    low, extent = hull.min(axis=0), np.ptp(hull, axis=0) / SIZE
    return np.array([[extent[0], 0, low[0]], [0, extent[1], low[1]]])


def assert_partition(masks: dict[str, np.ndarray], landmarks: np.ndarray, to_frame: np.ndarray) -> None:
    assert tuple(sorted(masks)) == tuple(sorted(REGIONS))
    parts = np.sum([masks[name] for name in REGIONS if name != "entire"], axis=0)
    np.testing.assert_array_equal(parts, masks["entire"])
    assert all(masks[name].any() for name in REGIONS)
    points = (landmarks - to_frame[:, 2]) @ np.linalg.inv(to_frame[:, :2]).T
    x, y = np.clip(np.rint(points).astype(int), 0, SIZE - 1).T
    assert masks["nose"][y, x][28:31].all()
    assert masks["mouth"][y, x][48:68].mean() > 0.9
    assert masks["eyes"][y, x][36:48].mean() > 0.6


@pytest.mark.parametrize("yaw", [-45, -20, 0, 20, 45])
@pytest.mark.parametrize("roll", [-90, 0, 35, 180])
def test_regions_are_disjoint_make_up_the_face_and_hold_their_landmarks(yaw, roll):
    landmarks = turned(FACE, yaw=yaw, roll=roll)
    to_frame = tight(landmarks)
    assert_partition(region_masks(landmarks, to_frame, SIZE), landmarks, to_frame)


def test_regions_take_the_share_of_the_face_that_the_published_examples_show():
    masks = region_masks(FACE, tight(FACE), SIZE)
    shown = {"entire": (0.80, 0.86), "eyes": (0.19, 0.22), "nose": (0.09, 0.11), "mouth": (0.06, 0.12)}
    for name, (least, most) in shown.items():
        assert least - 0.01 < masks[name].mean() < most + 0.01, name


def test_regions_turn_with_the_face():
    cos, sin = np.cos(0.7), np.sin(0.7)
    turn = np.array([[cos, -sin], [sin, cos]])
    upright = np.array([[0.8, 0, 140], [0, 0.8, 60]])
    before, after = region_masks(FACE, upright, SIZE), region_masks(FACE @ turn.T, turn @ upright, SIZE)
    for name in REGIONS:
        assert (before[name] & after[name]).sum() / (before[name] | after[name]).sum() > 0.99, name


@pytest.mark.shared
def test_regions_fit_real_faces_with_yaw_and_roll(shared):
    import cv2

    mesh, yaws = FaceMesh(), []
    for i, path in enumerate(sorted((shared / "faces" / "lfw").glob("*.jpg"))[:120:8]):
        image = cv2.imread(str(path))[..., ::-1]
        lean = cv2.getRotationMatrix2D((125, 125), (-40, 0, 40)[i % 3], 1.0)
        mesh.reset()
        for face in mesh.find(cv2.warpAffine(image, lean, (250, 250)))[:1]:
            yaws.append(float(yaw_deg(face.landmarks[None])[0]))
            to_frame = tight(face.landmarks)
            assert_partition(region_masks(face.landmarks, to_frame, SIZE), face.landmarks, to_frame)
    mesh.close()
    assert len(yaws) >= 10
    assert min(yaws) < -10
    assert max(yaws) > 10
