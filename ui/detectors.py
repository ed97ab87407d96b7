"""The tab Detectors: what each one looks at, how good it is, where it fails, and what it takes to run it here."""

import gradio as gr
from markupsafe import Markup

from analysis.selftest import Check, Run, last_run
from core.settings import Settings
from core.weights.store import State, state
from detectors import Choice, choices
from ui.markup import each, facts
from ui.messages import QUICK
from ui.visit import Desk

STATES = {
    "ready": "✓ Ready",
    "fetch": "✗ Can be fetched",
    "accept": "✗ Licence to accept first",
    "bring": "✗ Bring the file",
    "refused": "✗ Damaged",
}


Tested = dict[tuple[str, str], Check]
"""What the last self-test found, by name and SHA-256: weights that were exchanged since then were not tested."""


def detectors_tab(desk: Desk) -> None:
    def cards() -> Markup:
        return detector_cards(choices(desk.manifest, desk.settings), desk.settings)

    # At each visit: weights arrive and self-tests are run while the page is being served.
    gr.on(None, cards, None, gr.HTML(cards()), **QUICK)


def detector_cards(offered: list[Choice], settings: Settings) -> Markup:
    """One card per detector, with all its sets of weights; those that are ready lie open."""
    by_name: dict[str, dict[str, list[Choice]]] = {}
    for choice in offered:
        by_name.setdefault(choice.card.name, {}).setdefault(choice.set, []).append(choice)
    run = last_run(settings)
    tested = {(check.name, check.sha256): check for check in run.checks} if run else {}
    cards = [_card(list(sets.values()), settings, tested) for sets in by_name.values()]
    return Markup('<p>{}</p><div class="cards">{}</div>').format(_last_selftest(run), Markup("").join(cards))


def _last_selftest(run: Run | None) -> str:
    if run is None:
        return "The self-test has not been run here yet; `python app.py selftest` runs it."
    stages = [f"{check.name} {_light(check)}" for check in run.checks if not check.sha256]
    return f"Last self-test: {run.at[:16].replace('T', ' ')} UTC, on {run.device}. {'; '.join(stages)}."


def _light(check: Check) -> str:
    return f"{'✓ green' if check.ok else '✗ red'} ({check.reason})"


def _card(sets: list[list[Choice]], settings: Settings, tested: Tested) -> Markup:
    card = sets[0][0].card
    about = {"Source": card.source, "Looks at": ", ".join(card.regions), "Limits": card.limits}
    return Markup(
        '<article class="card"><h2>{}</h2><p>{}</p>{}<h3>Weights</h3><div class="sets">{}</div></article>'
    ).format(card.title, card.summary, facts(about), Markup("").join(_weights(own, settings, tested) for own in sets))


def _weights(own: list[Choice], settings: Settings, tested: Tested) -> Markup:
    """One set, which may have weights for several regions; they share source and terms."""
    weights, states = own[0].weights, [state(choice.weights, settings) for choice in own]
    least = next((found for found in states if found.kind != "ready"), states[0])
    about = {
        "What to do": _to_do(least),
        "Regions": ", ".join(f"{c.weights.region} {STATES[s.kind][0]}" for c, s in zip(own, states, strict=True)),
        "Self-test": "; ".join(_result(c, tested) for c in own if c.ready),
        "Trained on": weights.trained_on,
        "Measured": weights.measured or "Not measured here.",
        "Licence": weights.licence + ("" if weights.commercial_use else ", no commercial use"),
        "Terms": weights.terms,
        "Paper": weights.paper,
        "SHA-256": weights.sha256,
    }
    return Markup(
        '<details class="weights"{}><summary><code>{}</code> <span class="state">{}</span></summary>{}</details>'
    ).format(
        Markup(" open") if any(found.kind == "ready" for found in states) else "",
        own[0].set,
        STATES[least.kind],
        facts({name: fact for name, fact in about.items() if fact}),
    )


def _result(choice: Choice, tested: Tested) -> str:
    check = tested.get((choice.weights.id, choice.weights.sha256))
    return f"{choice.weights.region} {_light(check) if check else 'not run yet'}"


def _to_do(found: State) -> Markup:
    """The reason, and the command in a line of its own."""
    return Markup("").join(
        each("{}", [(found.reason,)] if found.reason else [])
        + each("<br><code>{}</code>", [(found.command,)] if found.command else [])
    )
