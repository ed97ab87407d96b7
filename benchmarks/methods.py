"""Writes `docs/methods.md`, one row for each method, with the times of `benchmarks.networks`:

    python -m benchmarks.networks > times.txt && python -m benchmarks.methods times.txt

Parity is measured: the golden numbers in `tests/golden` were made by the authors' own code on weights drawn from their
names, and our networks answer the same inputs with the same weights. Inputs, weights and terms are read from the
manifest, weaknesses from the cards.
"""

import argparse
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.networks import detector_of
from benchmarks.seeded import golden, seeded_input, seeded_state
from core.settings import ROOT
from core.weights import Weights, load_manifest
from detectors import DETECTORS
from detectors.engines import OnnxEngine, TorchEngine, limit_threads, open_engine
from detectors.networks import load_checkpoint
from preprocessing.profile import InputProfile

DOCUMENT = ROOT / "docs" / "methods.md"


@dataclass(frozen=True)
class Method:
    """What the golden of a network holds: `output` for these weights, `stronger` where the plain ones saturate."""

    title: str
    input: str
    shape: tuple[int, ...]
    output: str
    stronger: Mapping[str, float]
    weights: str
    reach: float = 1.0


METHODS = {
    "lrnet": Method("LRNet", "lrnet", (4, 60, 136), "logits", {}, "lrnet"),
    "lipforensics": Method("LipForensics", "lipforensics", (2, 1, 25, 88, 88), "logit_f64", {}, "lipforensics/ffpp"),
    "lipforensics_attention": Method(
        "LipForensics with attention", "lipforensics", (2, 1, 25, 88, 88), "logit_f64", {}, "lipforensics/attention"
    ),
    "laa_net": Method("LAA-Net", "laa_net", (2, 3, 384, 384), "cls_f64", {}, "laa_net"),
    "xception": Method("Xception", "xception", (2, 3, 299, 299), "damped_logits_f64", {"running_var": 3}, "xception"),
    "capsule": Method("Capsule", "capsule", (2, 3, 300, 300), "amplified_logits_f64", {"route_weights": 32}, "capsule"),
    "dsp_fwa": Method(
        "DSP-FWA", "dsp_fwa", (2, 3, 224, 224), "truerange_damped_logits_f64", {"running_var": 8}, "dsp_fwa", 128
    ),
    "gend": Method("GenD", "gend", (2, 3, 224, 224), "logits_f64", {}, "gend"),
}
"""By the network's name; the weights of each are those of the manifest whose ids begin so."""

COLUMNS = (
    *("method", "parity, PyTorch", "parity, as run on a CPU", "what it looks at", "weights, terms"),
    *("ms, PyTorch", "ms, ours", "known weaknesses"),
)
HEAD = f"""# Methods

One row for each method, written by `python -m benchmarks.methods`.

**Parity** is the largest difference between our network's answer and that of the authors' own code on the same inputs
and with the same weights, drawn from their names, over the largest answer: in PyTorch, and in the form in which it runs
on a CPU. `pytest tests/test_networks.py` holds every stage of every network against the authors' numbers. **ms** are
for one face, or one clip of 25 mouths, on two cores that others used as well; how they were measured is in
[performance](performance.md). How well the published weights recognise manipulation here was not measured, except for
LRNet's ([model card](../detectors/bundled/lrnet.md)).

Compact, our own, is no network, and Texture, our own too, is a small one; there are no published numbers to hold them
against. Their cards ([Compact](../detectors/bundled/compact.md), [Texture](../detectors/bundled/texture.md)) say what
they look at and what they are worth.

| {" | ".join(COLUMNS)} |
|{"---|" * len(COLUMNS)}
"""
MEASURED = (5, 6)
"""The columns that differ from machine to machine."""


