"""Crops and tensors equal those the published checkpoints were trained on, and lead back to the frame."""

import numpy as np
import pytest
from pydantic import ValidationError

from benchmarks.seeded import golden
from core.types import Face
from preprocessing.alignment import (
    ARCFACE,
    Crop,
    box_like,
    dsp_fwa_boxes,
    ffpp_box,
    gend_alignment,
    letterbox,
    mouth_centre,
    nii_box,
    open_cutter,
    resize,
    similarity,
)
from preprocessing.profile import CropRule, InputProfile, farthest_first, pick

CLASSIC = golden("classic_preprocess")
LAA_NET = golden("laa_net_preproc")
GEND = golden("gend_preproc")
MOUTH = golden("lipforensics_crop")
CLIPS = golden("lipforensics_clips")

HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
INPUTS = {
    "xception_ffpp": {"crop": {"name": "ffpp", "size_px": 299, "margin": 1.3}} | HALF,
    "deepfakebench": {"crop": {"name": "deepfakebench", "size_px": 256, "margin": 1.3, "resize": "cubic"}} | HALF,
    "capsule": {"crop": {"name": "nii", "size_px": 300, "margin": 1.3}} | IMAGENET,
    "bida_torch": {"crop": {"name": "bida", "size_px": 200}, "masked": True, "fake_index": 0} | IMAGENET,
    "bida_keras_nearest": {
        "crop": {"name": "bida", "size_px": 200, "resize": "nearest"},
        "masked": True,
        "mean": [0, 0, 0],
        "std": [1, 1, 1],
    },
    "dsp_fwa": {
        "crop": {"name": "dsp_fwa", "size_px": 224, "views": 10, "resize": "linear"},
        "colour": "bgr",
        "scale": 1,
        "mean": [103.939, 116.779, 123.68],
        "std": [1, 1, 1],
        "fake_index": 0,
    },
    "laa_net": {
        "crop": {
            "name": "laa_net",
            "size_px": 384,
            "margin": 1.5,
            "resize": "linear",
            "stored_px": 256,
            "trim_px": 5,
        },
        "frames": 32,
        "average": "logit",
        "fake_index": 0,
    }
    | HALF,
    "gend": {
        "crop": {"name": "gend", "size_px": 224, "margin": 1.3, "resize": "bicubic"},
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
        "frames": 32,
        "sampling": "farthest",
    },
    "lipforensics": {
        "crop": {"name": "lipforensics", "size_px": 88},
        "colour": "grey",
        "mean": [0.421],
        "std": [0.165],
        "clip_frames": 25,
        "clip_stride": 25,
        "average": "logit",
        "fake_index": 0,
    },
    "canvas": {"crop": {"name": "canvas", "size_px": 128, "margin": 1.1}, "masked": True} | HALF,
}
PROFILES = {name: InputProfile.model_validate(given) for name, given in INPUTS.items()}


