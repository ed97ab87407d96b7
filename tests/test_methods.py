"""Training from prepared caches: configs are checked, nothing leaks, a killed run goes on bit for bit, losses fall."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from caches import make_cache, people
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from benchmarks.seeded import golden, seeded_input
from core.errors import InputError
from core.settings import ROOT, Settings
from detectors.base import read_tensors
from detectors.compact import read_model
from detectors.networks import NETWORKS, load_checkpoint
from detectors.networks.laa_net import LAAOutput
from preprocessing.regions import REGIONS
from training import capsule, compact, dsp_fwa, laa_net, lipforensics, loop, lrnet, run, streams, targets, xception
from training.compact_cache import CompactConfig
from training.config import Config, read_config
from training.cues import LOOK
from training.layouts.sample import Sample
from training.prepared import load, look_of
from training.runs import read_run
from training.samples import Crops
from training.splits import hold_back, read_parts
from training.starts import begin

CONFIGS = ROOT / "configs"
METHODS = {
    method.detector: method
    for method in (
        capsule.METHOD,
        dsp_fwa.METHOD,
        laa_net.METHOD,
        lipforensics.METHOD,
        streams.METHOD,
        xception.METHOD,
    )
}


@pytest.fixture(autouse=True)
def stay_at_one_thread(monkeypatch, one_thread):
    monkeypatch.setattr(run, "limit_threads", lambda: None)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    kinds = ("landmarks", "xception", "capsule", "bida", "laa_net_stored", "laa_net_bi_stored", "mouth")
    listed = [*people(8), *people(2, "val", first=8), *people(1, "test", first=10)]
    return make_cache(folder, kinds, listed, frames=1)


@pytest.fixture(scope="module")
def lips(tmp_path_factory) -> Path:
    """Weights of a network that reads lips, or would if anybody had trained it."""
    file = tmp_path_factory.mktemp("start") / "lips.safetensors"
    torch.manual_seed(0)
    save_file(NETWORKS["lipforensics"]().state_dict(), file)
    return file


KINDS = {name: method.config for name, method in METHODS.items()} | {"compact": CompactConfig}


def read(name: str, *changes: str) -> Config:
    file = CONFIGS / f"{name}.yaml"
    return read_config(KINDS[method_of(file)], file, changes)


def method_of(file: Path) -> str:
    """The method that a config is of, by the beginning of its name."""
    return next(method for method in KINDS if file.stem.startswith(method))


@pytest.mark.parametrize("file", sorted(CONFIGS.rglob("*.yaml")), ids=lambda f: f.relative_to(CONFIGS).as_posix())
def test_every_config_that_comes_along_is_one(file):
    config = read_config(KINDS[method_of(file)], file)
    assert config.method == method_of(file)
    assert config.looks_at()
    assert config.out == Path("data/runs") / file.stem


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("epoch=3", "`epoch` is no setting of this method; did you mean `epochs`?"),
        ("data.fames=3", "`data.fames` is no setting of this method; did you mean `frames`?"),
        ("batch=none", "`batch` is 'none'"),
        ("region=eyes", "`region` eyes needs an `input` whose `masked` is true"),
        ("input=xception/unknown", "is no weights id"),
        ("batch", "`batch` changes nothing; write key=value"),
    ],
)
def test_a_setting_that_is_none_is_refused_in_one_sentence(change, said):
    with pytest.raises(InputError) as refused:
        read("xception_ffpp", change).looks_at()
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_config_is_frozen_and_says_only_what_differs_from_the_one_it_is_like(tmp_path):
    (tmp_path / "own.yaml").write_text(f"like: {CONFIGS / 'xception_ffpp.yaml'}\ndata: {{frames: 5}}\n")
    own, base = read_config(xception.METHOD.config, tmp_path / "own.yaml"), read("xception_ffpp")
    assert own.data == base.data.model_copy(update={"frames": 5})
    assert own.optimiser == base.optimiser
    with pytest.raises(ValueError, match="frozen"):
        own.epochs = 3


def test_parts_that_share_a_video_a_pair_or_an_identity_are_refused(tmp_path):
    for bond in ("source", "identity", "pair"):
        listed = [*people(2), *people(1, "val", first=5)]
        listed[-1] = replace(listed[-1], **{bond: getattr(listed[0], bond)})
        make_cache(tmp_path / bond, ["landmarks"], listed)
        data = read("small/lrnet", f"data.cache=[{tmp_path / bond}]").data
        with pytest.raises(InputError, match=f"train and validation share {bond}:"):
            read_parts(data, "landmarks", 0)
    test_too = [*people(2), *people(1, "val", first=5), *people(1, "test", first=1)]
    make_cache(tmp_path / "test", ["landmarks"], test_too)
    with pytest.raises(InputError, match=r"train and test share identity:id1, pair:001, source:001\.mp4"):
        read_parts(read("small/lrnet", f"data.cache=[{tmp_path / 'test'}]").data, "landmarks", 0)


def test_without_a_part_that_validates_whole_groups_are_held_back(tmp_path):
    make_cache(tmp_path, ["landmarks"], people(10))
    prepared = load(tmp_path, "landmarks")
    train, held = hold_back(prepared, 0.2, seed=0)
    assert (len(train), len(held)) == (16, 4)
    assert {p.sample.label for p in held} == {0, 1}
    assert not {b for p in train for b in p.sample.bonds} & {b for p in held for b in p.sample.bonds}


def test_where_everybody_is_swapped_with_everybody_identities_are_held_back(tmp_path):
    names = [f"id{i}" for i in range(6)]
    listed = [Sample(f"real/{n}", Path(n), 0, "train", "genuine", identity=n) for n in names]
    listed += [
        Sample(f"fake/{a}_{b}", Path(a + b), 1, "train", "swap", identity=f"{a}+{b}")
        for a in names
        for b in names
        if a != b
    ]
    make_cache(tmp_path, ["landmarks"], listed, length=2)
    train, held = hold_back(load(tmp_path, "landmarks"), 0.1, seed=0)
    assert {p.sample.label for p in held} == {p.sample.label for p in train} == {0, 1}
    assert not {b for p in train for b in p.sample.bonds} & {b for p in held for b in p.sample.bonds}


@pytest.mark.parametrize("name", ["lrnet", "xception", "capsule", "laa_net_sbi", "dsp_fwa"])
def test_a_method_trains_in_a_small_configuration_and_its_loss_falls(name, cache, tmp_path):
    if name == "dsp_fwa":  # which takes no faces below 193 px, so few must do
        cache = make_cache(tmp_path / "cache", [name], [*people(4), *people(1, "val", first=9)], frames=1)
    trained = train(f"small/{name}", cache, tmp_path)
    for role, history in trained.made_by["history"].items():
        losses = [epoch["loss"] for epoch in history]
        assert len(losses) >= 2
        assert losses[-1] < losses[0], role
    tensors = {role: read_tensors(tmp_path / "out" / file.name) for role, file in trained.files.items()}
    for state in tensors.values():
        load_checkpoint(name.removesuffix("_sbi"), state)  # strictly: every published key, in its shape
    assert {"identity:id0", "identity:id9"} <= set(trained.seen), "who validates has a say too"
    assert not any("10" in bond for bond in trained.seen), "what is to test is not learned from"
    assert list((tmp_path / "out").glob("*/log/events*"))


def test_compact_learns_from_the_cues_of_a_cache(tmp_path):
    assert look_of("cues") == LOOK
    make_cache(tmp_path / "cache", ["cues"], [*people(3), *people(1, "val", first=3)], length=18)
    words = ["--config", str(CONFIGS / "small/compact.yaml"), f"data.cache=[{tmp_path / 'cache'}]"]
    assert compact.main([*words, f"out={tmp_path / 'out'}"]) == 0
    trained = read_run(tmp_path / "out")
    assert trained.made_by["validation_auc"]["entire"] == 1.0
    for region in REGIONS:
        read_model(tmp_path / "out" / trained.files["model"].name, region)


def train(config: str, cache: Path, folder: Path, *changes: str):
    """The record of a run with a config that comes along, on this cache."""
    method = METHODS[method_of(Path(config))]
    words = ["--config", str(CONFIGS / f"{config}.yaml"), f"data.cache=[{cache}]", f"out={folder / 'out'}", *changes]
    assert run.command(method, "", words) == 0
    return read_run(folder / "out")


def test_a_killed_run_goes_on_bit_for_bit(cache, tmp_path):
    changes = ["epochs=30", "epochs_of_differences=1", "accumulate=2", "batch=3", "ema=0.9"]
    words = ["--config", str(CONFIGS / "small/lrnet.yaml"), f"data.cache=[{cache}]", *changes]
    killed = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "training.lrnet", *words, f"out={killed}", "checkpoint_s=0"],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    try:
        stood_at = _wait_for_step(killed / "g1" / "checkpoint.pt", process, 12)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert stood_at["epoch"] < 29, "it was too quick to be killed on its way"
    assert not (killed / "run.json").exists()
    assert lrnet.main([*words, f"out={killed}"]) == 0
    assert lrnet.main([*words, f"out={tmp_path / 'unbroken'}"]) == 0
    resumed, unbroken = (read_run(tmp_path / name) for name in ("killed", "unbroken"))
    assert resumed.files == unbroken.files, "the SHA-256 of the networks differ"
    assert resumed.made_by["history"] == unbroken.made_by["history"]
    last = [torch.load(tmp_path / n / "g1" / "checkpoint.pt", weights_only=True) for n in ("killed", "unbroken")]
    for part in ("network", "mean"):
        assert all(torch.equal(last[0][part][key], last[1][part][key]) for key in last[0][part])


def _wait_for_step(file: Path, process: subprocess.Popen[bytes], step: int) -> dict[str, int]:
    end = time.monotonic() + 400
    while time.monotonic() < end and process.poll() is None:
        if file.exists():
            progress = torch.load(file, weights_only=True)["progress"]
            if progress["step"] >= step:
                return progress
        time.sleep(0.02)
    pytest.fail("no checkpoint was written")


def test_a_backbone_that_stays_must_begin_from_something(cache, tmp_path, capsys):
    words = ["--config", str(CONFIGS / "capsule_nii.yaml"), f"data.cache=[{cache}]", f"out={tmp_path / 'out'}"]
    assert run.command(capsule.METHOD, "", words) == 1
    assert "give `start`" in capsys.readouterr().err
    assert run.command(capsule.METHOD, "", [*words, "start=nowhere.pth"]) == 1
    assert "neither a weights id nor a file" in capsys.readouterr().err


def test_a_run_that_was_begun_otherwise_is_not_gone_on_with(cache, tmp_path, capsys):
    train("small/lrnet", cache, tmp_path, "epochs=1", "epochs_of_differences=1")
    words = ["--config", str(CONFIGS / "small/lrnet.yaml"), f"data.cache=[{cache}]", f"out={tmp_path / 'out'}"]
    assert lrnet.main([*words, "epochs=1", "epochs_of_differences=1", "seed=5"]) == 1
    assert "begun otherwise (seed changed)" in capsys.readouterr().err


def test_what_laa_net_learns_to_draw_equals_the_published_targets():
    published = golden("laa_net_targets")
    for boundary in ("a", "b"):
        seam = published[f"{boundary}_boundary_u8"]
        np.testing.assert_allclose(targets.heatmap(seam), published[f"{boundary}_heatmap"], atol=1e-6)
        np.testing.assert_array_equal(targets.consistency(seam), published[f"{boundary}_consistency_u8"])
    radii = [targets.radius(*sides) for sides in published["radius_hw"]]
    np.testing.assert_allclose(radii, published["radius"], rtol=1e-9)
    nothing = np.zeros((96, 96), np.uint8)
    assert not targets.heatmap(nothing).any()
    assert not targets.consistency(nothing).any()


def test_the_losses_of_laa_net_are_the_published_ones():
    published = golden("laa_net_targets")
    answer = LAAOutput(
        seeded_input("laa_net_cls_pred", (2, 1), -2, 2).double(),
        seeded_input("laa_net_hm_pred", (2, 1, 96, 96), -4, 4).double(),
        seeded_input("laa_net_cst_pred", (2, 256, 96, 96)).double(),
    )
    drawn = {"heatmap": published["a_heatmap"], "consistency": published["a_consistency_u8"] / 255}
    truth = {name: torch.tensor(np.stack([0 * of, of])).double() for name, of in drawn.items()}
    truth["fake"] = torch.tensor([False, True])
    for count, prefix in ((2, "loss_"), (1, "loss_real_only_")):
        some = LAAOutput(*(part[:count] for part in answer))
        found = laa_net.losses(some, {name: of[:count] for name, of in truth.items()}, 10, 100)
        for part, name in (("heatmap", "hm"), ("class", "cls"), ("consistency", "cstency")):
            assert found[part].item() == pytest.approx(float(published[prefix + name]), rel=1e-6), (count, part)


@pytest.mark.parametrize("name", ["laa_net_sbi", "laa_net_bi"])
def test_a_blend_and_what_is_to_be_drawn_of_it_move_together(name, cache):
    config = read(name, f"data.cache=[{cache}]", "data.compressions=null", "augment=[]")
    blends = laa_net.Blends([p for p in load(cache, "laa_net_stored", "train") if not p.sample.label], config)
    genuine, fake = (blends.see(0)["x"][k] for k in (0, 1))
    assert genuine.shape == (3, 384, 384)
    points = blends.see(0)["heatmap"]
    assert points.shape == (2, 96, 96)
    assert not points[0].any()
    assert points[1].max() == 1
    changed = np.abs(genuine - fake).max(axis=0) > 0.02
    near = np.kron(points[1] > 0.3, np.ones((4, 4))) > 0
    assert changed[near].mean() > changed[~near].mean()
    for _ in range(3):
        item = blends.draw(1, np.random.default_rng(4))
        assert item["fake"].tolist() == [bool(of.any()) for of in item["heatmap"]]
    again = [blends.draw(1, np.random.default_rng(5))["x"] for _ in range(2)]
    assert np.array_equal(*again)


def test_a_face_is_levelled_and_mirrored_with_its_landmarks():
    landmarks = golden("sbi_bi")["landmarks"].astype(np.float32)
    turn = cv2.getRotationMatrix2D((127.5, 127.5), 20, 1)
    tilted = (landmarks @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    image = np.zeros((256, 256, 3), np.uint8)
    x, y = np.rint(tilted[30]).astype(int)
    image[y - 2 : y + 3, x - 2 : x + 3] = 255
    level, points = laa_net.levelled(image, tilted)
    assert points[39, 1] == pytest.approx(points[42, 1], abs=1e-3)
    for shown, at in ((level, points), laa_net.mirrored(level, points)):
        x, y = np.rint(at[30]).astype(int)
        assert shown[y, x, 0] > 200
        assert at[39, 0] < at[42, 0], "the right eye stays on the left of the picture"


def test_attention_begins_as_the_network_without_it(lips):
    x = torch.randn(2, 25, 512, generator=torch.Generator().manual_seed(0))
    plain, attentive = (
        lipforensics.build(read(f"small/{name}", "data.cache=[nowhere]", f"start={lips}"), Settings())[0].eval()
        for name in ("lipforensics", "lipforensics_attention")
    )
    with torch.inference_mode():
        one, other = (lipforensics.OnFeatures(network)(x) for network in (plain, attentive))
    torch.testing.assert_close(one.logit, other.logit, rtol=1e-4, atol=0)
    torch.testing.assert_close(other.weights, torch.full((2, 25), 1 / 25))


def test_lipforensics_is_fine_tuned_behind_a_backbone_that_does_not_move(cache, lips, tmp_path):
    trained = train("small/lipforensics_attention", cache, tmp_path, f"start={lips}")
    begun, now = load_file(lips), load_file(tmp_path / "out" / trained.files["model"].name)
    load_checkpoint("lipforensics_attention", now)
    moved = {key for key, tensor in begun.items() if not torch.equal(tensor, now[key])}
    assert "tcn.tcn_output.weight" in moved
    assert not [key for key in moved if key.startswith(lipforensics.BACKBONE)]
    losses = [epoch["loss"] for epoch in trained.made_by["history"]["model"]]
    assert losses[-1] < losses[0]
    assert set(trained.made_by["start"]["model"]["new"]) == {k for k in now if "attention_net" in k}


def test_a_region_is_all_that_is_seen_of_a_face(cache):
    config = read("small/xception", f"data.cache=[{cache}]", "data.frames=1").model_copy(
        update={"region": "mouth", "input": "dsp_fwa/bida-uadfv/entire"}
    )
    prepared = load(cache, "bida", "train")
    item = Crops(prepared, config).see(0)["x"][0]
    black = item == item.min(axis=(1, 2), keepdims=True)
    mask = prepared[0].faces("bida").masks(0)["mouth"]
    assert black.all(axis=0)[~mask].all()
    assert not black.all(axis=0)[mask].any()


def test_a_network_may_begin_from_a_file_with_another_head_and_says_what_is_new(tmp_path):
    imagenet = NETWORKS["xception"]().state_dict()
    imagenet["fc.weight"], imagenet["fc.bias"] = torch.zeros(1000, 2048), torch.zeros(1000)
    del imagenet["last_linear.weight"], imagenet["last_linear.bias"]
    torch.save(imagenet, tmp_path / "imagenet.pth")
    network, start = begin("xception", str(tmp_path / "imagenet.pth"), 0, Settings(), xception.BACKBONE)
    assert start.new == ("last_linear.weight", "last_linear.bias")
    assert torch.equal(
        network.get_parameter("block12.rep.4.pointwise.weight"), imagenet["block12.rep.4.pointwise.weight"]
    )
    del imagenet["conv2.weight"]
    torch.save(imagenet, tmp_path / "imagenet.pth")
    with pytest.raises(InputError, match=r"does not hold the backbone of xception: conv2\.weight is missing"):
        begin("xception", str(tmp_path / "imagenet.pth"), 0, Settings(), xception.BACKBONE)


class Fixed:
    """The same samples over and over, so many times an epoch."""

    def __init__(self, samples: loop.Samples, times: int) -> None:
        self.items = [samples.see(i) for i in range(len(samples.fake))]
        self.fake, self.video = np.tile(samples.fake, times), np.tile(samples.video, times)

    def see(self, i):
        return self.items[i % len(self.items)]

    def draw(self, i, rng):
        return self.see(i)


SEAMS = ["laa_net_stored", 8, "epochs=10", "batch=8", "heatmap_weight=1", "consistency_weight=1"]
"""LAA-Net's two other losses weigh no more than that of the class: at a hundredfold it would come last."""
PICTURES = [
    *("dsp_fwa", 3, "epochs=8", "batch=32", "data.synthesis=null"),
    *("optimiser.rate=3e-5", "schedule=[[0,1],[6,1],[11,0.05]]"),
]
"""DSP-FWA sees all at once, since it is measured by the means of batches; its fakes are other pictures, not warped."""
OVERFIT = {
    "lrnet": ["landmarks", 1, "epochs=12", "epochs_of_differences=12"],
    "lipforensics": ["mouth", 1, "epochs=3"],
    "xception": ["xception", 1, "epochs=12"],
    "capsule": ["capsule", 1, "epochs=12"],
    "dsp_fwa": PICTURES,
    "laa_net_sbi": SEAMS,
    "laa_net_bi": [*SEAMS, "schedule=[[0,1],[7,1],[10,0.1]]"],
}
"""By config: the kind of crops, how often an epoch sees them, and changes."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "lrnet" else [pytest.mark.slow, pytest.mark.timeout(0)])
        for name in OVERFIT
    ],
)
def test_a_network_can_learn_32_samples_by_heart(name, lips, tmp_path):
    kind, times, *changes = OVERFIT[name]
    listed = [*people(16), *people(2, "val", first=16)]  # of two, since a look-alike is somebody else
    cache = make_cache(tmp_path / "cache", ["landmarks", kind], listed, frames=1, length=31)
    changes += [f"data.cache=[{cache}]", f"out={tmp_path}", *([f"start={lips}"] if "lip" in name else [])]
    config = read(f"small/{name}", "ema=null", *changes)
    opened = METHODS[method_of(Path(name))].open(config, Settings())
    for role, stream in opened.streams.items():
        samples = stream.task.train
        assert sum(len(samples.see(i)["fake"]) for i in range(len(samples.fake))) == 32
        for part in stream.task.network.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.momentum = 0.3  # so few steps are too few for its mean to arrive
        task = replace(stream.task, train=Fixed(samples, times), validation=Fixed(samples, 1))
        progress = loop.fit(task, config, tmp_path / role, stream.epochs, lambda network: {})
        assert progress.best.validation_auc == 1.0, role


class Points:
    """Two clouds of points in a plane; every draw adds a little chance."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(count)
        self.fake, self.video = np.arange(count) % 2 == 1, np.arange(count)
        self.x = (rng.normal(0, 1, (count, 2)) + 2 * self.fake[:, None]).astype(np.float32)

    def see(self, i):
        return {"x": self.x[i : i + 1], "fake": self.fake[i : i + 1]}

    def draw(self, i, rng):
        return self.see(i) | {"x": self.x[i : i + 1] + rng.normal(0, 0.1, (1, 2)).astype(np.float32)}