def main() -> None:
    """Writes the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("times", type=Path, help="what `python -m benchmarks.networks` printed")
    times = read_times(parser.parse_args().times.read_text(encoding="utf-8"))
    limit_threads()
    DOCUMENT.write_text(document([row(name, parity(name), times) for name in METHODS]), encoding="utf-8")


def document(lines: list[str]) -> str:
    return HEAD + "\n".join(lines) + "\n"


def read_times(table: str) -> dict[str, tuple[float, float]]:
    """ms in PyTorch and in ours, each at its better batch, by the name of the row."""
    rows = re.findall(r"^(\w+(?: in 8 bits)?) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+) ", table, re.MULTILINE)
    return {name: (min(map(float, ms[:2])), min(map(float, ms[2:]))) for name, *ms in rows}


def row(name: str, errors: tuple[str, str], times: Mapping[str, tuple[float, float]]) -> str:
    """One line of the table; where there are no times they are dashes."""
    method = METHODS[name]
    ours = [times[n] for n in (name, f"{name} in 8 bits") if n in times]
    cells = [
        f"**{method.title}**",
        *errors,
        looks_at(name),
        terms(method),
        f"{ours[0][0]:.0f}" if ours else "-",
        ", in 8 bits ".join(f"{ms:.0f}" for _, ms in ours) or "-",
        DETECTORS[name.removesuffix("_attention")].card.limits,
    ]
    return f"| {' | '.join(cells)} |"


def parity(name: str) -> tuple[str, str]:
    """Our error in PyTorch and in the CPU's engine, as the table words it."""
    method = METHODS[name]
    state = seeded_state(name)
    for end, factor in method.stronger.items():
        state |= {key: tensor * factor for key, tensor in state.items() if key.endswith(end)}
    inputs = seeded_input(method.input, method.shape, -method.reach, method.reach).numpy()
    reference = golden("lrnet_seeded" if name == "lrnet" else name)[method.output]

    def error(engine: TorchEngine | OnnxEngine) -> str:
        answers = np.concatenate([engine.run(one[None])[0] for one in inputs])
        return f"{np.abs(answers - reference).max() / np.abs(reference).max():.0e}"

    eager = error(TorchEngine(load_checkpoint(name, state), "cpu", half=False))
    if name == "lrnet":  # runs in PyTorch on a CPU, too
        return eager, eager
    detector = detector_of(name)
    ours = []
    for int8 in (False, True) if detector.int8 else (False,):
        with tempfile.TemporaryDirectory() as folder:
            engine = open_engine(
                lambda: detector.load(state), method.shape[1:], "cpu", Path(folder) / "export", int8=int8
            )
            assert isinstance(engine, OnnxEngine)
            ours.append(error(engine))
    return eager, ", in 8 bits ".join(ours)


def looks_at(name: str) -> str:
    """The input profiles of its weights in words."""
    if name == "lrnet":
        return "68 calibrated landmarks of every frame, blocks of 30, two networks"
    profiles = {in_words(InputProfile.model_validate(weights.input)): None for weights in weights_of(METHODS[name])}
    return "; or ".join(profiles)


def in_words(profile: InputProfile) -> str:
    crop = profile.crop
    views = f"{crop.views} crops" if crop.views > 1 else "crop"
    margin = f" of {crop.margin:g} times the face" if crop.margin != 1 else ""
    taken = (
        f"clips of {profile.clip_frames} frames, {profile.clip_stride} apart"
        if profile.clip_frames
        else f"at most {profile.frames} frames"
        if profile.frames
        else "frames spread over the person"
    )
    masked = ", black outside the region" if profile.masked else ""
    return f"{views} by the rule `{crop.name}`{margin}, {crop.size_px} px, {profile.colour}{masked}; {taken}"


def terms(method: Method) -> str:
    """Sets of weights by licence."""
    sets: dict[str, dict[str, None]] = {}
    for weights in weights_of(method):
        bound = "" if weights.commercial_use else ", no commercial use"
        sets.setdefault(f"{weights.licence}{bound}", {})["/".join(weights.id.split("/")[:2])] = None
    return "; ".join(f"{', '.join(f'`{id}`' for id in ids)}: {licence}" for licence, ids in sets.items())


def weights_of(method: Method) -> list[Weights]:
    return [w for w in load_manifest().values() if f"{w.id}/".startswith(f"{method.weights}/")]


if __name__ == "__main__":
    main()
