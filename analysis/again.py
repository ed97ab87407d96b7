"""How a report is run again: with the weights and the thresholds it was made by, as far as they are still at hand."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from core.errors import WeightsError
from core.settings import Settings
from core.types import Options, Report
from core.weights import Weights
from detectors import DETECTORS, choices


@dataclass(frozen=True, slots=True)
class Again:
    """What to ask for, and in `notes` a sentence for each thing that cannot be as it was."""

    options: Options
    settings: Settings
    manifest: Mapping[str, Weights]
    notes: tuple[str, ...]


def repeat(report: Report, settings: Settings, manifest: Mapping[str, Weights], *, referenced: bool) -> Again:
    """What to ask for, so that the report is made anew.

    Args:
        referenced: whether all genuine clips are at hand that it was made beside.

    Raises:
        WeightsError: none of its weights can be asked.
    """
    hashes = {f.weights.id: f.weights.sha256 for f in report.findings if f.weights}
    offered = {c.weights.id: c if referenced else c.alone() for c in choices(manifest, settings)}
    asked, notes = [], []
    for id in report.options.detectors:
        found, recorded = offered.get(id), hashes.get(id)
        of_hash = f" with SHA-256 {recorded}" if recorded else ""
        if found is None:
            notes.append(f"The weights {id}{of_hash} are not known here any more.")
        elif found.reason:
            notes.append(f"The weights {id}{of_hash} cannot be asked: {found.reason}")
        else:
            asked.append(id)
            if recorded and recorded != found.weights.sha256:
                notes.append(
                    f"The weights {id}{of_hash} are not at hand any more; those with SHA-256 "
                    f"{found.weights.sha256} were asked instead."
                )
    if not asked:
        raise WeightsError(" ".join(["Nothing that this report was made with can be asked.", *notes]))
    if report.references and not referenced:
        notes.append("It was made beside genuine clips, which are not kept, so nothing was taken off this time.")
    if report.thresholds is None:
        notes.append("Its thresholds were not recorded; those of today were used.")
    else:
        settings = settings.model_copy(update=asdict(report.thresholds))
    # No other weights are offered, or those of more regions would come along by their names.
    offering = {id: weights for id, weights in manifest.items() if id in asked or weights.detector not in DETECTORS}
    return Again(replace(report.options, detectors=tuple(asked)), settings, offering, tuple(notes))
