"""Reports become rows and come back."""

from storage.audit import Action, AuditLog, Entry
from storage.database import open_database, prepare, upgrade
from storage.jobs import JobStore
from storage.reports import History, HistoryRow, ReportStore

__all__ = [
    "Action",
    "AuditLog",
    "Entry",
    "History",
    "HistoryRow",
    "JobStore",
    "ReportStore",
    "open_database",
    "prepare",
    "upgrade",
]
