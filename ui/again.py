"""Run a report again, and see finding by finding what is different now."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
from markupsafe import Markup

from analysis.difference import Change, difference, sum_up
from core.types import Finding, Progress
from plots.style import person_name
from ui.analyze import ANALYSES, bar, refused
from ui.markup import band, bullets, facts, remark, table, titled
from ui.messages import Refusal, number, told
from ui.visit import Desk, Repeated


def again_section(desk: Desk, report_id: gr.State) -> None:
    """A button that runs the report whose id is in `report_id` again, and what comes of it."""
    run = gr.Button("Run again", size="sm", min_width=120)
    shown = gr.HTML()

    def repeat(report_id: str, request: gr.Request) -> Iterator[Markup]:
        for step in told(desk.run_again(report_id, request)):
            match step:
                case Progress():
                    yield bar(step)
                case Refusal():
                    yield refused(step)
                case Repeated():
                    yield difference_view(step)

    run.click(
        repeat,
        report_id,
        shown,
        concurrency_id=ANALYSES,
        concurrency_limit=desk.settings.at_once,
        api_visibility="private",
        show_progress="hidden",
    )
    report_id.change(lambda: "", None, shown, queue=False, api_visibility="private", show_progress="hidden")


def difference_view(repeated: Repeated) -> Markup:
    """What came out beside what had come out."""
    before, after = repeated.before, repeated.after
    columns: dict[str, Callable[[Change], object]] = {
        "Person": lambda change: person_name(change.track_id),
        "Method": lambda change: change.detector,
        "Region": lambda change: change.region,
        "Before": lambda change: _result(change.before),
        "Now": lambda change: _result(change.after),
        "Moved": lambda change: "–" if change.moved is None else f"{change.moved:+.2f}",
        "Weights": lambda change: "the same file" if change.same_weights else _weights(change),
    }
    rows = [[of(change) for of in columns.values()] for change in difference(before, after)]
    both = {
        "Made": (before.created_at, after.created_at),
        "Verdict": tuple(
            band(report.verdict.label)
            + Markup(" {}").format(_number(report.verdict.fake, remark(report.verdict.basis)))
            for report in (before, after)
        ),
        "Telltale": (before.app_version, after.app_version),
        "Device": (before.device, after.device),
        "Report": (before.id, after.id),
    }
    named = {name: was if was == now else Markup("{} → {}").format(was, now) for name, (was, now) in both.items()}
    return Markup("").join(
        [titled("Run again", sum_up(before, after)), bullets(repeated.notes), table(list(columns), rows), facts(named)]
    )


def _result(finding: Finding | None) -> str:
    if finding is None:
        return "no such finding"
    return f"Skipped: {finding.reason}" if finding.status == "skipped" else _number(finding.fake, "")


def _number(fake: float | None, remark: str) -> str:
    return "–" if fake is None else number(fake) + remark


def _weights(change: Change) -> str:
    used: list[Any] = [f.weights for f in (change.before, change.after) if f]
    return " → ".join(f"{weights.id} {weights.sha256[:12]}" if weights else "none" for weights in used)
