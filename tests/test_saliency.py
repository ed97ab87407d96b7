"""Heat is where it should be: networks are made to answer to a chequered patch, which is then looked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmarks.seeded import seeded_input, seeded_state, seeded_tensor
from detectors.appearance import against
from detectors.engines import one_thread
from detectors.gend import relevance
from detectors.lrnet import POINTS, blobs, without
from detectors.networks import gend, load_checkpoint
from detectors.saliency import places, scaled

FAKE = 1


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    """On a busy machine, small networks take far longer on two threads than on one."""
    with one_thread():
        yield


@dataclass(frozen=True)
class Subject:
    """A network without its last layer, whose tensors are `linear`, for pictures of a side and a patch of another."""

    network: nn.Module
    linear: nn.Linear
    read: Callable[[torch.Tensor], torch.Tensor]
    heat: Callable[[nn.Module, torch.Tensor, Callable[[Any], torch.Tensor]], np.ndarray]
    side_px: int
    patch_px: int

    def learn(self, where: list[tuple[int, int]]) -> None:
        """The last layer calls fake what sets pictures with the patch apart from the one without."""
        plain = self.read(picture(self.side_px))[0]
        seen = torch.cat([self.read(picture(self.side_px, at, self.patch_px)) for at in where]).mean(dim=0) - plain
        seen -= (seen @ plain) / (plain @ plain) * plain
        self.linear.weight.copy_(torch.stack([-seen, seen]))
        self.linear.bias.copy_(torch.tensor([0.5, -0.25]))


def picture(side_px: int, at: tuple[int, int] | None = None, patch_px: int = 0) -> torch.Tensor:
    """(1, 3, side, side): soft slopes of colour, and a chequered patch whose corner is at y, x."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, side_px), torch.linspace(-1, 1, side_px), indexing="ij")
    image = torch.stack([0.4 * x, 0.3 * y, 0.2 * x * y])
    if at is not None:
        step = torch.arange(patch_px) // 4
        image[:, at[0] : at[0] + patch_px, at[1] : at[1] + patch_px] = (step[:, None] + step) % 2 * 2.0 - 1
    return image[None]


def by_gradient(network: nn.Module, image: torch.Tensor, answer: Callable[[Any], torch.Tensor]) -> np.ndarray:
    return places(network, image.numpy(), answer, "cpu")[0]


def xception() -> Subject:
    network = weakened("xception", 3)
    return Subject(
        network, network.last_linear, lambda image: network.features(image).mean(dim=(2, 3)), by_gradient, 160, 48
    )


def dsp_fwa() -> Subject:
    network = weakened("dsp_fwa", 8)
    return Subject(
        network, network.classifier, lambda image: network.pyramid(network.features(image)), by_gradient, 224, 64
    )


def small_gend() -> Subject:
    """Of 4 layers; its tower is told its size by the module, see `subject`."""
    network = gend.GenD().eval().requires_grad_(False)
    network.load_state_dict({k: seeded_tensor(k, tuple(v.shape)) for k, v in network.state_dict().items()})
    return Subject(
        network,
        network.model.linear,
        lambda image: functional.normalize(network.feature_extractor(image)),
        relevance,
        112,
        28,
    )


def weakened(name: str, factor: float) -> Any:
    """Seeded, and weaker where it would otherwise answer out of all proportion."""
    state = {k: v * factor if k.endswith("running_var") else v for k, v in seeded_state(name).items()}
    return load_checkpoint(name, state).requires_grad_(False)


@pytest.fixture(params=[xception, dsp_fwa, small_gend])
def subject(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Subject:
    for name, value in {"WIDTH": 64, "HEADS": 4, "LAYERS": 4, "TOKENS": 65}.items():
        monkeypatch.setattr(gend, name, value)
    subject: Subject = request.param()
    return subject


def answer(output: Any) -> torch.Tensor:
    return against(output, FAKE)


def test_it_is_hottest_on_what_speaks_for_fake_and_hiding_that_lowers_the_score_most(subject: Subject) -> None:
    edge = subject.side_px - subject.patch_px
    corners = [(0, edge), (edge, 0)]
    subject.learn(corners)
    for corner in corners:
        image = picture(subject.side_px, corner, subject.patch_px)
        heat = subject.heat(subject.network, image, answer)
        cell = subject.side_px / len(heat)
        hot, cold = ((np.array(np.unravel_index(at, heat.shape)) + 0.5) * cell for at in (heat.argmax(), heat.argmin()))
        assert np.abs(hot - corner - subject.patch_px / 2).max() < subject.patch_px, "within a cell of the patch"

        def fall(at: np.ndarray, image: torch.Tensor = image) -> float:
            """Of the score, when the picture without the patch is put there."""
            rows, columns = (slice(max(0, int(c) - subject.patch_px // 2), int(c) + subject.patch_px // 2) for c in at)
            hidden = image.clone()
            hidden[:, :, rows, columns] = picture(subject.side_px)[:, :, rows, columns]
            return float(answer(subject.network(image)) - answer(subject.network(hidden)))

        assert fall(hot) > 2 * abs(fall(cold))
        opposite = subject.heat(subject.network, image, lambda output: -answer(output))
        assert scaled(opposite, 1.0)[tuple(np.unravel_index(heat.argmax(), heat.shape))] < 1


@pytest.mark.parametrize("make", [xception, dsp_fwa])
def test_where_the_head_is_linear_all_places_add_up_to_the_log_odds_less_their_bias(
    make: Callable[[], Subject],
) -> None:
    subject = make()
    subject.learn([(0, 0)])
    image = seeded_input("saliency", (1, 3, subject.side_px, subject.side_px))
    bias = float(against(subject.linear.bias, FAKE))
    log_odds = float(answer(subject.network(image)))
    assert log_odds != pytest.approx(bias, rel=0.1)
    assert by_gradient(subject.network, image, answer).sum() == pytest.approx(log_odds - bias, rel=1e-3)


def test_heat_is_as_hot_as_the_score_is_high_and_what_speaks_against_fake_is_cold() -> None:
    heat = scaled(np.array([[4.0, -3.0], [2.0, 0.0]]), 0.6)
    np.testing.assert_allclose(heat, [[0.6, 0], [0.3, 0]], atol=1e-7)
    assert heat.dtype == np.float32
    assert scaled(np.full((2, 2), -1.0), 0.9).tolist() == [[0, 0], [0, 0]]


def test_points_of_a_face_are_hidden_whole_and_each_is_of_one_region() -> None:
    assert sorted(point for points in POINTS.values() for point in points) == list(range(68))
    sequences = np.arange(1, 2 * 30 * 136 + 1, dtype=np.float32).reshape(2, 30, 136)
    hidden = without(sequences, [3])
    assert (hidden[:, :, 6:8] == 0).all()
    np.testing.assert_array_equal(np.delete(hidden, [6, 7], axis=2), np.delete(sequences, [6, 7], axis=2))


def test_a_point_is_a_blob_at_its_place_and_points_against_fake_are_not_drawn() -> None:
    at, strength = np.full((68, 2), 0.5), np.full(68, -1.0)
    at[5], strength[5] = (0.25, 0.75), 2.0
    heat = blobs(at, strength)
    assert np.unravel_index(heat.argmax(), heat.shape) in [(y, x) for y in (35, 36) for x in (11, 12)]
    assert heat.max() == pytest.approx(2.0, rel=0.1)
    assert heat[24, 24] < 0.01
