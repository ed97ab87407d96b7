"""The tab Quality: whether people agree, with each other and with the methods, and which thresholds that speaks for."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import gradio as gr
from markupsafe import Markup

from analysis.agreement import (
    MIN_PAIRS,
    Change,
    Pick,
    Rate,
    between_reviewers,
    change,
    confusion,
    months,
    pick,
    with_methods,
)
from core.errors import InputError
from core.people import Role, User
from core.reviewing import Agreement, Bands, Case, Decision
from core.types import Label
from core.words import named, say
from plots import plot_drift
from plots.style import interval
from ui.languages import everywhere, said
from ui.markup import table, titled
from ui.messages import QUICK, Refusal, band_name, friendly, number, percent, refused, tried
from ui.rights import require
from ui.visit import Desk

STRONG, SOME = "strong_signs", "some_signs"


def quality_tab(desk: Desk, *, opened: gr.Tab) -> None:
    """For leads; others are told so."""
    overview = gr.HTML()
    with gr.Column(visible=False) as whole:
        gr.HTML(everywhere(lambda: titled(say("quality.over_time"), say("quality.over_time_hint"))))
        drift = gr.Plot(show_label=False, elem_id="quality-drift")
        gr.HTML(everywhere(lambda: titled(say("quality.pick"), say("quality.pick_hint"))))
        with gr.Row(elem_classes="filters"):
            which = gr.Dropdown(
                [(said(f"bands.{Label.SOME_SIGNS}"), SOME), (said(f"bands.{Label.STRONG_SIGNS}"), STRONG)],
                value=SOME,
                label=said("quality.threshold_of"),
            )
            rate = gr.Number(5, label=said("quality.false_alarms"), minimum=0, maximum=100)
            base = gr.Number(1, label=said("quality.base_rate"), minimum=0, maximum=100)
        with gr.Row(elem_classes="filters"):
            look = gr.Button(said("quality.look"), size="md", variant="primary", elem_id="quality-pick")
            apply = gr.Button(said("quality.apply"), size="md", visible=False, elem_id="quality-apply")
        found = gr.HTML(elem_id="quality-found")
    picked = gr.State(None)

    @friendly
    def assess(request: gr.Request) -> dict[Any, Any]:
        user = tried(lambda: require(desk, request, Role.LEAD))
        if isinstance(user, Refusal):
            return {overview: refused(user.sentence), whole: gr.update(visible=False)}
        cases, bands = desk.reviews.cases(), desk.reviews.bands()
        return {
            overview: agreements(cases, desk.reviews.cases(standing=False), bands),
            whole: gr.update(visible=True),
            drift: plot_drift(months(desk.reviews.scores(), cases, bands.some_signs)),
            found: "",
            apply: gr.update(visible=False),
        }

    @friendly
    def consider(which: str, rate: float | None, base: float | None, request: gr.Request) -> dict[Any, Any]:
        require(desk, request, Role.LEAD)
        cases, bands = desk.reviews.cases(), desk.reviews.bands()

        def choose() -> tuple[Pick, Bands, Markup]:
            choice = pick(cases, _share(rate, say("quality.false_alarms")))
            new = moved(bands, which, choice.threshold)
            old = getattr(bands, which)
            changed = change(cases, old, choice.threshold)
            return choice, new, picked_words(choice, old, changed, _share(base, say("quality.base_rate")))

        outcome = tried(choose)
        if isinstance(outcome, Refusal):
            return {found: refused(outcome.sentence), apply: gr.update(visible=False), picked: None}
        choice, new, words = outcome
        why = f"{which} at {rate:g} % false alarms, on {choice.false_alarms.n} + {choice.found.n} decisions"
        return {found: words, apply: gr.update(visible=True), picked: (new, why)}

    @friendly
    def put_in_force(picked: tuple[Bands, str] | None, request: gr.Request) -> dict[Any, Any]:
        user = require(desk, request, Role.LEAD)
        done = tried(lambda: enforce(desk, user, picked))
        words = refused(done.sentence) if isinstance(done, Refusal) else done
        return {found: words, apply: gr.update(visible=False)}

    opened.select(assess, None, [overview, whole, drift, found, apply], **QUICK)
    look.click(consider, [which, rate, base], [found, apply, picked], **QUICK)
    apply.click(put_in_force, picked, [found, apply], **QUICK)


def enforce(desk: Desk, user: User, picked: tuple[Bands, str] | None) -> Markup:
    """Puts picked thresholds in force, and says so."""
    if picked is None:
        raise InputError(say("quality.pick_first"))
    bands, why = picked
    desk.reviews.apply_bands(user, bands, why)
    edges = {name: f"{edge:g}" for name, edge in asdict(bands).items()}
    return Markup('<p class="done" role="status">{}</p>').format(say("quality.in_force", **edges))


def moved(bands: Bands, which: str, threshold: float) -> Bands:
    """The bands with one threshold moved.

    Raises:
        InputError: it is none of those that can be picked, or the bands would not rise any more.
    """
    if which not in (SOME, STRONG):
        raise InputError(f"There is no threshold called {which!r} to pick; choose {SOME} or {STRONG}.")
    new = replace(bands, **{which: threshold})
    if not new.no_signs <= new.some_signs <= new.strong_signs:
        edges = {name: f"{edge:g}" for name, edge in asdict(bands).items()}
        raise InputError(say("quality.out_of_order", threshold=f"{threshold:g}", **edges))
    return new


def agreements(cases: Sequence[Case], ruled: Sequence[Case], bands: Bands) -> Markup:
    """Kappas, and what people decided of each band; `ruled` are all that anybody decided, also if it does not stand."""
    everyone, by_names = between_reviewers(ruled)
    told = {
        say("quality.each_other"): everyone,
        **{say("quality.two", one=one, other=other): agreed for (one, other), agreed in by_names.items()},
        say("quality.with_methods"): with_methods(cases, bands.some_signs),
        say("quality.blind"): with_methods(cases, bands.some_signs, blind=True),
    }
    hint = say("quality.agree_hint", least=MIN_PAIRS, threshold=f"{bands.some_signs:g}")
    columns = [say("quality.who"), say("quality.pairs"), say("quality.same"), say("quality.kappa")]
    counts, total = confusion(cases), len(cases)
    standing = say("quality.one_standing") if total == 1 else say("quality.standing", count=total)
    heads = [say("queue.methods_say"), *(named("decisions", decision) for decision in Decision)]
    rows = [[band_name(label), *(counts[label][decision] for decision in Decision)] for label in Label]
    return (
        titled(say("quality.agree"), hint)
        + table(columns, [[who, *_agreed(a)] for who, a in told.items()])
        + titled(say("quality.by_band"), standing)
        + table(heads, rows, bands=list(Label))
    )


def picked_words(choice: Pick, old: float, changed: Change, base_rate: float) -> Markup:
    """A threshold, on what it rests, and what it would have changed."""
    low, high = choice.interval
    innocent, least, most = choice.innocent_of_100(base_rate)
    wrong = say("quality.nothing_flagged")
    if innocent == innocent:
        of_100 = {"about": f"{innocent:.0f}", "least": f"{least:.0f}", "most": f"{most:.0f}"}
        wrong = say("quality.of_100", **of_100, base=percent_of(base_rate))
    facts = [
        [say("quality.alarms_found"), _rate(choice.false_alarms)],
        [say("quality.hits_found"), _rate(choice.found)],
        [say("quality.flagged", old=f"{old:g}"), _counts(changed.flagged)],
        [say("quality.cleared", old=f"{old:g}"), _counts(changed.cleared)],
    ]
    rests_on = say(
        "quality.rests_on", low=f"{low:g}", high=f"{high:g}", old=f"{old:g}", n=choice.false_alarms.n + choice.found.n
    )
    return Markup('<p class="picked"><strong>{}</strong> <span class="quiet">({})</span></p><p>{}</p>{}').format(
        f"{choice.threshold:g}", rests_on, wrong, table([say("quality.on_yours"), ""], facts)
    )


def percent_of(share: float) -> str:
    return f"{100 * share:g} %"


def _agreed(agreed: Agreement) -> list[str]:
    if agreed.kappa is None or agreed.interval is None:
        return [str(agreed.n), percent(agreed.share) if agreed.n else "–", say("quality.too_few")]
    return [str(agreed.n), percent(agreed.share), f"{number(agreed.kappa)} ({interval(agreed.interval)})"]


def _rate(rate: Rate) -> str:
    low, high = rate.interval
    shares = {"share": f"{rate.share:.1%}", "low": f"{low:.1%}", "high": f"{high:.1%}"}
    return say("quality.rate", hits=rate.hits, n=rate.n, **shares)


def _counts(counts: Mapping[Decision, int]) -> str:
    told = [
        say("quality.counted", count=count, decision=named("decisions", decision))
        for decision, count in counts.items()
        if count
    ]
    return ", ".join(told) or say("quality.none")


def _share(percentage: float | None, field: str) -> float:
    if percentage is None or not 0 < percentage < 100:
        raise InputError(say("quality.not_a_share", field=field))
    return percentage / 100
