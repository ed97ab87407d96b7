"""An open report at the moderators' desk: where it stands, the opinion that comes first, the decision, the trail."""

import base64
from typing import Any

import gradio as gr
from markupsafe import Markup

from analysis.second_look import second_look
from core.errors import InputError
from core.people import Role, User
from core.reviewing import Decision, Opinion, Review, State, Step
from core.types import Report
from plots.style import person_name
from ui.exhibits import Find
from ui.markup import each, titled
from ui.messages import DECISIONS, MOVES, QUICK, STATES, clock, friendly
from ui.result import ReportView, quality
from ui.rights import require
from ui.similar import sightings, similar_table
from ui.visit import Desk

CHOICES = [(words, decision.value) for decision, words in DECISIONS.items()]

BLIND = (
    "Look at the clip and say what you hold of it. Scores, and what others decided, are sent to this page only after "
    "that; your opinion is kept as it is, and your decision may differ."
)

OPEN_BUTTONS = """element.addEventListener('click', (event) => {
  const { report } = event.target.closest('button[data-report]')?.dataset ?? {};
  if (report) trigger('click', { report });
});"""
"""For tables whose rows have a button that opens a report."""


def rule(
    desk: Desk, user: User, report_id: str, decision: str, policy: str, note: str = "", *, ask_second: bool = False
) -> State:
    """Records a decision, with a second review where a rule says so; returns the state it leads to.

    Raises:
        InputError: there is no such decision.
        AppError: see `storage.ReviewStore.decide`.
    """
    due = second_look(desk.store.get(report_id, owner=None), desk.reviews.bands(), desk.settings)
    chosen = as_decision(decision)
    return desk.reviews.decide(report_id, user, chosen, policy or "", note, ask_second=ask_second, due=due)


def as_decision(text: str | None) -> Decision:
    if not text:
        raise InputError("Choose a decision first.")
    if text not in list(Decision):
        raise InputError(f"There is no decision called {text!r}; choose among: {', '.join(Decision)}.")
    return Decision(text)


