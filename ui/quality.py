"""The tab Quality: whether people agree, with each other and with the methods, and which thresholds that speaks for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from plots import plot_drift
from ui.languages import said
from ui.markup import table, titled
from ui.messages import DECISIONS, QUICK, Refusal, band_name, friendly, number, percent, refused, tried
from ui.rights import require
from ui.visit import Desk

STRONG, SOME = "strong_signs", "some_signs"

CAVEAT = (
    "All of this rests on what your own reviewers decided: on clips that somebody chose to send here, and mostly with "
    "the scores in view. It says how the desk works, and is no measurement of the methods."
)


def quality_tab(desk: Desk, *, opened: gr.Tab) -> None:
    """For leads; others are told so."""
    overview = gr.HTML()
    with gr.Column(visible=False) as whole:
        gr.HTML(
            titled(
                "Over time",
                "By month: the median score of all that was analysed, with its middle half; and how far decisions "
                "agree with the flag at the threshold of some signs.",
            )
        )
        drift = gr.Plot(show_label=False, elem_id="quality-drift")
        gr.HTML(
            titled(
                "Pick a threshold",
                "The lowest at which no more than the chosen share of clips decided as not manipulated is flagged.",
            )
        )
        with gr.Row(elem_classes="filters"):
            which = gr.Dropdown(
                [(said(f"bands.{Label.SOME_SIGNS}"), SOME), (said(f"bands.{Label.STRONG_SIGNS}"), STRONG)],
                value=SOME,
                label="Threshold of",
            )
            rate = gr.Number(5, label="False alarms allowed, in percent", minimum=0, maximum=100)
            base = gr.Number(
                1, label="Manipulated among all that arrive, in percent: your estimate", minimum=0, maximum=100
            )
        with gr.Row(elem_classes="filters"):
            look = gr.Button("Show what it would change", size="md", variant="primary", elem_id="quality-pick")
            apply = gr.Button("Put it in force", size="md", visible=False, elem_id="quality-apply")
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
            choice = pick(cases, _share(rate, "false alarms"))
            new = moved(bands, which, choice.threshold)
            old = getattr(bands, which)
            said = picked_words(choice, old, change(cases, old, choice.threshold), _share(base, "manipulated clips"))
            return choice, new, said

        outcome = tried(choose)
        if isinstance(outcome, Refusal):
            return {found: refused(outcome.sentence), apply: gr.update(visible=False), picked: None}
        choice, new, said = outcome
        why = f"{which} at {rate:g} % false alarms, on {choice.false_alarms.n} + {choice.found.n} decisions"
        return {found: said, apply: gr.update(visible=True), picked: (new, why)}

    @friendly
    def put_in_force(picked: tuple[Bands, str] | None, request: gr.Request) -> dict[Any, Any]:
        user = require(desk, request, Role.LEAD)
        done = tried(lambda: enforce(desk, user, picked))
        said = refused(done.sentence) if isinstance(done, Refusal) else done
        return {found: said, apply: gr.update(visible=False)}

    opened.select(assess, None, [overview, whole, drift, found, apply], **QUICK)
    look.click(consider, [which, rate, base], [found, apply, picked], **QUICK)
    apply.click(put_in_force, picked, [found, apply], **QUICK)


def enforce(desk: Desk, user: User, picked: tuple[Bands, str] | None) -> Markup:
    """Puts picked thresholds in force, and says so."""
    if picked is None:
        raise InputError("Pick a threshold first.")
    bands, why = picked
    desk.reviews.apply_bands(user, bands, why)
    return Markup(
        '<p class="done" role="status">In force for analyses from now on: no signs below {}, some signs from {}, '
        "strong signs from {}. Reports that were made keep their verdicts.</p>"
    ).format(*(f"{edge:g}" for edge in (bands.no_signs, bands.some_signs, bands.strong_signs)))


def moved(bands: Bands, which: str, threshold: float) -> Bands:
    """The bands with one threshold moved.

    Raises:
        InputError: it is none of those that can be picked, or the bands would not rise any more.
    """
    if which not in (SOME, STRONG):
        raise InputError(f"There is no threshold called {which!r} to pick; choose {SOME} or {STRONG}.")
    new = replace(bands, **{which: threshold})
    if not new.no_signs <= new.some_signs <= new.strong_signs:
        raise InputError(
            f"At {threshold:g} the bands would not rise any more: no signs below {bands.no_signs:g}, some signs from "
            f"{bands.some_signs:g}, strong signs from {bands.strong_signs:g}. Allow another share of false alarms."
        )
    return new


def agreements(cases: Sequence[Case], ruled: Sequence[Case], bands: Bands) -> Markup:
    """Kappas, and what people decided of each band; `ruled` are all that anybody decided, also if it does not stand."""
    everyone, by_names = between_reviewers(ruled)
    told = {
        "Reviewers with each other": everyone,
        **{f"{one} and {other}": agreed for (one, other), agreed in by_names.items()},
        "Decisions with the methods": with_methods(cases, bands.some_signs),
        "Opinions given before the scores, with the methods": with_methods(cases, bands.some_signs, blind=True),
    }
    hint = (
        f"{CAVEAT} Kappa is 1 where all agree and 0 where they agree as often as by chance; for fewer than {MIN_PAIRS} "
        f"pairs it is not given. The methods are taken to flag from some signs on ({bands.some_signs:g})."
    )
    counts = confusion(cases)
    heads = ["Methods say", *DECISIONS.values()]
    rows = [[band_name(label), *(counts[label][decision] for decision in Decision)] for label in Label]
    return (
        titled("Do people agree?", hint)
        + table(["Who", "Pairs", "Same", "Kappa, 95 % interval"], [[who, *_agreed(a)] for who, a in told.items()])
        + titled("What people decided of each band", f"{len(cases)} clips whose decision stands.")
        + table(heads, rows, bands=list(Label))
    )


def picked_words(choice: Pick, old: float, changed: Change, base_rate: float) -> Markup:
    """A threshold, on what it rests, and what it would have changed."""
    low, high = choice.interval
    innocent, least, most = choice.innocent_of_100(base_rate)
    wrong = (
        f"Of 100 flagged at this threshold, about {innocent:.0f} ({least:.0f} to {most:.0f}) are not manipulated, if "
        f"{percent_of(base_rate)} of all that arrive are."
    )
    facts = [
        ["False alarms among clips decided as not manipulated", _rate(choice.false_alarms)],
        ["Found among clips decided as manipulated", _rate(choice.found)],
        [f"Flagged instead of passed, compared with {old:g}", _counts(changed.flagged)],
        [f"Passed instead of flagged, compared with {old:g}", _counts(changed.cleared)],
    ]
    return Markup(
        '<p class="picked"><strong>{}</strong> <span class="quiet">(95 % of clips drawn anew give {} to {}; in force: '
        "{}; rests on {} decisions)</span></p><p>{}</p>{}"
    ).format(
        *(f"{edge:g}" for edge in (choice.threshold, low, high, old)),
        choice.false_alarms.n + choice.found.n,
        wrong if innocent == innocent else "Nothing would be flagged.",
        table(["On your decided clips", ""], facts),
    )


def percent_of(share: float) -> str:
    return f"{100 * share:g} %"


def _agreed(agreed: Agreement) -> list[str]:
    if agreed.kappa is None or agreed.interval is None:
        return [str(agreed.n), percent(agreed.share) if agreed.n else "–", "too few, or all alike"]
    low, high = agreed.interval
    return [str(agreed.n), percent(agreed.share), f"{number(agreed.kappa)} ({number(low)} to {number(high)})"]


def _rate(rate: Rate) -> str:
    low, high = rate.interval
    return f"{rate.hits} of {rate.n}: {rate.share:.1%} (95 % interval {low:.1%} to {high:.1%})"


def _counts(counts: Mapping[Decision, int]) -> str:
    told = [f"{count} decided as {DECISIONS[decision].lower()}" for decision, count in counts.items() if count]
    return ", ".join(told) or "none"


def _share(percentage: float | None, what: str) -> float:
    if percentage is None or not 0 < percentage < 100:
        raise InputError(f"The share of {what} lies between 0 and 100 percent.")
    return percentage / 100
