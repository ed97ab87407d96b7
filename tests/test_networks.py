"""Every network gives the numbers of its authors' code, stage by stage, in torch and, where the app runs it there, in
ONNX Runtime.

`tests/golden` holds those numbers; weights and inputs are drawn from their names (`benchmarks/seeded.py`).
"""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from benchmarks.seeded import golden, seeded_input, seeded_state, seeded_tensor
from detectors import engines
from detectors.engines import has_int8, write_onnx
from detectors.networks import load_checkpoint

Run = Callable[[torch.Tensor], list[np.ndarray]]


class Stages(nn.Module):
    """A network that also returns what some of its parts return, so that these can be exported and compared too."""

    def __init__(self, network: nn.Module, parts: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self.seen: list[torch.Tensor] = []
        for part in parts:
            network.get_submodule(part).register_forward_hook(lambda _part, _inputs, output: self.seen.append(output))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        output = self.network(x)
        outputs = (*self.seen, *(output if isinstance(output, tuple) else (output,)))
        self.seen.clear()
        return outputs


@dataclass(frozen=True)
class Engine:
    """Runs networks in torch or in ONNX Runtime; `tolerance` is an error as below."""

    name: str
    tolerance: float
    folder: Path

    def open(
        self, network: nn.Module, example: torch.Tensor, parts: Sequence[str] = (), free: tuple[int, ...] = (0,)
    ) -> Run:
        """A function that returns what the parts return, in the order in which they run, and then the network.

        `free` are the axes in which the input may differ from the example.
        """
        staged = Stages(network, parts).eval()
        if self.name == "torch":
            return lambda x: [output.numpy() for output in torch.inference_mode()(staged)(x)]
        write_onnx(staged, example, self._file, free)
        return self._load()

    def in_8_bits(self) -> Run:
        """What was opened last, as the app makes it faster; one input at a time."""
        engines._to_int8(self._file)
        return self._load()

    @property
    def _file(self) -> Path:
        return self.folder / "network.onnx"

    def _load(self) -> Run:
        session = onnxruntime.InferenceSession(self._file, providers=["CPUExecutionProvider"])
        return lambda x: session.run(None, {session.get_inputs()[0].name: x.numpy()})

    def run(self, network: nn.Module, x: torch.Tensor, parts: Sequence[str] = ()) -> list[np.ndarray]:
        return self.open(network, x, parts)(x)


TORCH, ONNX = ("torch", 1e-5), ("onnx", 5e-5)


@pytest.fixture(params=[TORCH, ONNX], ids=["torch", "onnx"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with TemporaryDirectory() as folder:  # not pytest's, which would keep gigabytes from run to run
        yield Engine(*request.param, Path(folder))
    gc.collect()  # a network and its hooks hold each other, for gigabytes


State = dict[str, torch.Tensor]


@lru_cache(maxsize=1)
def drawn(name: str) -> State:
    """Seeded weights, which tests that follow each other share and nobody writes into."""
    return seeded_state(name)


def error(ours: np.ndarray, reference: np.ndarray) -> float:
    """The largest difference over the largest reference value."""
    assert ours.shape == reference.shape
    return float(np.abs(ours.astype(np.float64) - reference).max() / np.abs(reference).max())


def stage_error(stages: Sequence[np.ndarray], reference: np.ndarray) -> float:
    """The same over mean, standard deviation and largest value of each stage, against that largest value."""
    ours = [(s.mean(dtype=np.float64), s.std(dtype=np.float64), np.abs(s).max()) for s in stages]
    assert np.shape(ours) == reference.shape
    return float((np.abs(np.array(ours) - reference).max(axis=1) / reference[:, 2]).max())


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def damped(state: State, factor: float) -> State:
    """Every normalisation made weaker: plain seeded weights drive deep networks to logits of up to 1e6."""
    return {key: tensor * factor if key.endswith("running_var") else tensor for key, tensor in state.items()}


@pytest.mark.parametrize("engine", [TORCH], ids=["torch"], indirect=True)
def test_lrnet_equals_its_reference(engine: Engine) -> None:
    reference, network = golden("lrnet_seeded"), load_checkpoint("lrnet", drawn("lrnet"))
    points = seeded_input("lrnet", (4, 60, 136))
    run = engine.open(network, points, ["dense.0", "dense.1"])
    last, residual, logits = run(points)
    *_, difference = run(points.diff(dim=1))
    for name, ours in {
        "gru_h_n": np.stack(np.split(last, 2, axis=1)),
        "residual": residual,
        "logits": logits,
        "probs": softmax(logits),
        "logits_diff": difference,
        "probs_diff": softmax(difference),
    }.items():
        assert error(ours, reference[name]) < engine.tolerance, name


@pytest.mark.parametrize(("weights", "factor"), [("", 1), ("damped_", 3)], ids=["", "damped"])
@pytest.mark.parametrize(
    ("engine", "layout"),
    [(TORCH, "xception"), (TORCH, "xception_ffpp_full"), (TORCH, "xception_deepfakebench"), (ONNX, "xception")],
    ids=["torch", "torch-ffpp_full", "torch-deepfakebench", "onnx"],
    indirect=["engine"],
)
def test_xception_equals_its_reference(engine: Engine, layout: str, weights: str, factor: float) -> None:
    reference, network = golden(layout), load_checkpoint("xception", damped(drawn(layout), factor))
    faces = seeded_input(layout, tuple(reference["input_shape"]))
    *stages, logits = engine.run(network, faces, reference["stage_names"].tolist())
    for name, ours in {
        "logits": logits,
        "logits_f64": logits,
        "prob": softmax(logits),
        "pooled": np.maximum(stages[-1], 0).mean(axis=(2, 3)),
    }.items():
        assert error(ours, reference[weights + name]) < engine.tolerance, name
    assert stage_error(stages, reference[f"{weights}stage_mean_std_absmax"]) < engine.tolerance
    if not weights:
        tempered = softmax(logits * 2.0 ** reference["temper_log2"])
        assert error(tempered, reference["prob_tempered"]) < engine.tolerance


@pytest.mark.parametrize(
    ("weights", "factor", "sides"), [("", 1, (300, 256)), ("amplified_", 32, (300, 256, 200))], ids=["", "amplified"]
)
def test_capsule_equals_its_reference(engine: Engine, weights: str, factor: float, sides: tuple[int, ...]) -> None:
    reference, state, key = golden("capsule"), drawn("capsule"), "routing_stats.route_weights"
    state = state | {key: state[key] * factor}  # squashing crushes the votes of plain seeded weights
    parts = [f"vgg_ext.vgg_1.{n}" for n in (4, 9, 18)] + [f"fea_ext.capsules.0.{n}" for n in (2, 5, 6, 8, 11)]
    faces = {side: seeded_input(f"capsule{size_of(side)}", (2, 3, side, side)) for side in sides}
    run = engine.open(load_checkpoint("capsule", state), faces[300], [*parts, "fea_ext"], free=(0, 2, 3))
    for side in sides:
        size = size_of(side)
        *stages, primary, votes = run(faces[side])
        fake = softmax(votes).mean(axis=1)
        again = softmax(fake)  # as DeepfakeBench and BiDA publish it
        assert error(votes, reference[f"{weights}logits{size}"]) < engine.tolerance
        assert np.abs(fake - reference[f"{weights}prob{size}"]).max() < 1e-6
        if side == 200:
            published = reference[f"{weights}bida_score{size}_index0_double_softmax"]
            assert np.abs(again[:, 0] - published).max() < 1e-6
            continue
        assert error(votes, reference[f"{weights}logits_f64{size}"]) < engine.tolerance
        assert np.abs(fake - reference[f"{weights}prob_f64{size}"]).max() < 1e-6
        assert np.abs(again - reference[f"{weights}prob_double_softmax{size}"]).max() < 1e-6
        if side == 256 and not weights:
            assert np.abs(again[:, 1] - reference["deepfakebench_prob_256"]).max() < 1e-6
        assert error(primary, reference[f"primary{size}"]) < engine.tolerance
        assert stage_error([*stages, primary], reference[f"stage_mean_std_absmax{size}"]) < engine.tolerance


def size_of(side: int) -> str:
    """How the reference's names end for faces of this side."""
    return "" if side == 300 else f"_{side}"


@pytest.mark.parametrize(
    ("weights", "factor", "reach"),
    [("", 1, 1), ("damped_", 2, 1), ("truerange_damped_", 8, 128)],
    ids=["", "damped", "truerange"],
)
def test_dsp_fwa_equals_its_reference(engine: Engine, weights: str, factor: float, reach: float) -> None:
    reference, network = golden("dsp_fwa"), load_checkpoint("dsp_fwa", damped(drawn("dsp_fwa"), factor))
    parts = [f"resnet.resnet.{name}" for name in reference["stage_names"][:-1]] + ["pyramid"]
    *stages, logits = engine.run(network, seeded_input("dsp_fwa", (2, 3, 224, 224), -reach, reach), parts)
    for name, ours in {
        "logits": logits,
        "logits_f64": logits,
        "prob": softmax(logits),
        "spp_first64_of_1x1_2x2_6x6": np.stack([stages[-1][:, n : n + 64] for n in (0, 2048, 10240)], axis=1),
    }.items():
        assert error(ours, reference[weights + name]) < engine.tolerance, name
    assert stage_error(stages, reference[f"{weights}stage_mean_std_absmax"]) < engine.tolerance
    if not weights:
        tempered = softmax(logits * 2.0 ** reference["temper_log2"])
        assert error(tempered, reference["prob_tempered"]) < engine.tolerance


def test_dsp_fwa_reads_faces_of_200_px(engine: Engine) -> None:
    network = load_checkpoint("dsp_fwa", damped(drawn("dsp_fwa"), 2))
    (logits,) = engine.run(network, seeded_input("dsp_fwa_200", (2, 3, 200, 200)))
    assert error(logits, golden("dsp_fwa")["bida200_damped_logits"]) < engine.tolerance


def test_laa_net_equals_its_reference(engine: Engine) -> None:
    reference, network = golden("laa_net"), load_checkpoint("laa_net", drawn("laa_net"))
    noise = seeded_input("laa_net", (2, 3, 384, 384))
    blocks = seeded_input("laa_net_blocks", (2, 3, 12, 12)).repeat_interleave(32, 2).repeat_interleave(32, 3)
    parts = [f"_blocks.{number}" for number in (1, 5, 9, 21, 31)] + ["_bn1"]
    run = engine.open(network, noise, parts)
    for prefix, faces in {"": noise, "blocks_": blocks}.items():
        *stages, head, logit, heatmap, consistency = run(faces)
        stages.append(head * sigmoid(head))
        anchor = heatmap.reshape(2, -1).argmax(axis=1)
        assert anchor.tolist() == reference[f"{prefix}anchor_index"].tolist()
        vectors = consistency.reshape(2, 256, -1)
        similarity = np.stack([v[:, a] @ v / 16 for v, a in zip(vectors, anchor, strict=True)])
        compared = {
            "cls": logit,
            "cls_f64": logit,
            "cls_flip_f64": run(faces.flip(3))[-3],
            "cstency_s": consistency[:, ::16, ::12, ::12],
            "cstency_mean": consistency.mean(axis=(2, 3)),
            "cstency_std": consistency.std(axis=(2, 3)),
            "anchor_similarity_s4": sigmoid(similarity).reshape(2, 96, 96)[:, ::4, ::4],
        }
        compared |= {"hm_s2": heatmap[:, :, ::2, ::2]} if prefix else {"hm": heatmap}
        for level, stage in enumerate(stages[1:], start=2):
            channels, side = stage.shape[1:3]
            compared[f"reduction_{level}_s"] = stage[:, :: channels // 8, :: side // 4, :: side // 4]
        for name, ours in compared.items():
            assert np.abs(ours - reference[prefix + name]).max() < 1e-4, name
        statistics = np.stack([reference[f"{prefix}reduction_{level}_stats"] for level in range(1, 7)])
        assert stage_error(stages, statistics) < 1e-4


def test_lipforensics_equals_its_reference(engine: Engine) -> None:
    reference, network = golden("lipforensics"), load_checkpoint("lipforensics", drawn("lipforensics"))
    mouths = seeded_input("lipforensics", (2, 1, 25, 88, 88))
    run = engine.open(network, mouths, ["frontend3D", "trunk", "tcn.mb_ms_tcn"], free=(0, 2))
    *stages, logit, contributions, weights = run(mouths)
    longer = run(seeded_input("lipforensics_T30", (1, 1, 30, 88, 88)))[-3]
    bias = drawn("lipforensics")["tcn.tcn_output.bias"].item()
    shorter = [contributions[0].sum(), contributions[1, :20].sum() * 25 / 20]
    for name, ours in {
        "logit": logit,
        "logit_f64": logit,
        "logit_T30_f64": longer,
        "logit_lengths_25_20_f64": np.array(shorter)[:, None] + bias,
        "frame_contribution_f64": contributions,
        **lip_samples(stages),
    }.items():
        assert error(ours, reference[name]) < 1e-4, name
    assert stage_error(lip_stages(stages), reference["stats"]) < 1e-4
    assert np.allclose(weights, 1 / 25)


def test_lipforensics_with_attention_equals_its_reference(engine: Engine) -> None:
    name = "lipforensics_attention"
    reference, network = golden(name), load_checkpoint(name, drawn(name))
    mouths = seeded_input("lipforensics", (2, 1, 25, 88, 88))
    parts = ["frontend3D", "trunk", "tcn.mb_ms_tcn", "tcn.attention_net"]
    *stages, scores, logit, contributions, weights = engine.run(network, mouths, parts)
    for name, ours in {
        "logit": logit,
        "logit_f64": logit,
        "attention_scores_f64": scores[:, :, 0],
        "attention_f64": weights,
        "frame_contribution_f64": contributions,
        **lip_samples(stages),
    }.items():
        assert error(ours, reference[name]) < 1e-3, name
    assert stage_error(lip_stages(stages), reference["stats"]) < 1e-4


def lip_stages(stages: list[np.ndarray]) -> list[np.ndarray]:
    """Front end, embedding (B, T, 512) and features (B, 768, T)."""
    frontend, trunk, features = stages
    return [frontend, trunk.mean(axis=(2, 3)).reshape(2, 25, 512), features]


def lip_samples(stages: list[np.ndarray]) -> dict[str, np.ndarray]:
    frontend, embedding, features = lip_stages(stages)
    return {
        "frontend_s": frontend[:, ::8, ::6, ::7, ::7],
        "embedding": embedding[:, ::6, ::4],
        "tcn_s": features[:, ::12, ::3],
    }


@torch.inference_mode()
def test_attention_alone_equals_its_reference_and_without_scores_is_the_mean() -> None:
    reference, state = golden("lipforensics_attention"), drawn("lipforensics_attention")
    network = load_checkpoint("lipforensics_attention", state)
    features = seeded_input("lipforensics_attention_features", (2, 25, 768))
    logit, _, weights = network.tcn.read_out(features)
    for name, ours in {
        "head_scores_f64": network.tcn.attention_net(features).squeeze(2),
        "head_attention_f64": weights,
        "head_context_s": (weights[:, :, None] * features).sum(dim=1)[:, ::16],
        "head_logit_f64": logit,
    }.items():
        assert error(ours.numpy(), reference[name]) < 1e-5, name
    last = {key: state[key] * 0 for key in ("tcn.attention_net.2.weight", "tcn.attention_net.2.bias")}
    logit, *_ = load_checkpoint("lipforensics_attention", state | last)(
        seeded_input("lipforensics", (2, 1, 25, 88, 88))
    )
    assert error(logit.numpy(), reference["logit_zero_scores_f64"]) < 1e-4


def test_gend_equals_its_reference_and_in_8_bits_stays_within_what_half_precision_may_cost(engine: Engine) -> None:
    reference, network = golden("gend"), load_checkpoint("gend", drawn("gend"))
    tower, bias = "feature_extractor.vision_model", network.get_parameter("model.linear.bias").detach().numpy()
    layers = [f"{tower}.encoder.layers.{number}" for number in range(24)]
    norms = [f"{tower}.{name}" for name in ("pre_layrnorm", "post_layernorm")]
    parts = [f"{tower}.embeddings.patch_embedding", f"{tower}.embeddings", norms[0], *layers, norms[1]]
    faces = seeded_input("gend", (2, 3, 224, 224))
    *stages, logits = engine.run(network, faces, parts)
    feature = stages[-1]
    norm = np.linalg.norm(feature, axis=1)

    def scaled(logits: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = (logits - bias) * reference["head_scale"] + bias
        return scaled

    for name, ours in {
        "logits": logits,
        "logits_f64": logits,
        "prob": softmax(logits),
        "feature": feature,
        "feature_norm": norm,
        "feature_f64_sample": feature[:, :64],
        "unit_feature_sample": (feature / norm[:, None])[:, :64],
        "cls_first8": np.stack([tokens[:, 0, :8] for tokens in stages[1:-1]]),
    }.items():
        assert error(ours, reference[name]) < engine.tolerance, name
    strong = scaled(logits)
    for name, ours in {"scaled_logits": strong, "scaled_logits_f64": strong, "scaled_prob": softmax(strong)}.items():
        assert error(ours, reference[name]) < 1e-4, name
    assert stage_error(stages, reference["stage_mean_std_absmax"]) < engine.tolerance
    if engine.name == "onnx" and has_int8():
        run = engine.in_8_bits()
        rounded = np.concatenate([run(face[None])[-1] for face in faces])
        assert (rounded != logits).any()
        np.testing.assert_allclose(softmax(scaled(rounded)), reference["scaled_prob"], atol=2e-2)


@pytest.mark.parametrize(
    "published",
    [
        pytest.param(lambda s: {f"module.{k}": v for k, v in s.items()}, id="saved by data-parallel training"),
        pytest.param(lambda s: {k: v.double() for k, v in s.items()}, id="float64"),
        pytest.param(lambda s: {k: v for k, v in s.items() if "num_batches" not in k}, id="PyTorch 0.4.0"),
        pytest.param(lambda s: {"epoch": 3, "state_dict": s, "optimizer": {}}, id="LAA-Net's container"),
        pytest.param(lambda s: {"model": s}, id="LipForensics' container"),
        pytest.param(lambda s: {"epoch": 3, "net": s}, id="DSP-FWA's container"),
    ],
)
def test_a_checkpoint_may_be_laid_out_as(published: Callable[[State], Mapping[str, Any]]) -> None:
    state = drawn("capsule")
    assert_same(load_checkpoint("capsule", published(state)), load_checkpoint("capsule", state))


def test_xception_may_have_flat_pointwise_weights_and_a_head_called_fc() -> None:
    state = drawn("xception")
    flat = {k.replace("last_linear", "fc"): v.flatten(1) if "pointwise" in k else v for k, v in state.items()}
    assert_same(load_checkpoint("xception", flat), load_checkpoint("xception", state))


def test_capsule_needs_the_trunk_that_its_authors_leave_out_and_takes_it_from_imagenet() -> None:
    state = drawn("capsule")
    alone = {key: tensor for key, tensor in state.items() if not key.startswith("vgg_ext.")}
    with pytest.raises(ValueError, match=r"missing: vgg_ext\.vgg_1\.0\.bias"):
        load_checkpoint("capsule", alone)
    vgg19 = {k.replace("vgg_ext.vgg_1.", "features."): v for k, v in state.items() if k not in alone}
    rest = {key: seeded_tensor(key, (1,)) for key in ("features.19.weight", "features.34.bias", "classifier.6.bias")}
    assert_same(load_checkpoint("capsule", alone | vgg19 | rest), load_checkpoint("capsule", state))


def test_a_file_that_is_not_the_network_is_refused_by_the_names_of_its_tensors() -> None:
    state = seeded_state("lrnet")
    state["dense.4.bias"] = state.pop("dense.3.bias")
    state["hidden_state"] = state["hidden_state"][:1]
    with pytest.raises(
        ValueError, match=r"missing: dense\.3\.bias; unexpected: dense\.4\.bias; of another shape: hidden_state"
    ):
        load_checkpoint("lrnet", state)


def test_attention_is_never_scored_with_stock_weights() -> None:
    with pytest.raises(ValueError, match=r"missing: tcn\.attention_net"):
        load_checkpoint("lipforensics_attention", drawn("lipforensics"))


def assert_same(ours: nn.Module, expected: nn.Module) -> None:
    assert not ours.training
    tensors = expected.state_dict()
    assert ours.state_dict().keys() == tensors.keys()
    for key, tensor in ours.state_dict().items():
        assert tensor.dtype == tensors[key].dtype, key
        assert torch.equal(tensor, tensors[key]), key