class ReviewPanel:
    """The components of one open report, filled by `open`. Buttons that lead elsewhere are the queue's to wire."""

    def __init__(self, desk: Desk, secret: gr.BrowserState, find: Find) -> None:
        self._desk = desk
        self.report_id = gr.State("")
        with gr.Column(visible=False, elem_id="case") as self._whole:
            with gr.Row(elem_classes="casebar"):
                self.back = gr.Button("← List", size="sm", min_width=90, elem_id="case-back")
                self.next = gr.Button("Next →", size="sm", min_width=90, elem_id="case-next")
                gr.HTML(LOOKS, min_width=200, elem_classes="looks")
            self._note = gr.HTML()
            with gr.Row(elem_classes="desk"):
                with gr.Column(scale=1, min_width=300, elem_classes="bench"):
                    self._head = gr.HTML()
                    self._claim = gr.Button("Claim", elem_id="case-claim", variant="primary")
                    self._release = gr.Button("Release", size="sm", elem_id="case-release")
                    with gr.Group(visible=False) as self._blind:
                        gr.HTML(Markup('<p class="hint">{}</p>').format(BLIND))
                        self._opinion = gr.Radio(
                            CHOICES, label="Your opinion, before the scores", elem_id="case-opinion"
                        )
                        self._commit = gr.Button("Commit opinion", variant="primary", elem_id="case-commit")
                    with gr.Group(visible=False) as self._form:
                        self._decision = gr.Radio(CHOICES, label="Decision", elem_id="case-decision")
                        self._policy = gr.Dropdown([], label="Policy it rests on", elem_id="case-policy")
                    self._words = gr.Textbox(
                        label="Note", lines=3, max_length=4000, visible=False, elem_id="case-note", autoscroll=False
                    )
                    self._second = gr.Checkbox(label="Ask for a second review", visible=False, elem_id="case-second")
                    with gr.Row(elem_classes="acts"):
                        self._decide = gr.Button(
                            "Decide", variant="primary", visible=False, elem_id="case-decide", min_width=90
                        )
                        self._escalate = gr.Button(
                            "Escalate to a lead", visible=False, elem_id="case-escalate", min_width=90
                        )
                        self._appeal = gr.Button("Appeal", visible=False, elem_id="case-appeal", min_width=90)
                    self._trail = gr.HTML()
                with gr.Column(scale=2, min_width=320):
                    self.seen = gr.HTML(js_on_load=OPEN_BUTTONS)
                    self._faces = gr.HTML()
                    self._view = ReportView("queue", find, secret, desk)
        self.outputs = [
            *(self.report_id, self._whole, self._note, self._head, self._claim, self._release, self._blind),
            *(self._opinion, self._form, self._decision, self._policy, self._words, self._second, self._decide),
            *(self._escalate, self._appeal, self._trail, self.seen, self._faces, *self._view.outputs),
        ]
        self._acts()

    def _acts(self) -> None:
        desk = self._desk

        @friendly
        def claim(report_id: str, request: gr.Request) -> dict[Any, Any]:
            user = require(desk, request, Role.REVIEWER)
            desk.reviews.claim(report_id, user)
            return self.open(report_id, user)

        @friendly
        def release(report_id: str, request: gr.Request) -> dict[Any, Any]:
            user = require(desk, request, Role.REVIEWER)
            desk.reviews.release(report_id, user)
            return self.open(report_id, user)

        @friendly
        def commit(report_id: str, opinion: str | None, request: gr.Request) -> dict[Any, Any]:
            user = require(desk, request, Role.REVIEWER)
            desk.reviews.give_opinion(report_id, user, as_decision(opinion))
            return self.open(report_id, user)

        @friendly
        def decide(
            report_id: str, decision: str | None, policy: str, note: str, ask_second: bool, request: gr.Request
        ) -> dict[Any, Any]:
            user = require(desk, request, Role.REVIEWER)
            state = rule(desk, user, report_id, decision or "", policy, note, ask_second=ask_second)
            return self.open(report_id, user, RECORDED[state])

        @friendly
        def escalate(report_id: str, note: str, request: gr.Request) -> dict[Any, Any]:
            user = require(desk, request, Role.REVIEWER)
            desk.reviews.escalate(report_id, user, note)
            return self.open(report_id, user, RECORDED[State.ESCALATED])

        @friendly
        def appeal(report_id: str, note: str, request: gr.Request) -> dict[Any, Any]:
            user = require(desk, request, Role.REVIEWER)
            desk.reviews.appeal(report_id, user, note)
            return self.open(report_id, user, RECORDED[State.REOPENED])

        @friendly
        def again(report_id: str, request: gr.Request) -> dict[Any, Any]:
            return self.open(report_id, require(desk, request, Role.VIEWER))

        ruling = [self.report_id, self._decision, self._policy, self._words, self._second]
        for button, act, inputs in (
            (self._claim, claim, [self.report_id]),
            (self._release, release, [self.report_id]),
            (self._commit, commit, [self.report_id, self._opinion]),
            (self._decide, decide, ruling),
            (self._escalate, escalate, [self.report_id, self._words]),
            (self._appeal, appeal, [self.report_id, self._words]),
        ):
            done = button.click(act, inputs, self.outputs, **QUICK)
            self.settle_after(done)
            # Who was refused, because somebody else was quicker, sees how things stand now.
            done.failure(again, self.report_id, self.outputs, **QUICK)

    def settle_after(self, event: Any) -> None:
        """What is to be done in the browser once `event` has shown a report."""
        self._view.settle_after(event)

    def open(self, report_id: str, user: User, note: str = "") -> dict[Any, Any]:
        """The updates that make this panel show a report as this user may see it."""
        desk = self._desk
        review = desk.reviews.review(report_id, user)
        report = desk.store.get(report_id, owner=None)
        hidden = desk.reviews.hides(report_id, user)
        queued, claim = review.queued, review.queued.claim
        mine = claim is not None and claim.by == user.name
        works = user.role.includes(Role.REVIEWER)
        is_open = queued.state is not State.DECIDED
        decides = works and is_open and mine and not hidden
        may_note = works and (mine or not is_open) and not hidden
        policies = [(f"{p.id} · {p.title}", p.id) for p in desk.reviews.policies(active_only=True)]
        return {
            self.report_id: report_id,
            self._whole: gr.update(visible=True),
            self._note: Markup('<p class="note done" role="status">{}</p>').format(note) if note else "",
            self._head: head(review, user),
            self._claim: gr.update(visible=works and is_open and claim is None),
            self._release: gr.update(visible=mine or (claim is not None and user.role.includes(Role.LEAD))),
            self._blind: gr.update(visible=hidden and mine),
            self._opinion: None,
            self._form: gr.update(visible=decides),
            self._decision: None,
            self._policy: gr.update(choices=policies, value=policies[0][1] if len(policies) == 1 else None),
            self._words: gr.update(value="", visible=may_note),
            self._second: gr.update(
                value=False, visible=decides and queued.state in (State.UNREVIEWED, State.REOPENED)
            ),
            self._decide: gr.update(visible=decides),
            self._escalate: gr.update(visible=decides and queued.state is not State.ESCALATED),
            self._appeal: gr.update(visible=works and not is_open),
            self._trail: trail(review),
            self.seen: "" if hidden else similar_table(sightings(desk, report_id, user)),
            self._faces: faces(report) if hidden else "",
        } | (self._view.hide() if hidden else self._view.show(report))

    def close(self) -> dict[Any, Any]:
        return {self.report_id: "", self._whole: gr.update(visible=False)} | self._view.hide()