def fit(folder: Path, *changes: str, epochs: int = 3) -> tuple[dict[str, torch.Tensor], loop.Progress]:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    task = loop.Task(
        network=network,
        loss=lambda y, batch: {"loss": functional.binary_cross_entropy_with_logits(y[:, 0], batch["fake"].float())},
        log_odds=lambda y: y[:, 0],
        train=Points(24),
        validation=Points(10),
        backbone=("0.",),
    )
    config = read("small/lrnet", "ema=null", "data.cache=[nowhere]", *changes)
    progress = loop.fit(task, config, folder, epochs, nn.Module.state_dict)
    return {key: tensor.clone() for key, tensor in network.state_dict().items()}, progress


def test_two_batches_for_one_step_are_one_batch_of_twice_the_size(tmp_path):
    once, _ = fit(tmp_path / "once", "batch=12")
    twice, _ = fit(tmp_path / "twice", "batch=6", "accumulate=2")
    for key in once:
        torch.testing.assert_close(once[key], twice[key], atol=1e-6, rtol=0)


def test_processes_that_draw_change_no_draw(tmp_path):
    alone, _ = fit(tmp_path / "alone", epochs=1)
    helped, _ = fit(tmp_path / "helped", "workers=2", epochs=1)
    assert all(torch.equal(alone[key], helped[key]) for key in alone)


