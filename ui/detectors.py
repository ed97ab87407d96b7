"""The tab Detectors: what each one looks at, how good it is, where it fails, and what it takes to run it here."""

import gradio as gr
from markupsafe import Markup

from analysis.selftest import Check, Run, last_run
from core.settings import Settings
from core.weights.store import State, state
from core.words import say
from detectors import Choice, choices
from plots.style import region_name
from ui.markup import each, facts
from ui.messages import QUICK
from ui.visit import Desk

Tested = dict[tuple[str, str], Check]
"""What the last self-test found, by name and SHA-256: weights that were exchanged since then were not tested."""


def detectors_tab(desk: Desk) -> None:
    def cards() -> Markup:
        return detector_cards(choices(desk.manifest, desk.settings), desk.settings)

    # At each visit: weights arrive and self-tests are run while the page is being served.
    gr.on(None, cards, None, gr.HTML(), **QUICK)


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
        return say("detectors.untested", command="python app.py selftest")
    stages = [f"{check.name} {_light(check)}" for check in run.checks if not check.sha256]
    when = f"{run.at[:16].replace('T', ' ')} UTC"
    return say("detectors.tested", when=when, device=run.device, stages="; ".join(stages))


def _light(check: Check) -> str:
    return f"{say('detectors.green') if check.ok else say('detectors.red')} ({check.reason})"


def _card(sets: list[list[Choice]], settings: Settings, tested: Tested) -> Markup:
    card = sets[0][0].card
    about = {
        say("detectors.source"): card.source,
        say("detectors.looks_at"): ", ".join(map(region_name, card.regions)),
        say("detectors.limits"): card.limits,
    }
    return Markup('<article class="card"><h2>{}</h2><p>{}</p>{}<h3>{}</h3><div class="sets">{}</div></article>').format(
        card.title,
        card.summary,
        facts(about),
        say("detectors.weights"),
        Markup("").join(_weights(own, settings, tested) for own in sets),
    )


def _weights(own: list[Choice], settings: Settings, tested: Tested) -> Markup:
    """One set, which may have weights for several regions; they share source and terms."""
    weights, states = own[0].weights, [state(choice.weights, settings) for choice in own]
    least = next((found for found in states if found.kind != "ready"), states[0])
    about = {
        say("detectors.to_do"): _to_do(least),
        say("detectors.regions"): ", ".join(
            f"{region_name(c.weights.region)} {_mark(found)}" for c, found in zip(own, states, strict=True)
        ),
        say("detectors.selftest"): "; ".join(_result(c, tested) for c in own if c.ready),
        say("detectors.trained_on"): weights.trained_on,
        say("detectors.measured"): weights.measured or say("detectors.unmeasured"),
        say("detectors.licence"): weights.licence
        + ("" if weights.commercial_use else f", {say('detectors.not_commercial')}"),
        say("detectors.terms"): weights.terms,
        say("detectors.paper"): weights.paper,
        "SHA-256": weights.sha256,
    }
    return Markup(
        '<details class="weights"{}><summary><code>{}</code> <span class="state">{}</span></summary>{}</details>'
    ).format(
        Markup(" open") if any(found.kind == "ready" for found in states) else "",
        own[0].set,
        f"{_mark(least)} {say(f'states.{least.kind}')}",
        facts({name: fact for name, fact in about.items() if fact}),
    )


def _result(choice: Choice, tested: Tested) -> str:
    check = tested.get((choice.weights.id, choice.weights.sha256))
    return f"{region_name(choice.weights.region)} {_light(check) if check else say('detectors.not_run')}"


def _mark(found: State) -> str:
    return "✓" if found.kind == "ready" else "✗"


def _to_do(found: State) -> Markup:
    """The reason, and the command in a line of its own."""
    return Markup("").join(
        each("{}", [(found.reason,)] if found.reason else [])
        + each("<br><code>{}</code>", [(found.command,)] if found.command else [])
    )