RECORDED = {
    State.DECIDED: "Decided.",
    State.SECOND_REVIEW: "Recorded; somebody else makes the second review.",
    State.ESCALATED: "A lead decides next.",
    State.REOPENED: "Reopened; somebody else, or a lead, decides anew.",
}

LOOKS = Markup(
    '<span class="actions"><button type="button" data-look="blurred" aria-pressed="false">Blur</button>'
    '<button type="button" data-look="greyed" aria-pressed="false">Grey</button>'
    '<button type="button" data-keys>Keys <kbd>?</kbd></button></span>'
)


def head(review: Review, user: User) -> Markup:
    """What it is, where it stands, and who is at work on it."""
    queued, claim = review.queued, review.queued.claim
    if claim is None:
        held = "Nobody is at work on it." if queued.state is not State.DECIDED else ""
    elif claim.by == user.name:
        held = f"You hold it until {claim.until[11:16]} (UTC)."
    else:
        held = f"{claim.by} is at work on it until {claim.until[11:16]} (UTC)."
    return Markup('<h2 class="casename">{}</h2><p>{} {}</p><p class="quiet">{}</p>').format(
        queued.name, chip(queued.state), why(queued.why), held
    )


def chip(state: State) -> Markup:
    return Markup('<span class="chip {}">{}</span>').format(state.value, STATES[state])


def why(reason: str) -> Markup:
    return Markup('<span class="quiet">{}</span>').format(reason) if reason else Markup("")


def trail(review: Review) -> Markup:
    """What people did to it, the last thing first."""
    entries: list[Step | Opinion] = sorted([*review.steps, *review.opinions], key=lambda entry: entry.at, reverse=True)
    if not entries:
        return Markup("")
    return Markup('<h3 class="trailhead">So far</h3><ol class="trail">{}</ol>').format(
        each("<li>{}</li>", [(_entry(entry),) for entry in entries])
    )


def _entry(entry: Step | Opinion) -> Markup:
    when = entry.at[:16].replace("T", " ")
    if isinstance(entry, Opinion):
        seen = "before the scores" if entry.blind else "having seen the scores"
        return Markup('<strong>{}</strong> held, {}: {}<br><span class="quiet">{}</span>').format(
            entry.reviewer, seen, DECISIONS[entry.decision], when
        )
    what = MOVES[entry.move]
    if entry.ruling:
        what = f"{DECISIONS[entry.ruling.decision]}, by {entry.ruling.policy} · {entry.ruling.policy_title}"
    note = Markup('<blockquote class="words">{}</blockquote>').format(entry.note) if entry.note else ""
    return Markup('<strong>{}</strong>: {} {}{}<span class="quiet">{} → {}</span>').format(
        entry.actor, what, why(entry.why), note, when, STATES[entry.after]
    )


def faces(report: Report) -> Markup:
    """What may be seen before an opinion: who is in the picture, and how well; no number that a method gave."""
    pictures = each(
        '<figure><img src="data:image/jpeg;base64,{}" alt="Face of {}"><figcaption>{}<br><span class="quiet">{} to {}'
        "</span></figcaption></figure>",
        [
            (
                base64.b64encode(p.thumbnail).decode(),
                person_name(p.id),
                person_name(p.id),
                clock(p.start_s),
                clock(p.end_s),
            )
            for p in report.tracks
        ],
    )
    found = (
        Markup('<div class="faces">{}</div>').format(pictures) if report.tracks else Markup("<p>No face was found.</p>")
    )
    return titled("People in the video", "Scores come after your opinion.") + found + quality(report)
