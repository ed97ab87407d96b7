"""Both landmark backends keep one contract; FAN is offered only with its weights."""

import hashlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from core.errors import InputError, WeightsError
from core.settings import Settings
from core.weights import load_manifest
from preprocessing import landmarks
from preprocessing.landmarks import LOOK_ROUND_EVERY, SEARCH_EVERY, FaceMesh, landmark_backends, open_landmarks

MANIFEST = load_manifest()


@pytest.fixture(scope="module")
def portrait():
    """A public-domain portrait, 512 x 512, whose face is some 100 px wide."""
    from skimage.data import astronaut

    return astronaut()


def test_facemesh_finds_the_face_and_puts_the_points_where_they_belong(portrait):
    mesh = FaceMesh()
    (face,) = mesh.find(portrait)
    assert mesh.find(np.zeros_like(portrait)) == []
    mesh.close()
    right_eye, left_eye, mouth = (face.landmarks[i].mean(axis=0) for i in (slice(36, 42), slice(42, 48), slice(48, 68)))
    assert right_eye[0] < left_eye[0], "the subject's right eye is on the left of the picture"
    assert mouth[1] > right_eye[1] + 20
    np.testing.assert_allclose(face.box, [*face.landmarks.min(axis=0), *face.landmarks.max(axis=0)])


@pytest.mark.parametrize(("scale", "corner"), [(0.7, (900, 60)), (0.7, (10, 300)), (1.0, (500, 100)), (3.0, (0, 0))])
def test_small_faces_are_found_wherever_they_are(portrait, scale, corner):
    head = cv2.resize(portrait[:300, 100:400], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    frame = np.full((900, 1280, 3), 128, np.uint8)
    frame[corner[1] : corner[1] + head.shape[0], corner[0] : corner[0] + head.shape[1]] = head
    mesh = FaceMesh()
    found = [mesh.find(np.roll(frame, 2 * t, axis=1)) for t in range(5)]
    mesh.close()
    assert [len(faces) for faces in found] == [1] * 5
    nose = np.array([faces[0].landmarks[30] for faces in found])
    np.testing.assert_allclose(nose[0], np.array([125, 125]) * scale + corner, atol=15 * scale)
    np.testing.assert_allclose((nose[4] - nose[0]) / 4, [2.0, 0.0], atol=0.8 * scale)


def test_a_small_person_beside_a_large_one_is_found(portrait):
    frame = np.full((720, 1280, 3), 128, np.uint8)
    head = portrait[:300, 100:400]
    frame[100:580, 100:580] = cv2.resize(head, (480, 480))
    frame[300:510, 900:1110] = cv2.resize(head, (210, 210), interpolation=cv2.INTER_AREA)
    mesh = FaceMesh()
    found = [len(mesh.find(frame)) for _ in range(LOOK_ROUND_EVERY + 5)]
    views = len(mesh._views)
    mesh.close()
    assert found[0] == found[-1] == 2
    assert views == 2, "whoever is followed already needs no close-up"


def test_a_person_who_leaves_the_window_is_found_again(portrait):
    head = cv2.resize(portrait[:300, 100:400], (150, 150), interpolation=cv2.INTER_AREA)
    mesh, found = FaceMesh(), []
    for t in range(60):
        frame = np.full((720, 1280, 3), 128, np.uint8)
        frame[200:350, 8 * t : 8 * t + 150] = head
        found.append(len(mesh.find(frame)))
    mesh.close()
    assert sum(found) >= 60 - 2 * SEARCH_EVERY
    assert found[-1] == 1


def test_several_people_are_found_and_an_unknown_backend_is_refused(portrait):
    mesh = open_landmarks("facemesh", MANIFEST, Settings.from_env({}))
    assert len(mesh.find(np.hstack([portrait, portrait[:, ::-1]]))) == 2
    mesh.close()
    with pytest.raises(InputError, match="choose facemesh or fan"):
        open_landmarks("dlib", MANIFEST, Settings.from_env({}))


def test_fan_is_offered_with_the_reason_why_it_cannot_run(tmp_path):
    settings = Settings.from_env({"TELLTALE_DATA": str(tmp_path)})
    default, fan = landmark_backends(MANIFEST, settings)
    assert (default.name, default.reason) == ("facemesh", None)
    assert "fetch landmarks/fan" in (fan.reason or "")
    with pytest.raises(WeightsError, match="landmarks/fan"):
        open_landmarks("fan", MANIFEST, settings)


def test_fan_loads_the_verified_file_and_looks_where_facemesh_found_a_face(portrait, tmp_path, monkeypatch):
    from face_alignment.models import FAN as Network

    torch.manual_seed(0)
    path = tmp_path / "2DFAN4-11f355bf06.pth.tar"
    torch.save(Network(4).state_dict(), path)
    entry = MANIFEST[landmarks.FAN_WEIGHTS]
    made_up = replace(entry.files[0], sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    manifest = {landmarks.FAN_WEIGHTS: replace(entry, files=(made_up,))}
    settings = Settings.from_env({"TELLTALE_DATA": str(tmp_path / "data"), "TELLTALE_WEIGHTS": str(tmp_path)})
    monkeypatch.setattr(landmarks, "FAN_MIN_SCORE", -np.inf)  # made-up weights are sure of nothing

    fan = open_landmarks("fan", manifest, settings)
    (face,) = fan.find(portrait)
    assert fan.find(np.zeros_like(portrait)) == []
    fan.close()
    mesh = FaceMesh()
    (found,) = mesh.meshes(portrait)
    mesh.close()
    size = np.ptp(found, axis=0).max()
    assert np.all(face.landmarks > found.min(axis=0) - size)
    assert np.all(face.landmarks < found.max(axis=0) + size)
