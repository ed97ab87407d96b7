"""What Prometheus is told of the moment at which it asks: health, sizes, rows."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from shutil import disk_usage

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import SQLAlchemyError

from core.jobs import JobState, Priority
from storage.tables import JobRow, ReportRow

BYTES = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
}


class Gauges(Collector):
    """Looks things up whenever it is asked; of a database that does not answer it says nothing."""

    def __init__(self, database: Engine, data: Path, health: Callable[[], Mapping[str, str]]) -> None:
        self._database, self._data, self._health = database, data, health

    def describe(self) -> list[GaugeMetricFamily]:
        return []  # or the registry would collect, in order to know

    def collect(self) -> Iterator[GaugeMetricFamily]:
        healthy = GaugeMetricFamily("telltale_healthy", "1 where `/healthz` says ok.", labels=["part"])
        for part, found in self._health().items():
            healthy.add_metric([part], found == "ok")
        yield healthy
        yield GaugeMetricFamily("telltale_disk_free_bytes", "Where the data folder lies.", disk_usage(self._data).free)
        try:
            with self._database.connect() as connection:
                yield from list(_of_database(connection))
        except SQLAlchemyError:
            return


def _of_database(connection: Connection) -> Iterator[GaugeMetricFamily]:
    size = connection.scalar(text(BYTES[connection.dialect.name]))
    yield GaugeMetricFamily("telltale_database_bytes", "Size of the database.", size)
    kept = connection.scalar(select(func.count()).select_from(ReportRow).where(ReportRow.deleted_at.is_(None)))
    yield GaugeMetricFamily("telltale_reports_kept", "Reports that can be opened.", kept)
    jobs = GaugeMetricFamily("telltale_jobs", "Jobs that wait or run.", labels=["state", "priority"])
    counted = select(JobRow.state, JobRow.priority, func.count()).group_by(JobRow.state, JobRow.priority)
    found = {(state, priority): number for state, priority, number in connection.execute(counted)}
    for state in (JobState.QUEUED, JobState.RUNNING):
        for priority in Priority:
            jobs.add_metric([state, priority.name.lower()], found.get((state, priority), 0))
    yield jobs
