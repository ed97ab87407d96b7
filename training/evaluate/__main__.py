"""How well a set of weights tells manipulated from genuine video, frame by frame and as a whole.

    python -m training.evaluate WEIGHTS LIST.csv|CACHE|LAYOUT [ROOT] [--against WEIGHTS] [--sweep [CHANGE ...]]

WEIGHTS is an id, or a set of one id a region. The clips are those of a list, of a data set in its own layout below
ROOT, or of a cache that `training.prepare` filled; of these, the split `test` where they have one. Prints the tables
and stores them as a model card, as JSON and with figures. A killed run goes on where it was.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from core.errors import AppError, InputError
from core.kept import write_json
from core.settings import VERSION, Settings
from core.weights import load_manifest, locate
from detectors import Choice, choices, choose
from training.clips import UNLIMITED
from training.evaluate.card import card, standing, tables
from training.evaluate.data import Subject, read_subjects
from training.evaluate.results import Comparison, Evaluation, as_json, compare, evaluate, label
from training.evaluate.scores import SWEEP, Answers, ask
from training.figures import page, plot_reliability, plot_roc
from training.layouts import LAYOUTS
from training.out_of_fold import ORIGINAL
from training.seen import knew


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", metavar="WEIGHTS", help="an id such as lrnet/telltale")
    parser.add_argument("data", metavar="LIST.csv|CACHE|LAYOUT", help=f"a layout is one of {', '.join(LAYOUTS)}")
    parser.add_argument("root", metavar="ROOT", nargs="?", type=Path, help="of a layout: where the data set lies")
    parser.add_argument("--split", help="train, val, test or all; test by default, where the data has such")
    parser.add_argument("--against", metavar="WEIGHTS", action="append", default=[], help="compared on the same clips")
    parser.add_argument(
        "--sweep", nargs="*", choices=SWEEP, metavar="CHANGE", help=f"also changed: {'; '.join(SWEEP)}; all by default"
    )
    parser.add_argument("--thoroughness", choices=("fast", "standard", "thorough"), default="standard")
    parser.add_argument("--jobs", type=int, default=1, help="processes; each uses all cores by itself")
    parser.add_argument("--out", type=Path, help="folder of the results; below TELLTALE_DATA by default")
    arguments = sys.argv[1:] if arguments is None else arguments
    given = parser.parse_args(arguments)
    try:
        settings = Settings.from_env(os.environ).model_copy(update=UNLIMITED)
        folder = given.out or settings.data / "evaluation" / given.weights.replace("/", "_")
        subjects = read_subjects(given.data, given.root, given.split)
        chosen = _choose(given, settings)
        forms = [ORIGINAL, *(() if given.sweep is None else given.sweep or SWEEP)]
        if len(forms) > 1 and any(subject.prepared for subject in subjects):
            raise InputError("A cache holds faces as they were; for --sweep name the clips that it was made from.")
        answers = ask(
            subjects,
            forms,
            chosen,
            folder / "answers",
            settings,
            thoroughness=given.thoroughness,
            jobs=given.jobs,
        )
        evaluations = _evaluate(subjects, chosen, answers, settings)
    except AppError as error:
        print(error, file=sys.stderr)
        return 1
    made_by = {"command": f"python -m training.evaluate {shlex.join(arguments)}", "app_version": VERSION}
    _store(evaluations, subjects, folder, made_by)
    return 0


def _choose(given: argparse.Namespace, settings: Settings) -> list[Choice]:
    """The sets by what they are called; a detector that wants references is asked by itself, too."""
    offered = choices(load_manifest(), settings)
    chosen = [c for name in (given.weights, *given.against) for c in choose((name,), offered, referenced=True)]
    return list(dict.fromkeys(chosen))


def _evaluate(
    subjects: Sequence[Subject], chosen: Sequence[Choice], answers: dict[str, Answers], settings: Settings
) -> list[Evaluation]:
    labels = label(subjects, answers[ORIGINAL].face_px)
    samples = [subject.sample for subject in subjects]
    known = [knew(c.weights, locate(c.weights, settings), samples) for c in chosen]
    return [evaluate(c.weights, answers, labels, of) for c, of in zip(chosen, known, strict=True)]


def _store(
    evaluations: Sequence[Evaluation], subjects: Sequence[Subject], folder: Path, made_by: dict[str, str]
) -> None:
    first, *others = evaluations
    comparisons: list[Comparison] = [compare(first, other) for other in others]
    fake = first.labels.fake
    figures = [
        plot_roc({one.weights.id: one.raw for one in evaluations}, fake, "ROC of whole videos"),
        plot_reliability({one.weights.id: one.probability for one in evaluations}, fake, "Reliability of whole videos"),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "card.md").write_text(card(evaluations, comparisons, made_by), encoding="utf-8")
    (folder / "evaluation.html").write_text(page(first.weights.id, figures), encoding="utf-8")
    write_json(folder / "evaluation.json", made_by | as_json(evaluations, comparisons, subjects))
    print("\n\n".join([*map(standing, evaluations), tables(evaluations, comparisons)]))
    print(f"\nStored in {folder}: card.md, evaluation.json and figures in evaluation.html")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("Stopped. What is scored stays; give the same command again to go on.")
