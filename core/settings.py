"""One frozen record of everything the operator can set, read once from the environment at start."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from core.errors import AppError
from core.types import Thresholds

VERSION = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds app.py."""


class Mode(StrEnum):
    """Whom the page serves: anybody, each with their own reports, or the users of an organisation, who share them."""

    PUBLIC = "public"
    MODERATION = "moderation"


class LogFormat(StrEnum):
    """For whom the log is written: people, or machines that read one JSON object a line."""

    TEXT = "text"
    JSON = "json"


class Settings(BaseModel):
    """What the operator chose; every field has a default that works offline on a laptop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = Field(Mode.PUBLIC, alias="TELLTALE_MODE")
    data: Path = Field(ROOT / "data", alias="TELLTALE_DATA")
    """The only folder that is written to: database, uploads while they are analysed, caches."""
    database: SecretStr | None = Field(None, alias="DATABASE_URL")
    """A database other than the file in `data`, such as `postgresql://user:password@host/name`."""
    weights: Path | None = Field(None, alias="TELLTALE_WEIGHTS")
    """A folder that is looked in for weights before any download."""
    hub_namespace: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+@[0-9a-f]{40}$", alias="TELLTALE_HUB_NAMESPACE")
    """The operator's own repository of converted weights on the Hub, at one commit: owner/name@revision."""
    max_mb: float = Field(200, gt=0, alias="TELLTALE_MAX_MB")
    max_seconds: float = Field(300, gt=0, alias="TELLTALE_MAX_SECONDS")
    max_side_px: int = Field(4096, ge=64, alias="TELLTALE_MAX_SIDE_PX")
    strong_signs: float = Field(0.903, gt=0, lt=1, alias="TELLTALE_STRONG_SIGNS")
    """From this calibrated P(fake) on: strong signs."""
    some_signs: float = Field(0.544, gt=0, lt=1, alias="TELLTALE_SOME_SIGNS")
    no_signs: float = Field(0.399, gt=0, lt=1, alias="TELLTALE_NO_SIGNS")
    """Below this calibrated P(fake): no signs found. Between this and `some_signs`: inconclusive."""
    max_minutes: float = Field(15, gt=0, alias="TELLTALE_MAX_MINUTES")
    """An analysis that takes longer than this is stopped."""
    at_once: int = Field(1, ge=0, alias="TELLTALE_AT_ONCE")
    """Analyses that run side by side in one process; one uses all cores already. 0 leaves them to other processes."""
    waiting: int = Field(16, ge=1, alias="TELLTALE_WAITING")
    """Jobs of each priority that may wait for their turn before further ones are turned away."""
    per_hour: int = Field(100, ge=1, alias="TELLTALE_PER_HOUR")
    """Analyses that a visitor, or a user with all their keys, may ask for within an hour."""
    per_address: int = Field(300, ge=1, alias="TELLTALE_PER_ADDRESS")
    """The same for an address of the internet, from which several visitors may come."""
    lease_seconds: float = Field(60, gt=1, alias="TELLTALE_LEASE_SECONDS")
    """A worker that gives no sign of life for so long has lost its job."""
    claim_minutes: float = Field(20, gt=0, le=1440, alias="TELLTALE_CLAIM_MINUTES")
    """How long a reviewer keeps others off a report that they work on."""
    blind_first: bool = Field(False, alias="TELLTALE_BLIND_FIRST")
    """Reviewers commit an opinion before they are shown scores."""
    second_disagreement: bool = Field(True, alias="TELLTALE_SECOND_DISAGREEMENT")
    """Where methods contradict each other, a second reviewer looks as well."""
    second_near: float = Field(0.02, ge=0, lt=0.5, alias="TELLTALE_SECOND_NEAR")
    """The same where P(fake) lies no further than this from a threshold; 0: never."""
    second_share: float = Field(0.05, ge=0, le=1, alias="TELLTALE_SECOND_SHARE")
    """The same for this share of all reports, drawn by chance."""
    keep_hours: float = Field(24, gt=0, alias="TELLTALE_KEEP_HOURS")
    """In public mode, how old a report may get."""
    media_days: float = Field(30, gt=0, alias="TELLTALE_MEDIA_DAYS")
    """In moderation mode, how long the uploaded files are kept, and with them the scores and pictures of a report."""
    session_hours: float = Field(12, gt=0, alias="TELLTALE_SESSION_HOURS")
    """In moderation mode, how long after logging in people have to do so again."""
    webhooks_private: bool = Field(False, alias="TELLTALE_WEBHOOKS_PRIVATE")
    """Whether webhooks may lead to this machine and into private networks, where the app can reach more than others."""
    ray_address: str | None = Field(None, alias="TELLTALE_RAY_ADDRESS")
    """The Ray cluster that analyses run on, such as `auto` or `host:6379`; this machine must be part of it."""
    store: str | None = Field(None, alias="TELLTALE_STORE")
    """Through which files reach that cluster: a folder, or an address that fsspec knows; see `exchange`."""
    gpu_share: float = Field(0.5, gt=0, le=1, alias="TELLTALE_GPU_SHARE")
    """Of a GPU, for each process of the cluster that holds networks."""
    log_format: LogFormat = Field(LogFormat.TEXT, alias="TELLTALE_LOG_FORMAT")
    metrics: str | None = Field(None, pattern=r"^[^:]+:\d{1,5}$", alias="TELLTALE_METRICS")
    """Where Prometheus may ask for numbers, `address:port`; whoever reaches that gets them."""
    space_id: str | None = Field(None, alias="SPACE_ID")
    """`owner/name` on Hugging Face Spaces, which set it and show the page in a frame."""
    server_name: str = Field("127.0.0.1", alias="GRADIO_SERVER_NAME")
    server_port: int = Field(7860, ge=1, le=65535, alias="GRADIO_SERVER_PORT")

    @model_validator(mode="after")
    def _bands_are_in_order(self) -> Self:
        if not self.no_signs <= self.some_signs <= self.strong_signs:
            raise ValueError("the bands must rise: TELLTALE_NO_SIGNS, TELLTALE_SOME_SIGNS, TELLTALE_STRONG_SIGNS")
        return self

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Settings from variables such as `os.environ`.

        Raises:
            AppError: a TELLTALE_ variable is unknown, or a value is not of its kind; names the variable and the value.
        """
        known = {f.alias for f in cls.model_fields.values()}
        given = {
            k: v for k, v in environ.items() if v and (k in known or k.startswith("TELLTALE_")) and k not in _FOREIGN
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            key = first["loc"][0] if first["loc"] else "TELLTALE_*"
            raise AppError(f"{key}={given.get(str(key), '')!r} cannot be used: {first['msg']}.") from error

    @property
    def moderated(self) -> bool:
        return self.mode is Mode.MODERATION

    @property
    def database_url(self) -> str:
        return self.database.get_secret_value() if self.database else f"sqlite:///{self.data / 'telltale.db'}"

    @property
    def uploads(self) -> Path:
        return self.data / "uploads"

    @property
    def jobs(self) -> Path:
        """Where the files of jobs lie until these end."""
        return self.data / "jobs"

    @property
    def exchange(self) -> str:
        """Where files lie on their way to other machines."""
        return self.store or str(self.data / "exchange")

    @property
    def media(self) -> Path | None:
        """Where uploads are kept; None in public mode, where they are not."""
        return self.data / "media" if self.moderated else None

    @property
    def framed_by(self) -> str:
        """Whose pages may show this one in a frame, as a source of a Content-Security-Policy. Not the moderators' desk,
        where a click decides, and where browsers would keep the log-in from a frame of another site anyway."""
        return "https://huggingface.co" if self.space_id and not self.moderated else "'none'"

    @property
    def retention(self) -> timedelta:
        """How old a report may get."""
        return timedelta(days=self.media_days) if self.moderated else timedelta(hours=self.keep_hours)

    @property
    def thresholds(self) -> Thresholds:
        return Thresholds(self.strong_signs, self.some_signs, self.no_signs)


_FOREIGN = {"TELLTALE_SHARED", "TELLTALE_TEST_DATABASE_URL"}
"""Variables of that prefix which belong to the tests."""
