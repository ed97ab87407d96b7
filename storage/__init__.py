"""Reports become rows and come back."""

from storage.database import upgrade
from storage.reports import History, HistoryRow, ReportStore

__all__ = ["History", "HistoryRow", "ReportStore", "upgrade"]
