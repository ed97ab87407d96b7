"""An open report at the moderators' desk: where it stands, the opinion that comes first, the decision, the trail."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import Markup
from starlette.requests import Request as StarletteRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from analysis.second_look import second_look
from core.errors import InputError, ReportNotFound
from core.people import Role, User
from core.reviewing import AFTER, Decision, Move, Opinion, Review, State, Step
from core.types import Report
from core.words import named, say
from plots.style import person_name
from ui.again import again_section
from ui.exhibits import Find
from ui.languages import everywhere, said
from ui.log import log_section
from ui.markup import each, hint, titled
from ui.messages import QUICK, Refusal, clock, friendly, refused, tried
from ui.result import ReportView, quality
from ui.rights import require
from ui.similar import sightings, similar_table
from ui.uploads import hand_out
from ui.visit import Desk

CHOICES = [(said(f"decisions.{decision}"), decision.value) for decision in Decision]

OPEN_BUTTONS = """element.addEventListener('click', (event) => {
  const { report } = event.target.closest('button[data-report]')?.dataset ?? {};
  if (report) trigger('click', { report });
});"""
"""For tables whose rows have a button that opens a report."""

ASK_FIRST = """element.addEventListener('click', (event) => {
  const { question } = event.target.closest('button[data-question]')?.dataset ?? {};
  if (question && confirm(question)) trigger('delete', {});
});"""


def rule(
    desk: Desk,
    user: User,
    report_id: str,
    decision: str | None,
    policy: str | None,
    note: str = "",
    *,
    ask_second: bool = False,
) -> State:
    """Records a decision, with a second review where a rule says so; returns the state it leads to.

    Raises:
        InputError: there is no such decision.
        AppError: see `storage.ReviewStore.decide`.
    """
    chosen = as_decision(decision)
    due = second_look(desk.store.get(report_id, owner=None), desk.reviews.bands(), desk.settings)
    return desk.reviews.decide(report_id, user, chosen, policy or "", note, ask_second=ask_second, due=due)


def as_decision(text: str | None) -> Decision:
    if not text:
        raise InputError(say("case.decide_first"))
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
                self.back = gr.Button(said("case.back"), size="sm", scale=0, min_width=110, elem_id="case-back")
                self.next = gr.Button(said("queue.take"), size="sm", scale=0, min_width=200, elem_id="case-next")
                gr.HTML(everywhere(_looks), min_width=230, elem_classes="looks")
            self._note = gr.HTML(visible=False)
            with gr.Row(elem_classes="desk"):
                with gr.Column(scale=1, min_width=300, elem_classes="bench"):
                    self._head = gr.HTML()
                    self._claim = gr.Button(said("case.claim"), elem_id="case-claim", variant="primary")
                    self._release = gr.Button(said("case.release"), size="sm", elem_id="case-release")
                    with gr.Column(visible=False) as self._blind:
                        gr.HTML(everywhere(lambda: hint(say("case.blind"))))
                        self._opinion = gr.Radio(CHOICES, label=said("case.opinion"), elem_id="case-opinion")
                        self._commit = gr.Button(said("case.commit"), variant="primary", elem_id="case-commit")
                    with gr.Group(visible=False) as self._form:
                        self._decision = gr.Radio(CHOICES, label=said("case.decision"), elem_id="case-decision")
                        self._policy = gr.Dropdown([], label=said("case.policy"), elem_id="case-policy")
                    self._words = gr.Textbox(
                        label=said("case.note"),
                        lines=3,
                        max_length=4000,
                        visible=False,
                        elem_id="case-note",
                        autoscroll=False,
                    )
                    self._second = gr.Checkbox(label=said("case.second"), visible=False, elem_id="case-second")
                    with gr.Row(elem_classes="acts"):
                        self._decide = gr.Button(
                            said("case.decide"),
                            variant="primary",
                            size="md",
                            visible=False,
                            elem_id="case-decide",
                            min_width=90,
                        )
                        self._escalate = gr.Button(
                            said("case.escalate"), visible=False, size="md", elem_id="case-escalate", min_width=90
                        )
                        self._appeal = gr.Button(
                            said("case.appeal"), visible=False, size="md", elem_id="case-appeal", min_width=90
                        )
                    self._trail = gr.HTML()
                with gr.Column(scale=2, min_width=320):
                    self._clip = gr.HTML(visible=False)
                    self.seen = gr.HTML(visible=False, js_on_load=OPEN_BUTTONS)
                    self._faces = gr.HTML(visible=False)
                    self._view = ReportView("queue", find, secret, desk)
                    self._again, self._outcome, self._run = again_section(desk, self.report_id)
                    self._log = log_section(desk, desk.log, self.report_id) if desk.log else ()
                    self.remove = gr.HTML(visible=False, js_on_load=ASK_FIRST, elem_id="case-delete")
        self.outputs = [
            *(self._again, self._outcome, *self._log),
            *(self.report_id, self._whole, self._note, self._head, self._claim, self._release, self._blind),
            *(self._opinion, self._form, self._decision, self._policy, self._words, self._second, self._decide),
            *(self._escalate, self._appeal, self._trail, self._clip, self.seen, self._faces, self.remove),
            *self._view.outputs,
        ]
        self._acts()

    def _acts(self) -> None:
        desk = self._desk

        reviews = desk.reviews

        @friendly
        def claim(report_id: str, request: gr.Request) -> dict[Any, Any]:
            user = require(desk, request, Role.REVIEWER)
            return self._after(lambda: reviews.claim(report_id, user), report_id, user)

        @friendly
        def release(report_id: str, request: gr.Request) -> dict[Any, Any]:
            user = require(desk, request, Role.REVIEWER)
            return self._after(lambda: reviews.release(report_id, user), report_id, user)

        @friendly
        def commit(report_id: str, opinion: str | None, request: gr.Request) -> dict[Any, Any]:
            user = require(desk, request, Role.REVIEWER)
            return self._after(lambda: reviews.give_opinion(report_id, user, as_decision(opinion)), report_id, user)

        @friendly
        def decide(
            report_id: str, decision: str | None, policy: str | None, note: str, ask_second: bool, request: gr.Request
        ) -> dict[Any, Any]:
            user = require(desk, request, Role.REVIEWER)

            def act() -> State:
                return rule(desk, user, report_id, decision, policy, note, ask_second=ask_second)

            return self._after(act, report_id, user)

        @friendly
        def escalate(report_id: str, note: str, request: gr.Request) -> dict[Any, Any]:
            user = require(desk, request, Role.REVIEWER)
            return self._after(lambda: reviews.escalate(report_id, user, note), report_id, user)

        @friendly
        def appeal(report_id: str, note: str, request: gr.Request) -> dict[Any, Any]:
            user = require(desk, request, Role.REVIEWER)
            return self._after(lambda: reviews.appeal(report_id, user, note), report_id, user)

        ruling = [self.report_id, self._decision, self._policy, self._words, self._second]
        for button, handler, inputs in (
            (self._claim, claim, [self.report_id]),
            (self._release, release, [self.report_id]),
            (self._commit, commit, [self.report_id, self._opinion]),
            (self._decide, decide, ruling),
            (self._escalate, escalate, [self.report_id, self._words]),
            (self._appeal, appeal, [self.report_id, self._words]),
        ):
            self.settle_after(button.click(handler, inputs, self.outputs, **QUICK))
        # Whoever leaves the report ends its run, or what comes of that would show under another one.
        leaving = [self.back.click, self.next.click, self.seen.click, self.remove.delete]
        gr.on(leaving, None, cancels=[self._run], **QUICK)

    def _after(self, act: Callable[[], Any], report_id: str, user: User) -> dict[Any, Any]:
        """The updates after an act. Who was refused, perhaps because somebody else was quicker, sees how things stand
        now, and keeps what they have typed."""
        outcome = tried(act)
        if not isinstance(outcome, Refusal):
            words = say(f"recorded.{outcome}") if isinstance(outcome, State) else ""
            return self.open(report_id, user, words, again=True)
        review, hidden = self._desk.reviews.review(report_id, user), self._desk.reviews.hides(report_id, user)
        return self._standing(review, user, hidden) | {self._note: _if_any(refused(outcome.sentence))}

    def settle_after(self, event: Any) -> None:
        """What is to be done in the browser once `event` has shown a report."""
        self._view.settle_after(event)

    def open(self, report_id: str, user: User, note: str = "", *, again: bool = False) -> dict[Any, Any]:
        """The updates that make this panel show a report as this user may see it.

        `again`: it is open already, so it is not viewed once more, and the player does not begin anew.
        """
        desk = self._desk
        review = desk.reviews.review(report_id, user)
        report = desk.store.get(report_id, owner=None)
        hidden = desk.reviews.hides(report_id, user)
        policies = [(f"{p.id} · {p.title}", p.id) for p in desk.reviews.policies(active_only=True)]
        only = policies[0][1] if len(policies) == 1 else None
        standing, fields = self._standing(review, user, hidden), self._fields(review, user, hidden)
        anew: dict[Any, Any] = {}
        if not again:
            desk.reviews.note_view(report_id, user)
            # By hand: of what is called past the queue, Gradio tells no `gr.State` that it has changed.
            anew = {self._clip: _if_any(player(desk, report)), self._outcome: ""}
            anew |= dict(zip(self._log, (gr.update(open=False), ""), strict=False))
        return {
            **anew,
            self.report_id: report_id,
            self._whole: gr.update(visible=True),
            self._note: _if_any(Markup('<p class="done" role="status">{}</p>').format(note) if note else ""),
            **standing,
            self._opinion: None,
            self._decision: None,
            # What was chosen last stays: one policy often serves for many clips in a row.
            self._policy: gr.update(choices=policies, value=only) if only else gr.update(choices=policies),
            self._words: gr.update(value="", visible=fields[self._words]),
            self._second: gr.update(value=False, visible=fields[self._second]),
            self.seen: _if_any("" if hidden else similar_table(sightings(desk, report_id, user))),
            self._faces: _if_any(faces(report) if hidden else ""),
        } | (self._view.hide() if hidden else self._view.show(report))

    def _standing(self, review: Review, user: User, hidden: bool) -> dict[Any, Any]:
        """What says where it stands, and which acts that allows; nothing that somebody may have typed meanwhile."""
        claim, is_open = review.queued.claim, review.queued.state is not State.DECIDED
        works, mine = user.role.includes(Role.REVIEWER), claim is not None and claim.by == user.name
        allowed = self._fields(review, user, hidden)
        return {
            self._head: head(review, user),
            self._again: gr.update(visible=works and not hidden),
            self._claim: gr.update(visible=works and is_open and claim is None),
            self._release: gr.update(visible=mine or (claim is not None and user.role.includes(Role.LEAD))),
            self._blind: gr.update(visible=hidden and mine),
            **{part: gr.update(visible=seen) for part, seen in allowed.items()},
            self._trail: _if_any(trail(review)),
            self.remove: _if_any(remover() if user.role.includes(Role.LEAD) else ""),
        }

    def _fields(self, review: Review, user: User, hidden: bool) -> dict[Any, bool]:
        """Whether each field and button of the form is for this user now."""
        queued = review.queued
        is_open, works = queued.state is not State.DECIDED, user.role.includes(Role.REVIEWER)
        decides = works and is_open and not hidden and queued.claim is not None and queued.claim.by == user.name
        appeals = works and not is_open
        return {
            self._form: decides,
            self._words: decides or appeals,
            self._second: decides and (queued.state, Move.ASK_SECOND) in AFTER,
            self._decide: decides,
            self._escalate: decides and (queued.state, Move.ESCALATE) in AFTER,
            self._appeal: appeals,
        }

    def close(self) -> dict[Any, Any]:
        return {self.report_id: "", self._whole: gr.update(visible=False)} | self._view.hide()


def _looks() -> Markup:
    return Markup(
        '<span class="actions"><button type="button" data-look="blurred" aria-pressed="false">{}</button>'
        '<button type="button" data-look="greyed" aria-pressed="false">{}</button>'
        '<button type="button" data-keys>{} <kbd>?</kbd></button></span>'
    ).format(say("case.blur"), say("case.grey"), say("keys.title"))


def remover() -> Markup:
    """A button that deletes the open report, once that was confirmed."""
    return Markup('<span class="actions"><button type="button" data-question="{}">{}</button></span>').format(
        say("case.sure"), say("case.delete")
    )


def _if_any(content: str) -> dict[str, Any]:
    """An empty piece would still take the room between pieces."""
    return dict(gr.update(value=content, visible=bool(content)))


def head(review: Review, user: User) -> Markup:
    """What it is, where it stands, and who is at work on it."""
    queued, claim = review.queued, review.queued.claim
    if claim is None:
        held = say("case.nobody") if queued.state is not State.DECIDED else ""
    elif claim.by == user.name:
        held = say("case.yours", until=claim.until[11:16])
    else:
        held = say("case.others", who=claim.by, until=claim.until[11:16])
    return Markup('<h2 class="casename">{}</h2><p>{} {}</p><p class="quiet">{}</p>').format(
        queued.name, chip(queued.state), why(queued.why), held
    )


def chip(state: State) -> Markup:
    return Markup('<span class="chip {}">{}</span>').format(state.value, named("standings", state))


def why(reason: str) -> Markup:
    return Markup('<span class="quiet">{}</span>').format(reason) if reason else Markup("")


def trail(review: Review) -> Markup:
    """What people did to it, the last thing first."""
    entries: list[Step | Opinion] = sorted([*review.steps, *review.opinions], key=lambda entry: entry.at, reverse=True)
    if not entries:
        return Markup("")
    return Markup('<h3 class="trailhead">{}</h3><ol class="trail">{}</ol>').format(
        say("case.so_far"), each("<li>{}</li>", [(_entry(entry),) for entry in entries])
    )


def _entry(entry: Step | Opinion) -> Markup:
    when = entry.at[:16].replace("T", " ")
    if isinstance(entry, Opinion):
        seen = say("case.before_scores") if entry.blind else say("case.after_scores")
        return Markup('<strong>{}</strong> · {}: {}<br><span class="quiet">{}</span>').format(
            entry.reviewer, seen, named("decisions", entry.decision), when
        )
    what = named("moves", entry.move)
    if entry.ruling:
        policy = f"{entry.ruling.policy} · {entry.ruling.policy_title}"
        what = say("case.ruled", decision=named("decisions", entry.ruling.decision), policy=policy)
    note = Markup('<blockquote class="words">{}</blockquote>').format(entry.note) if entry.note else ""
    return Markup('<strong>{}</strong>: {} {}{}<span class="quiet">{} → {}</span>').format(
        entry.actor, what, why(entry.why), note, when, named("standings", entry.after)
    )


PLAYED = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi")


def player(desk: Desk, report: Report) -> Markup:
    """The clip itself, as long as it is kept."""
    if not desk.store.media or not desk.store.media.path(report.video.sha256):
        return Markup("")
    return Markup('<video class="clip" controls preload="metadata" src="clip/{}" aria-label="{}"></video>').format(
        report.id, report.video.name
    )


def clip_route(desk: Desk) -> Route:
    """Plays the kept file of a report to whoever is let in at the desk: every user may open every report."""

    def serve(request: StarletteRequest) -> Response:
        try:
            video = desk.store.get(request.path_params["report"], owner=None).video
        except ReportNotFound:
            return PlainTextResponse("Not Found", 404)
        kept = desk.store.media.path(video.sha256) if desk.store.media else None
        suffix = Path(video.name).suffix.lower()
        return (
            hand_out(kept, f"clip{suffix if suffix in PLAYED else '.mp4'}") if kept else PlainTextResponse("Gone", 410)
        )

    return Route("/clip/{report}", serve)


def faces(report: Report) -> Markup:
    """What may be seen before an opinion: who is in the picture, and how well; no number that a method gave."""
    pictures = each(
        '<figure><img src="data:image/jpeg;base64,{}" alt="{}"><figcaption>{}<br><span class="quiet">{}</span>'
        "</figcaption></figure>",
        [
            (
                base64.b64encode(p.thumbnail).decode(),
                say("result.face_of", person=person_name(p.id)),
                person_name(p.id),
                say("result.from_to", start=clock(p.start_s), end=clock(p.end_s)),
            )
            for p in report.tracks
        ],
    )
    found = Markup('<div class="faces">{}</div>').format(pictures)
    if not report.tracks:
        found = Markup("<p>{}</p>").format(say("case.no_face"))
    return titled(say("result.people"), say("case.scores_later")) + found + quality(report)
