"""The one table of settings: `SANDQL_*` variables, or the same names in lower case in a TOML file.

Every field has a default, a unit in its name or help, and a help text; docs/settings.md lists them all.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from sandql.core.values import GiB, KiB, MiB

_PREFIX = "SANDQL_"
_CONFIG_VARIABLE = "SANDQL_CONFIG"


def _state_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "sandql"


class SettingsError(ValueError):
    """A setting is unknown or out of its bound; the message has a line for each, with its name, bound and value."""


class Settings(BaseSettings):
    """Everything that an operator can set. Unknown names are refused."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="forbid", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(8000, description="TCP port to listen on; 0 takes a free one.")
    state_dir: Path = Field(default_factory=_state_dir, description="Folder of everything that must last: homes and their files.")
    default_provider: Literal["local"] = Field("local", description="Provider used when a request names none.")
    allow_unauthenticated: bool = Field(
        False, description="Serve callers without credentials on an address other than loopback. Anyone who reaches the port can run code."
    )
    allowed_origins: tuple[str, ...] = Field((), description="Origins besides the server's own whose pages may call it, as a JSON list.")
    log_format: Literal["console", "json"] = Field("console", description="Shape of log lines.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")

    pool_size: Annotated[int, Field(ge=1, le=256)] = Field(12, description="Parked Python cells kept ready.")
    node_pool_size: Annotated[int, Field(ge=0, le=64)] = Field(2, description="Parked node processes kept ready.")
    program_pool_size: Annotated[int, Field(ge=0, le=256)] = Field(
        8, description="Parked cells kept ready for languages other than Python and JavaScript that need no compiler."
    )
    max_concurrent_runs: Annotated[int, Field(ge=1, le=10_000)] = Field(512, description="Runs at one time; more wait in a queue.")
    max_queued_runs: Annotated[int, Field(ge=0, le=100_000)] = Field(1024, description="Runs that wait; more are refused with RESOURCE_ERROR.")

    code_bytes: Annotated[int, Field(ge=1, le=64 * MiB)] = Field(1 * MiB, description="Most bytes of `code`.")
    stdin_bytes: Annotated[int, Field(ge=0, le=256 * MiB)] = Field(8 * MiB, description="Most bytes of `stdin`.")
    file_bytes: Annotated[int, Field(ge=1, le=256 * MiB)] = Field(16 * MiB, description="Most bytes of a file read or written through GraphQL.")
    path_bytes: Annotated[int, Field(ge=16, le=4096)] = Field(4096, description="Most bytes of a path.")
    wall_ms: Annotated[int, Field(ge=1, le=300_000)] = Field(30_000, description="Default wall time of a run, in milliseconds.")
    max_wall_ms: Annotated[int, Field(ge=1, le=3_600_000)] = Field(300_000, description="Most wall time that a request may ask for, in milliseconds.")
    memory_bytes: Annotated[int, Field(ge=32 * MiB, le=64 * GiB)] = Field(512 * MiB, description="Default and most memory of a run, in bytes.")
    processes: Annotated[int, Field(ge=1, le=4096)] = Field(64, description="Default and most processes and threads of a run.")
    open_files: Annotated[int, Field(ge=16, le=65_536)] = Field(256, description="Default and most open files of each process of a run.")
    workspace_bytes: Annotated[int, Field(ge=64 * KiB, le=64 * GiB)] = Field(256 * MiB, description="Most bytes in a workspace.")
    workspace_inodes: Annotated[int, Field(ge=16, le=16_777_216)] = Field(65_536, description="Most files and folders in a workspace.")
    output_bytes: Annotated[int, Field(ge=0, le=64 * MiB)] = Field(1 * MiB, description="Most bytes of stdout, and of stderr, kept in a result.")
    output_hard_bytes: Annotated[int, Field(ge=1, le=64 * GiB)] = Field(
        64 * MiB, description="Bytes of output after which a run that is not streamed ends with OUTPUT_LIMIT."
    )
    home_idle_s: Annotated[int, Field(ge=60)] = Field(86_400, description="Seconds without use after which a home's files are removed.")

    body_bytes: Annotated[int, Field(ge=1024, le=1 * GiB)] = Field(32 * MiB, description="Most bytes of a request's body.")
    query_depth: Annotated[int, Field(ge=1, le=100)] = Field(10, description="Deepest nesting of a GraphQL document.")
    query_aliases: Annotated[int, Field(ge=0, le=1000)] = Field(15, description="Most aliases in a GraphQL document.")
    query_tokens: Annotated[int, Field(ge=10, le=1_000_000)] = Field(2_000, description="Most tokens in a GraphQL document.")
    query_bytes: Annotated[int, Field(ge=1024, le=16 * MiB)] = Field(
        256 * KiB, description="Most bytes of a GraphQL document; programs and files may be longer when sent as variables."
    )
    query_cost: Annotated[int, Field(ge=1, le=1_000_000)] = Field(1_000, description="Most declared cost of a GraphQL document.")
    max_batch: Annotated[int, Field(ge=1, le=100)] = Field(10, description="Most operations in one batched request.")
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = Field(1024, description="Most WebSocket connections at one time.")
    max_subscriptions: Annotated[int, Field(ge=1, le=10_000)] = Field(100, description="Most operations at one time on one WebSocket connection.")
    init_timeout_s: Annotated[float, Field(gt=0, le=300)] = Field(5.0, description="Seconds in which a WebSocket connection must be initialised.")
    body_timeout_s: Annotated[float, Field(gt=0, le=3600)] = Field(30.0, description="Seconds in which a request's body must arrive.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, and that over the TOML file."""
        sources = [init_settings, env_settings]
        if config := os.environ.get(_CONFIG_VARIABLE):
            sources.append(TomlConfigSettingsSource(settings_cls, Path(config)))
        return tuple(sources)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the arguments, the environment and the TOML file that `SANDQL_CONFIG` names.

    Raises:
        SettingsError: a name is unknown, a value is out of its bound, or the file cannot be read.
    """
    known = {_PREFIX + name.upper() for name in Settings.model_fields} | {_CONFIG_VARIABLE}
    unknown = sorted(name for name in os.environ if name.startswith(_PREFIX) and name not in known)
    if unknown:
        raise SettingsError("\n".join(f"{name}: there is no such setting; docs/settings.md lists them" for name in unknown))
    config = os.environ.get(_CONFIG_VARIABLE)
    if config and not Path(config).is_file():
        raise SettingsError(f"{_CONFIG_VARIABLE}: no file at {config!r}")
    try:
        return Settings(**overrides)  # pyright: ignore[reportArgumentType]  (checked by pydantic, at run time)
    except ValidationError as error:
        lines = [
            f"{_PREFIX}{'_'.join(str(part) for part in item['loc'][:1]).upper()}: {item['msg']}, got {item['input']!r}" for item in error.errors()
        ]
        raise SettingsError("\n".join(lines)) from None
    except ValueError as error:
        raise SettingsError(f"settings cannot be read: {error}") from None
