"""What is counted and timed, for Prometheus. Labels are words of ours, so they are few, and none is personal.

Everything counts in the process in which it happens, since that was started.
"""

from prometheus_client import Counter, Histogram, Info

from core.settings import VERSION
from core.types import Report

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1280)
QUICK_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
STAGES = ("references", "faces", "scores", "explanations", "stability", "provenance", "total")
"""Those of a report's `timings_s` that are not weights."""

REPORTS = Counter("telltale_reports", "Reports that were made and kept.", ["verdict", "thoroughness"])
STAGE_SECONDS = Histogram("telltale_stage_seconds", "What a report took, by stage.", ["stage"], buckets=SECONDS)
DETECTOR_SECONDS = Histogram(
    "telltale_detector_seconds", "What one set of weights took for one report.", ["detector"], buckets=SECONDS
)
SKIPS = Counter(
    "telltale_skips", "How often a detector could not judge a person, and what it lacked.", ["detector", "lack"]
)
REFUSALS = Counter(
    "telltale_refusals", "Requests answered by a sentence instead of what was asked for; `bug` is ours.", ["kind"]
)
JOB_WAIT_SECONDS = Histogram(
    "telltale_job_wait_seconds", "From the request to the worker that took it.", ["priority"], buckets=SECONDS
)
HTTP_SECONDS = Histogram(
    "telltale_http_seconds", "From the door to the beginning of an answer.", ["status"], buckets=QUICK_SECONDS
)
Info("telltale", "The version that runs.").info({"version": VERSION})


def observe(report: Report) -> None:
    """Counts a report that was just made."""
    REPORTS.labels(report.verdict.label, report.options.thoroughness).inc()
    for name, seconds in report.timings_s.items():
        if name in STAGES:
            STAGE_SECONDS.labels(name).observe(seconds)
        else:
            DETECTOR_SECONDS.labels(name.partition("/")[0]).observe(seconds)
