"""The panel in which people weigh the methods themselves, and the verdict this would give beside the recorded one."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from core.errors import InputError
from core.types import Finding, Report
from core.words import say
from plots.style import basis_name, method_name, person_name, region_name
from ui.markup import band, boxed, bullets, each, numbers
from ui.messages import number

READ_WEIGHTS = """const rows = () => [...element.querySelectorAll('[data-witness]')];
const parts = (row) => [row.querySelector('[type=checkbox]'), row.querySelector('[type=range]')];
const weight = (row) => (parts(row)[0].checked ? +parts(row)[1].value : 0);
const say = (row) => { row.querySelector('output').value = (+parts(row)[1].value).toFixed(2); };
const send = () => {
  // As numbers: a browser writes 0.20 as 0.2.
  const changed = rows().filter((row) => weight(row) !== +parts(row)[1].defaultValue);
  trigger('apply', { weights: Object.fromEntries(changed.map((row) => [row.dataset.witness, weight(row)])) });
};
const reset = () => rows().forEach((row) => {
  parts(row).forEach((part) => { part.checked = part.defaultChecked; part.value = part.defaultValue; });
  say(row);
});
element.addEventListener('input', ({ target }) => say(target.closest('[data-witness]')));
element.addEventListener('change', send);
element.addEventListener('telltale-reset', reset);
element.addEventListener('click', ({ target }) => {
  if (!target.closest('button')) return;
  reset();
  send();
});"""
"""Sends the weights that differ from the recorded ones, 0 for what is switched off."""


def panel(report: Report) -> Markup:
    """A switch and a weight for each method and region that scored anybody; empty where there is nothing to weigh."""
    witnesses = _witnesses(report)
    row = (
        '<div class="witness" role="group" aria-label="{0}" data-witness="{1}"><label><input type="checkbox" checked> '
        '<span>{0}</span></label><label class="weight"><span>{3}</span> <input type="range" min="0.01" max="1" '
        'step="0.01" value="{2}"><output>{2}</output></label></div>'
    )
    if not witnesses:
        return Markup("")
    rows = [
        (_called(report, f), witness, number(f.weighing.reliability), say("weighing.weight"))
        for witness, f in witnesses.items()
        if f.weighing
    ]
    return Markup('<div class="witnesses">{}<p class="actions"><button type="button">{}</button></p></div>').format(
        each(row, rows), say("weighing.reset")
    )


def asked(weights: Any) -> dict[str, float]:
    """The weights that a page sent.

    Raises:
        InputError: they are none.
    """
    if not isinstance(weights, Mapping) or not all(
        isinstance(weight, int | float) and 0 <= weight <= 1 for weight in weights.values()
    ):
        raise InputError(say("weighing.refused"))
    return {str(witness): float(weight) for witness, weight in weights.items()}


def preview(report: Report) -> Markup:
    """The verdict that a report which was weighed anew comes to."""
    people = [f"{person_name(p.id)}: {numbers(p.verdict)}" for p in report.tracks] if len(report.tracks) > 1 else []
    body = Markup(
        '<div role="status"><p>{}: <strong>{}</strong></p><p class="quiet">{}</p></div>'
        "<details><summary>{}</summary><p>{}</p>{}</details>"
    ).format(
        say("weighing.yours"),
        band(report.verdict.label),
        numbers(report.verdict),
        say("weighing.why"),
        report.verdict.reason,
        bullets(people),
    )
    return boxed("preview", report.verdict.label, body)


def _witnesses(report: Report) -> dict[str, Finding]:
    """By witness, in the report's order, a finding that has something to be weighed."""
    witnesses: dict[str, Finding] = {}
    for finding in report.findings:
        if finding.weighing:
            witnesses.setdefault(finding.witness, finding)
    return witnesses


def _called(report: Report, finding: Finding) -> str:
    remark = "" if finding.calibrated else f" ({basis_name('uncalibrated')})"
    return f"{method_name(report, finding)} · {region_name(finding.region)}{remark}"
