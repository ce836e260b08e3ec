"""The settings, from the environment, read once and checked as a whole."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError
from sqlalchemy import URL

from app.amends.postgres.urls import parse_url
from app.amends.security.loopback import is_loopback
from app.amends.security.passwords import hide_url_secrets
from app.amends.security.tokens import Token, parse_tokens
from domain.amends.errors import DefinitionError, StartupError
from workflows.amends.values.limits import MIB
from workflows.amends.values.printable import one_line

S = TypeVar("S", bound="Settings")


class Settings(BaseSettings):
    """`DATABASE_URL`, and `AMENDS_` before the name of each other field."""

    model_config = SettingsConfigDict(env_prefix="AMENDS_", frozen=True, extra="forbid")

    database_url: str | None = Field(
        None, validation_alias="DATABASE_URL", description="a Postgres 15 or newer", repr=False
    )
    migration_url: str | None = Field(
        None, description="the same database for whoever may create tables and roles, if not DATABASE_URL", repr=False
    )
    data_dir: Path = Field(Path(".amends"), description="where the embedded Postgres lives")
    postgres_bin: Path | None = Field(
        None, description="the programs of the embedded Postgres, if not the packaged ones"
    )
    api_tokens: Annotated[dict[str, Token], NoDecode] = Field(
        default_factory=dict, description="name:token[:viewer|starter|operator],…", repr=False
    )
    open_metrics: bool = Field(False, description="whether /metrics is open to those without a token")
    provider_calls: int = Field(32, ge=1, le=10_000, description="calls to one provider at a time, in one process")
    provider_wait_seconds: float = Field(
        86_400.0,
        gt=0,
        le=31_536_000,
        description="how long a saga waits for a provider that is down, before an operator is asked",
    )
    long_wait_seconds: float = Field(
        900.0,
        gt=0,
        le=31_536_000,
        description="how long a saga waits for a provider or at a brake before it is among what needs a person",
    )
    database_wait_seconds: float = Field(
        60.0, ge=0, le=86_400, description="how long a server that starts waits for a database that is away"
    )
    lease_seconds: float = Field(5.0, ge=1.0, le=300.0, description="how long an executor may be silent")
    connections: int = Field(8, ge=1, le=200, description="connections that commit")
    readers: int = Field(8, ge=2, le=200, description="connections that read")
    snapshot_every: int = Field(500, ge=1, le=1_000_000, description="events that are folded before a snapshot is kept")
    running: int = Field(1000, ge=1, le=100_000, description="sagas that run at a time in one process; more are queued")
    value_bytes: int = Field(
        2 * MIB, ge=1024, le=64 * MIB, description="the largest value as JSON: an event, a result, a signal, a state"
    )
    commit_bytes: int = Field(8 * MIB, ge=1024, le=128 * MIB, description="the most that one transaction may write")
    followers: int = Field(256, ge=1, le=100_000, description="clients that follow /events/live at a time")
    request_bytes: int = Field(MIB, ge=1024, le=64 * MIB, description="the largest body of a request")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR")
    log_format: Literal["text", "json"] = Field("text", description="text, or json: one object a line")

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        """Raise DefinitionError for a setting of a service that has the name of one of ours."""
        super().__pydantic_init_subclass__(**options)
        for name in cls.__annotations__:
            if name in Settings.model_fields or name in vars(Settings):
                raise DefinitionError(
                    f"{cls.__name__}.{name}", "is the name of a setting of Amends' own: give yours another one"
                )

    @property
    def owner_url(self) -> URL | None:
        """The URL that migrates, if it is another one than the service's. Raises StartupError."""
        return parse_url(self.migration_url, "AMENDS_MIGRATION_URL") if self.migration_url is not None else None

    @field_validator("api_tokens", mode="before")
    @classmethod
    def _tokens(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if not (found := parse_tokens(value)):
            raise ValueError("is set and names nobody: leave it unset, or name somebody as name:token")
        return found

    @field_validator("data_dir", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment alone: a forgotten file sets nothing."""
        return (init_settings, env_settings)


def read_settings(cls: type[S], root: Path) -> S:
    """The settings of a service; an embedded Postgres lives below `root` by default.

    Raises StartupError with the wrong setting and the remedy.
    """
    known = {f"AMENDS_{name.upper()}" for name in cls.model_fields if name != "database_url"}
    for name in sorted(os.environ):
        if name.startswith("AMENDS_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(known))}."
            raise StartupError(f"There is no setting {name}.", hint)
    for name in ("DATABASE_URL", "AMENDS_MIGRATION_URL"):
        if (url := os.environ.get(name)) is not None:
            hide_url_secrets(url)
            parse_url(url, name)
    here = {} if "AMENDS_DATA_DIR" in os.environ else {"data_dir": root / ".amends"}
    try:
        return cls(**here)  # type: ignore[arg-type]
    except SettingsError as error:  # what stands for a list or the like is no JSON
        raise StartupError(f"{one_line(str(error))}.", "Give it as JSON.") from None
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)[0]
        raise StartupError(*_wrong(cls, found)) from None


def _wrong(cls: type[Settings], found: Any) -> tuple[str, str]:
    if not found["loc"]:
        return f"The settings do not fit together: {found['msg'].removeprefix('Value error, ')}.", "Change one of them."
    field = str(found["loc"][0])
    name = field if field == "DATABASE_URL" else f"AMENDS_{field.upper()}"
    about = cls.model_fields[field.lower()].description if field.lower() in cls.model_fields else None
    remedy = f"It says: {about}." if about else "Set it to something else, or unset it if it has a default."
    return f"{name} is wrong: {found['msg'].removeprefix('Value error, ')}.", remedy


def require_tokens_if_public(settings: Settings, host: str) -> None:
    """Raise StartupError for a server that other machines reach without tokens."""
    if not is_loopback(host) and not settings.api_tokens:
        raise StartupError(
            f"Serving on {host} would let anybody on the network act.",
            "Set AMENDS_API_TOKENS=name:token,… or serve on 127.0.0.1.",
        )
