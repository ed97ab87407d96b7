"""Run a report again, and see finding by finding what is different now."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
from gradio.events import Dependency
from markupsafe import Markup

from analysis.difference import Change, difference, sum_up
from core.contract import as_json
from core.types import Finding, Progress
from core.words import say
from plots.style import person_name, region_name
from ui.analyze import bar
from ui.languages import said
from ui.markup import band, bullets, facts, remark, table, titled
from ui.messages import Refusal, number, refused, told
from ui.visit import Desk, Repeated


def again_section(desk: Desk, report_id: gr.State) -> tuple[gr.Button, gr.HTML, Dependency]:
    """A button that runs the report whose id is in `report_id` again, the place of what comes of it, and the run."""
    button = gr.Button(said("again.run"), size="sm", min_width=120, elem_id="case-again")
    shown = gr.HTML(elem_id="again")

    def run_again(report_id: str, request: gr.Request) -> Iterator[Markup]:
        for step in told(desk.run_again(report_id, request)):
            match step:
                case Progress():
                    yield bar(step)
                case Refusal():
                    yield refused(step.sentence)
                case Repeated():
                    yield difference_view(step)

    running = button.click(
        run_again,
        report_id,
        shown,
        concurrency_limit=None,
        api_visibility="private",
        show_progress="hidden",
    )
    return button, shown, running


def difference_view(repeated: Repeated) -> Markup:
    """What came out beside what had come out."""
    before, after = repeated.before, repeated.after
    columns: dict[str, Callable[[Change], object]] = {
        say("again.person"): lambda change: person_name(change.track_id),
        say("again.method"): lambda change: change.detector,
        say("again.region"): lambda change: region_name(change.region),
        say("again.before"): lambda change: _result(change.before),
        say("again.now"): lambda change: _result(change.after),
        say("again.moved"): lambda change: "–" if change.moved is None else f"{change.moved:+.2f}",
        say("again.weights"): lambda change: say("again.same_file") if change.same_weights else _weights(change),
    }
    rows = [[of(change) for of in columns.values()] for change in difference(before, after)]
    both = {
        say("again.made"): tuple(report.created_at[:19].replace("T", " ") for report in (before, after)),
        say("again.verdict"): tuple(
            band(report.verdict.label)
            + Markup(" {}").format(_number(report.verdict.fake, remark(report.verdict.basis)))
            for report in (before, after)
        ),
        "Telltale": (before.app_version, after.app_version),
        say("again.device"): (before.device, after.device),
        say("again.report"): (before.id, after.id),
    }
    named = {name: was if was == now else Markup("{} → {}").format(was, now) for name, (was, now) in both.items()}
    return Markup("").join(
        [
            titled(say("again.title"), sum_up(before, after)),
            bullets(repeated.notes),
            table(list(columns), rows),
            facts(named),
        ]
    )


def as_rows(repeated: Repeated) -> dict[str, Any]:
    """The same for programs: the new report, and `differences` in the order of the earlier one's findings."""
    return {
        "report": as_json(repeated.after),
        "before": repeated.before.id,
        "summary": sum_up(repeated.before, repeated.after),
        "notes": list(repeated.notes),
        "differences": [
            {
                "track_id": change.track_id,
                "detector": change.detector,
                "region": change.region,
                "before": change.before and change.before.fake,
                "after": change.after and change.after.fake,
                "moved": change.moved,
                "differs": change.differs,
                "same_weights": change.same_weights,
            }
            for change in difference(repeated.before, repeated.after)
        ],
    }


def _result(finding: Finding | None) -> str:
    if finding is None:
        return say("again.no_finding")
    if finding.status == "skipped":
        return say("again.skipped", reason=finding.reason)
    return _number(finding.fake, "")


def _number(fake: float | None, remark: str) -> str:
    return "–" if fake is None else number(fake) + remark


def _weights(change: Change) -> str:
    used: list[Any] = [f.weights for f in (change.before, change.after) if f]
    return " → ".join(f"{weights.id} {weights.sha256[:12]}" if weights else "–" for weights in used)