def test_a_frozen_backbone_stays_until_it_may_move(tmp_path):
    torch.manual_seed(1)
    begun = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)).state_dict()
    frozen, _ = fit(tmp_path / "frozen", "frozen_epochs=all")
    thawed, _ = fit(tmp_path / "thawed", "frozen_epochs=2")
    assert torch.equal(frozen["0.weight"], begun["0.weight"])
    assert not torch.equal(frozen["1.weight"], begun["1.weight"])
    assert not torch.equal(thawed["0.weight"], begun["0.weight"])


def test_sharpness_changes_the_step_and_leaves_the_weights_where_they_were(tmp_path):
    plain, _ = fit(tmp_path / "plain", epochs=1)
    sharp, _ = fit(tmp_path / "sharp", "optimiser.sharpness=0.05", epochs=1)
    apart = [(plain[key] - sharp[key]).abs().max().item() for key in plain]
    assert 0 < max(apart) < 0.05


def test_training_stops_when_the_auc_no_longer_rises(tmp_path):
    _, progress = fit(tmp_path, "patience=3", "optimiser.rate=1e-9", epochs=50)
    assert len(progress.history) == 4
    assert progress.best.validation_auc == progress.history[0].validation_auc


def test_the_rarer_class_is_drawn_as_often_as_the_other():
    fake = np.arange(20) < 16
    config = read("small/lrnet", "data.balanced=true")
    order = loop.order_of(fake, config, 0)
    assert fake[order].mean() == 0.5
    assert set(order) == set(range(20))
    assert list(order) != list(loop.order_of(fake, config, 1))
