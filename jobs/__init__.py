"""Analyses that were asked for are claimed from the database and run, here or in another process."""

from jobs.worker import Run, Worker, follow, in_force, recall

__all__ = ["Run", "Worker", "follow", "in_force", "recall"]
