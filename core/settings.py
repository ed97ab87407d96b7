"""One frozen record of everything the operator can set, read once from the environment at start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import AppError

VERSION = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds app.py."""


class Settings(BaseModel):
    """What the operator chose; every field has a default that works offline on a laptop."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Path = Field(ROOT / "data", alias="TELLTALE_DATA")
    """The only folder that is written to: database, uploads while they are analysed, caches."""
    weights: Path | None = Field(None, alias="TELLTALE_WEIGHTS")
    """A folder that is looked in for weights before any download."""
    hub_namespace: str | None = Field(None, pattern=r"^[\w.-]+/[\w.-]+@[0-9a-f]{40}$", alias="TELLTALE_HUB_NAMESPACE")
    """The operator's own repository of converted weights on the Hub, at one commit: owner/name@revision."""
    max_mb: float = Field(200, gt=0, alias="TELLTALE_MAX_MB")
    max_seconds: float = Field(300, gt=0, alias="TELLTALE_MAX_SECONDS")
    max_side_px: int = Field(4096, ge=64, alias="TELLTALE_MAX_SIDE_PX")
    strong_signs: float = Field(0.823, gt=0, lt=1, alias="TELLTALE_STRONG_SIGNS")
    """From this calibrated P(fake) on: strong signs."""
    some_signs: float = Field(0.554, gt=0, lt=1, alias="TELLTALE_SOME_SIGNS")
    no_signs: float = Field(0.392, gt=0, lt=1, alias="TELLTALE_NO_SIGNS")
    """Below this calibrated P(fake): no signs found. Between this and `some_signs`: inconclusive."""
    max_minutes: float = Field(15, gt=0, alias="TELLTALE_MAX_MINUTES")
    """An analysis that takes longer than this is stopped."""
    at_once: int = Field(1, ge=1, alias="TELLTALE_AT_ONCE")
    """Analyses that run side by side; one uses all cores already."""
    waiting: int = Field(16, ge=1, alias="TELLTALE_WAITING")
    """Requests that may wait for their turn before further ones are turned away."""
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
    def database_url(self) -> str:
        return f"sqlite:///{self.data / 'telltale.db'}"

    @property
    def uploads(self) -> Path:
        return self.data / "uploads"


_FOREIGN = {"TELLTALE_SHARED"}
"""Variables of that prefix which belong to the tests."""