def stripes(height: int, width: int) -> np.ndarray:
    """The picture of the classic goldens, in its own order of channels."""
    y, x, c = np.ogrid[:height, :width, :3]
    return ((3 * x + 5 * y + 40 * c + x * y // 16) % 256).astype(np.uint8)


def waves(height: int, width: int, time: int = 0) -> np.ndarray:
    """The picture of LAA-Net's and LipForensics' goldens."""
    y, x, c = np.ogrid[:height, :width, :3]
    wave = ((2 + c) * x + (4 - c) * y + 60 * c + 7 * time) % 512
    return np.where(wave > 255, 511 - wave, wave).astype(np.uint8)


def face(landmarks: np.ndarray) -> Face:
    return Face(np.concatenate([landmarks.min(axis=0), landmarks.max(axis=0)]), landmarks)


def mouths(frames: int, size_px: int) -> tuple[list[Crop], list[int]]:
    """The mouths of the golden's first frames, and how many each push returned."""
    cutter = open_cutter(CropRule(name="lipforensics", size_px=size_px))
    done = [cutter.push(waves(360, 480, t), face(MOUTH["landmarks"][t])) for t in range(frames)]
    done.append(cutter.flush())
    return [crop for frames in done for (crop,) in frames], [len(frames) for frames in done]


def test_ffpp_boxes_slide_at_two_edges_and_shrink_at_the_others_as_published():
    for *box, width, height, x, y, side in CLASSIC["ffpp_bbox_l_t_r_b_W_H_x_y_size"]:
        assert ffpp_box(np.array(box), 1.3, (width, height)) == (x, y, side)


def test_nii_boxes_are_square_by_height_and_cut_off_by_the_frame():
    assert nii_box((300, 220), 221, 1.3, (640, 480)).tolist() == [157, 77, 443, 363]
    assert nii_box((53, 220), 221, 1.3, (640, 480)).tolist() == [0, 77, 196, 363]


def test_dsp_fwa_draws_the_published_boxes():
    for (x1, y1, x2, y2, width, height), *drawn in CLASSIC["dsp_cut_head_cases_then_10_locs"]:
        boxes = dsp_fwa_boxes(np.array([x1, y1, x2, y2]), 10, (width, height))
        np.testing.assert_array_equal(boxes, np.array(drawn)[:, :4])


def test_a_face_too_small_for_dsp_fwa_has_no_crops():
    small = face(np.linspace((50, 50), (57, 90), 68).astype(np.float32))
    assert open_cutter(PROFILES["dsp_fwa"].crop).push(stripes(200, 200), small) == [[]]


def test_deepfakebench_aligns_as_published():
    rule = PROFILES["deepfakebench"].crop
    onto = (ARCFACE / 112 + (rule.margin - 1) / 2) / rule.margin * rule.size_px
    np.testing.assert_allclose(onto, CLASSIC["dfb_align_dst_template_256"], atol=1e-3)
    aligned = similarity(CLASSIC["dfb_align_src_points"], onto)
    np.testing.assert_allclose(aligned, CLASSIC["dfb_align_matrix_2x3"], rtol=1e-5)
    landmarks = np.full((68, 2), 250, np.float32)
    landmarks[[37, 44, 30, 49, 55]] = CLASSIC["dfb_align_src_points"]
    landmarks[[0, 16]] = (220, 240), (400, 240)
    ((crop,),) = open_cutter(rule).push(stripes(480, 640), face(landmarks))
    mapped = CLASSIC["dfb_align_mapped"] @ crop.to_frame[:, :2].T + crop.to_frame[:, 2]
    np.testing.assert_allclose(mapped, CLASSIC["dfb_align_src_points"], atol=1e-3)


@pytest.mark.parametrize("size", ["180", "410"])
@pytest.mark.parametrize(
    "name", ["xception_ffpp", "deepfakebench", "capsule", "dsp_fwa", "bida_torch", "bida_keras_nearest"]
)
def test_a_crop_becomes_the_published_numbers(name, size):
    profile = PROFILES[name]
    image = stripes(*CLASSIC[f"crop_{size}_h_w"])[..., ::-1]
    image = resize(np.ascontiguousarray(image), profile.crop.size_px, profile.crop.size_px, profile.crop.resize)
    (tensor,) = profile.tensor(image[None])
    assert tensor.shape == tuple(CLASSIC[f"crop_{size}_{name}_shape"])
    np.testing.assert_allclose(tensor[:, ::23, ::23], CLASSIC[f"crop_{size}_{name}_sub"], rtol=1e-6, atol=1e-5)
    moments = np.stack([tensor.mean(axis=(1, 2), dtype=float), tensor.std(axis=(1, 2), dtype=float, ddof=1)], axis=1)
    np.testing.assert_allclose(moments, CLASSIC[f"crop_{size}_{name}_mean_std"], atol=1e-5)


def test_laa_net_enlarges_as_published():
    stored, profile = waves(256, 256), PROFILES["laa_net"]
    crop = letterbox(stored[5:-5, 5:-5], 384)
    np.testing.assert_array_equal(crop.image[::8, ::8], LAA_NET["eval_input_u8_s8"])
    back = np.linalg.inv(np.vstack([LAA_NET["eval_matrix"], [0, 0, 1]]))[:2]
    np.testing.assert_allclose(crop.to_frame, back, atol=1e-9)
    tensor = profile.tensor(crop.image[None])
    np.testing.assert_allclose([tensor.mean(), tensor.std()], LAA_NET["eval_tensor_mean_std"], atol=1e-5)

    tall = letterbox(waves(200, 160), 384)
    np.testing.assert_array_equal(tall.image[::8, ::8], LAA_NET["tall_200x160_u8_s8"])
    back = np.linalg.inv(np.vstack([LAA_NET["tall_200x160_matrix"], [0, 0, 1]]))[:2]
    np.testing.assert_allclose(tall.to_frame, back, atol=1e-9)

    larger = resize(stored, 317, 317, "linear")
    np.testing.assert_array_equal(letterbox(larger[18:-18, 18:-18], 384).image[::8, ::8], LAA_NET["bi_eval_281_u8_s8"])
    single = letterbox(larger[60:317, 30:287], 384)
    np.testing.assert_array_equal(single.image[::8, ::8], LAA_NET["single_257_u8_s8"])


@pytest.mark.parametrize("shape", ["150", "224", "410", "300x401"])
def test_gend_resizes_as_published(shape):
    height, _, width = shape.partition("x")
    image = stripes(int(height), int(width or height))
    wide = int(224 * image.shape[1] / image.shape[0])
    square = resize(image, wide, 224, "bicubic")[:, (wide - 224) // 2 :][:, :224]
    (tensor,) = PROFILES["gend"].tensor(square[None])
    np.testing.assert_allclose(tensor[:, ::23, ::23], GEND[f"crop_{shape}_sub"], atol=1e-5)
    moments = np.stack([tensor.mean(axis=(1, 2)), tensor.std(axis=(1, 2))])
    np.testing.assert_allclose(moments, GEND[f"crop_{shape}_mean_std"], atol=1e-5)


@pytest.mark.parametrize("i", range(4))
def test_gend_aligns_as_published_and_drops_an_outlying_point(i):
    import cv2

    alignment = gend_alignment(GEND["align_landmarks"][i], 1.3)
    assert alignment is not None
    aligned, side = alignment
    assert side == GEND["align_size"][i]
    # The robust estimate is refined in steps, so the last digits are free; they move a steep edge by a few levels.
    np.testing.assert_allclose(aligned, GEND["align_matrix"][i], atol=2e-4)
    crop = cv2.warpAffine(stripes(720, 1280), aligned, (side, side))[::17, ::17].astype(int)
    wrong = np.abs(crop - GEND[f"align_{i}_crop_sub"])
    assert wrong.max() <= 8
    assert wrong.mean() < 0.02


def test_the_last_eleven_mouths_share_a_transform_and_each_is_cut_where_published():
    crops, given = mouths(30, 96)
    assert given == [0] * 11 + [1] * 19 + [11]
    for t, crop in enumerate(crops):
        y, x, *_ = MOUTH["box_y0_x0_h_w"][t]
        back = np.linalg.inv(MOUTH["matrix"][t]) @ [[1, 0, x], [0, 1, y], [0, 0, 1]]
        np.testing.assert_allclose(crop.to_frame, back[:2], atol=1e-3)
    np.testing.assert_array_equal(crops[0].image, MOUTH["rgb_00"])
    grey = PROFILES["lipforensics"].model_copy(update={"mean": (0.0,), "std": (1.0,), "clip_frames": None})
    for t in (0, 7, 18, 19, 29):
        (levels,) = grey.tensor(crops[t].image[None]) * 255
        np.testing.assert_array_equal(np.rint(levels[0]), MOUTH[f"gray_{t:02d}"])


def test_the_network_reads_the_middle_of_the_published_mouth():
    np.testing.assert_array_equal(mouths(12, 88)[0][0].image, mouths(12, 96)[0][0].image[4:-4, 4:-4])


def test_mouths_of_a_run_shorter_than_the_window_are_cut_at_its_end():
    crops, given = mouths(5, 96)
    assert given == [0] * 5 + [5]
    np.testing.assert_array_equal(crops[0].to_frame[:, :2], crops[4].to_frame[:, :2])


def test_a_mouth_at_the_edge_is_pushed_inside():
    centres = np.stack([mouth_centre(centre) for centre in MOUTH["clamp_centres_xy"]])
    np.testing.assert_array_equal(centres[:, ::-1] - 48, MOUTH["clamp_box_y0_x0_h_w"][:, :2])


@pytest.mark.shared
@pytest.mark.parametrize("name", ["real", "fake"])
def test_mouth_clips_become_the_published_numbers(shared, name):
    import av

    with av.open(str(shared / "clips" / f"lipforensics_{name}_mouth.avi")) as file:
        crops = np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])
    assert len(crops) == CLIPS[f"{name}_frames"]
    profile = PROFILES["lipforensics"]
    clips = profile.tensor(crops[:, 4:-4, 4:-4])
    assert clips.shape == (12, 1, 25, 88, 88)
    level = 1 / 255 / 0.165
    np.testing.assert_allclose(clips[0, 0, ::6, ::4, ::4], CLIPS[f"{name}_clip0_s"], atol=1.5 * level)
    np.testing.assert_allclose([clips[0].mean(), clips[0].std()], CLIPS[f"{name}_clip0_mean_std"], atol=0.2 * level)
    whole = profile.model_copy(update={"mean": (0.0,), "std": (1.0,), "clip_frames": None}).tensor(crops) * 255
    means = whole.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(means, CLIPS[f"{name}_gray_mean_per_frame"], atol=0.5)


@pytest.mark.parametrize("name", PROFILES)
def test_crops_lead_back_to_where_their_pixels_came_from(name):
    x, y = np.meshgrid(np.arange(256), np.arange(256))
    image = np.stack([x, y, np.zeros_like(x)], axis=-1).astype(np.uint8)
    landmarks = MOUTH["landmarks"][0] - np.float32([112, 72])
    rule = PROFILES[name].crop
    cutter = open_cutter(rule)
    (crops,) = cutter.push(image, face(landmarks)) or cutter.flush()
    assert len(crops) == rule.views
    pixels = np.stack(np.meshgrid(np.arange(rule.size_px), np.arange(rule.size_px)), axis=-1)
    for crop in crops:
        assert crop.image.shape == (rule.size_px, rule.size_px, 3)
        assert crop.image.dtype == np.uint8
        came_from = pixels @ crop.to_frame[:, :2].T + crop.to_frame[:, 2]
        inside = ((came_from > 2) & (came_from < 253)).all(axis=-1)
        assert inside.mean() > 0.5
        off = crop.image[inside][:, :2] - came_from[inside]
        assert np.abs(off).max() < 2
        truncated = 0.5 if name == "lipforensics" else 0
        rounded = 0.5 if name == "canvas" else 0.15  # means of four pixels round halves up, and here most are halves
        np.testing.assert_allclose(off.mean(axis=0) + truncated, 0, atol=rounded)


def test_boxes_of_other_detectors_follow_the_landmarks():
    assert box_like((-0.1, -0.5, 0.1, 0.0), np.float32([100, 200, 200, 300])).tolist() == [90, 150, 210, 300]


def test_frames_are_looked_at_in_the_published_order():
    np.testing.assert_array_equal(farthest_first(10, 10), GEND["frame_order_N10"])
    for count in (100, 301):
        np.testing.assert_array_equal(farthest_first(count, 32), GEND[f"frame_order_N{count}_first32"])
        assert pick(count, 32, "farthest").tolist() == sorted(GEND[f"frame_order_N{count}_first32"])
    even = pick(100, 32, "even")
    assert (len(even), even[0], even[1], even[-1]) == (32, 0, 3, 99)
    assert pick(7, 32, "even").tolist() == pick(7, 32, "farthest").tolist() == list(range(7))


def test_clips_follow_each_other_and_a_rest_is_left_out():
    crops = np.zeros((70, 8, 8, 3), np.uint8) + np.arange(70, dtype=np.uint8)[:, None, None, None]
    profile = PROFILES["lipforensics"].model_copy(update={"mean": (0.0,), "std": (1 / 255,)})
    clips = profile.tensor(crops)
    assert clips.dtype == np.float32
    np.testing.assert_allclose(clips[:, 0, :, 0, 0], np.arange(50).reshape(2, 25), atol=1e-4)
    assert profile.tensor(crops[:24]).shape == (0, 1, 25, 8, 8)


def test_equal_crop_rules_are_one_key_and_other_words_are_refused():
    assert len({PROFILES["xception_ffpp"].crop, CropRule(name="ffpp", size_px=299, margin=1.3)}) == 1
    with pytest.raises(ValidationError, match="padding"):
        InputProfile.model_validate(INPUTS["capsule"] | {"padding": 4})
    with pytest.raises(ValidationError, match="need 1 numbers for grey"):
        InputProfile.model_validate(INPUTS["capsule"] | {"colour": "grey"})
