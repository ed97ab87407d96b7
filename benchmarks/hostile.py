"""What becomes of files made to break whoever reads them: `python -m benchmarks.hostile`.

Each file goes through the app's own analysis. It must end in a report or in one sentence; anything else is listed with
the file, which is kept.
"""

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from pathlib import Path

from tqdm import tqdm

from analysis.pipeline import analyze
from core.errors import AppError
from core.settings import Settings
from core.types import Options
from core.weights import load_manifest
from tests.hostile import corpus

HANGS_S = 120
OPTIONS = Options(("lrnet",))
REPORT = "a report"


def main() -> None:
    """Prints the count of each outcome; exits with 1 where there was one that must not be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000, help="how many, the clips as they are among them")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcomes, wrong = run(Path(folder), given.files, given.seed)
    for outcome, number in outcomes.most_common():
        print(f"{number:6}  {outcome}")
    for what in wrong:
        print(f"WRONG   {what}", file=sys.stderr)
    raise SystemExit(bool(wrong))


def run(folder: Path, files: int, seed: int) -> tuple[Counter[str], list[str]]:
    """How often each outcome came, the sentences among them by their own words, and what must not be."""
    outcomes: Counter[str] = Counter()
    wrong = []
    (data := folder / "data").mkdir()
    (clips := folder / "clips").mkdir()
    pool = _pool()
    for what, path in tqdm(corpus(clips, files, seed=seed), total=files, disable=None):
        began = time.monotonic()
        try:
            outcome = pool.submit(outcome_of, path, data).result(HANGS_S)
        except BrokenProcessPool:
            outcome, pool = "a crash of the app", _pool()
        except TimeoutError:
            outcome = "a hang"
            pool.shutdown(wait=False, cancel_futures=True)
            pool = _pool()
        except Exception as error:
            outcome = f"a bug: {type(error).__name__}"
        if outcome.startswith("a ") and outcome != REPORT:
            kept = Path(tempfile.gettempdir()) / f"hostile-{seed}-{path.name}"
            shutil.copy(path, kept)
            wrong.append(f"{outcome} after {time.monotonic() - began:.0f} s: {what}, kept as {kept}")
        outcomes[outcome] += 1
        path.unlink()
    left = [file for file in data.rglob("*") if file.is_file()]
    wrong += [f"a file left behind: {file.relative_to(data)}" for file in left]
    pool.shutdown()
    return outcomes, wrong


def outcome_of(path: Path, data: Path) -> str:
    """`a report`, or the first words of the sentence that says why there is none."""
    try:
        analyze(path, name=path.name, options=OPTIONS, settings=_settings(data), manifest=load_manifest())
    except AppError as sentence:
        return " ".join(str(sentence).split()[:6]) + " …"
    finally:
        # One child is there to stay: the program that readers of files are forked from.
        children = _children("self")
        if len(children) > 1 or any(map(_children, children)):
            raise ChildProcessError("a process was left behind")
    return REPORT


def _children(process: str) -> list[str]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    return [child for task in tasks for child in (task / "children").read_text().split()]


@cache
def _settings(data: Path) -> Settings:
    return Settings.from_env({"TELLTALE_DATA": str(data)})


def _pool() -> ProcessPoolExecutor:
    """Of one process, so that a crash is that of the file at hand."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


if __name__ == "__main__":
    main()
