"""What one face costs in each network, PyTorch as it comes beside our engine: `python -m benchmarks.networks`.

Weights are drawn at random, since they make no difference to the time. Absolute times depend on the machine; the ratios
are what the design promises. A network that is read in 8 bits here has a second row for that. On a machine that others
use, threads that wait for each other tell nothing: there, `taskset -c 0 python -m benchmarks.networks --processor-time`
compares what one core has to do.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn

from benchmarks.seeded import seeded_state
from detectors import DETECTORS
from detectors.appearance import Appearance
from detectors.engines import BATCHES, Engine, TorchEngine, cpus, device, limit_threads, open_engine
from detectors.networks import load_checkpoint

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


@dataclass(frozen=True)
class Row:
    """Seconds per input by batch, run by run, in each engine, and the batch that ours chose when it was exported."""

    name: str
    seconds: tuple[dict[int, list[float]], ...]
    batch: int

    def ratio(self, engine: int) -> float:
        """To eager, each at its better batch: the median over runs, each of which was equally disturbed."""
        ours, eager = (min(self.seconds[n].values(), key=median) for n in (engine, 0))
        return median(a / b for a, b in zip(ours, eager, strict=True))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"among {', '.join(SHAPES)}; all by default")
    parser.add_argument("--bf16", action="store_true", help="also PyTorch in bfloat16, which the app does not use")
    parser.add_argument("--processor-time", action="store_true", help="what the process used, not what passed")
    parser.add_argument("--runs", type=int, default=5, help="after one that warms up; 5 by default")
    given = parser.parse_args()
    limit_threads()
    batches = " and ".join(map(str, BATCHES))
    clock = time.process_time if given.processor_time else time.perf_counter
    print(f"ms per input on {device()}, {cpus()} cores, median of {given.runs} runs; batches of {batches}\n")
    engines = ["torch eager", "ours", *(["torch bf16"] if given.bf16 else [])]
    print(f"{'':24}{''.join(f'{name:>16}' for name in engines)}   ours/torch (budget 0.55)   batch chosen")
    for name in given.networks or SHAPES:
        # In 8 bits too where the app reads it so on this processor.
        for int8 in (False, True) if detector_of(name).runs_on(device()) != device() else (False,):
            row = _measure(name, int8=int8, bf16=given.bf16, runs=given.runs, clock=clock)
            times = "".join(f"{1000 * median(taken[b]):8.1f}" for taken in row.seconds for b in BATCHES)
            print(f"{row.name:24}{times}{row.ratio(1):13.2f}{row.batch:28}", flush=True)


def detector_of(name: str) -> type[Appearance]:
    """The detector that runs the network `name`."""
    detector = DETECTORS[name.removesuffix("_attention")]
    assert issubclass(detector, Appearance)
    return detector


def _measure(name: str, *, int8: bool, bf16: bool, runs: int, clock: Callable[[], float]) -> Row:
    """All engines and batches are interleaved, so that a busy minute hits them alike."""
    state, shape = seeded_state(name), SHAPES[name]
    with tempfile.TemporaryDirectory() as folder:
        ours = open_engine(lambda: detector_of(name).load(state), shape, device(), Path(folder) / "export", int8=int8)
        network = load_checkpoint(name, state)
        engines: list[Engine] = [TorchEngine(network, device(), half=False), ours]
        if bf16:
            engines.append(Bf16Engine(detector_of(name).load(state)))
        taken: list[dict[int, list[float]]] = [{batch: [] for batch in BATCHES} for _ in engines]
        for run in range(1 + runs):
            for engine, seconds in zip(engines, taken, strict=True):
                for batch in BATCHES:
                    faces = np.random.default_rng(0).normal(size=(batch, *shape)).astype(np.float32)
                    began = clock()
                    engine.run(faces)
                    if run:  # the first one warms up
                        seconds[batch].append((clock() - began) / batch)
    return Row(f"{name} in 8 bits" if int8 else name, tuple(taken), ours.batch)


class Bf16Engine:
    """PyTorch in bfloat16 on a CPU, channels last for single frames: what the app could do instead, and does not."""

    batch = 8

    def __init__(self, network: nn.Module) -> None:
        self._network = network.bfloat16()
        if all(weights.dim() < 5 for weights in network.parameters()):
            self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        tensor = torch.tensor(batch, dtype=torch.bfloat16)
        layout = torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
        output = self._network(tensor.contiguous(memory_format=layout))
        return [o.float().numpy() for o in (output if isinstance(output, tuple) else (output,))]


if __name__ == "__main__":
    main()
