"""What one face costs in each network, PyTorch as it comes beside our engine: `python -m benchmarks.networks`.

Networks are built without weights, since these make no difference to the time. Absolute times depend on the machine;
the ratios are what the design promises.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from detectors import DETECTORS
from detectors.appearance import Appearance
from detectors.engines import Engine, TorchEngine, cpus, device, limit_threads, open_engine
from detectors.networks import NETWORKS

SHAPES = {
    "xception": (3, 299, 299),
    "capsule": (3, 300, 300),
    "dsp_fwa": (3, 224, 224),
    "laa_net": (3, 384, 384),
    "gend": (3, 224, 224),
    "lipforensics": (1, 25, 88, 88),
    "lipforensics_attention": (1, 25, 88, 88),
}
"""Of one input: a face, or for the last two a clip of 25 mouths."""
BATCHES = (1, 8)
RUNS = 5


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"among {', '.join(SHAPES)}; all by default")
    names = parser.parse_args().networks or list(SHAPES)
    limit_threads()
    print(
        f"ms per input on {device()}, {cpus()} cores, median of {RUNS} runs; batches of {BATCHES[0]} and {BATCHES[1]}\n"
    )
    print(f"{'':24}{'torch eager':>16}{'ours':>16}   ours/torch (budget 0.55)   better batch")
    for name in names:
        eager, ours = _measure(name)
        times = "".join(f"{1000 * taken[batch]:8.1f}" for taken in (eager, ours) for batch in BATCHES)
        ratio = min(ours.values()) / min(eager.values())
        print(f"{name:24}{times}{ratio:13.2f}{min(BATCHES, key=ours.__getitem__):27}", flush=True)


def _measure(name: str) -> tuple[dict[int, float], dict[int, float]]:
    """Seconds per input by batch, eager and ours; all four are interleaved, so that a busy minute hits them alike."""
    network, shape = NETWORKS[name]().eval(), SHAPES[name]
    detector = DETECTORS[name.removesuffix("_attention")]
    assert issubclass(detector, Appearance)
    with tempfile.TemporaryDirectory() as folder:
        ours = open_engine(lambda: detector.load(network.state_dict()), shape, device(), Path(folder) / name)
        engines: list[Engine] = [TorchEngine(network, device(), half=False), ours]
        taken: list[dict[int, list[float]]] = [{batch: [] for batch in BATCHES} for _ in engines]
        for _ in range(1 + RUNS):
            for engine, seconds in zip(engines, taken, strict=True):
                for batch in BATCHES:
                    faces = np.random.default_rng(0).normal(size=(batch, *shape)).astype(np.float32)
                    began = time.perf_counter()
                    engine.run(faces)
                    seconds[batch].append((time.perf_counter() - began) / batch)
    eager_s, ours_s = ({batch: median(runs[1:]) for batch, runs in seconds.items()} for seconds in taken)
    return eager_s, ours_s


if __name__ == "__main__":
    main()
