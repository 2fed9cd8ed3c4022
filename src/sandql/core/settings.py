"""The one table of settings: `SANDQL_*` variables, or the same names in lower case in a TOML file.

Every field has a default, a unit in its name or help, and a help text; docs/settings.md lists them all.
"""

from __future__ import annotations

import json
import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, IPvAnyNetwork, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from sandql.core.values import GiB, KiB, MiB

_PREFIX = "SANDQL_"
_CONFIG_VARIABLE = "SANDQL_CONFIG"
_SECRET = frozenset({"jwt_secret", "database_url", "redis_url", "otlp_endpoint", "jwt_jwks_url"})  # not shown, not even when not acceptable
_NO_SUCH = "{}: there is no such setting; docs/settings.md lists them"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@*]+")


def _listed(given: object) -> object:
    """A list that an environment variable has as JSON; a TOML file has one as it is."""
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except ValueError:
        raise ValueError('must be a JSON list, as ["…", "…"]') from None


def _origin(given: str) -> str:
    """An origin as browsers send it."""
    origin = given.lower().removesuffix("/")
    if not _ORIGIN.fullmatch(origin):
        raise ValueError("each must be an origin, as https://app.example.com: a scheme, a name, a port where there is one, and nothing else")
    return origin


_Origin = Annotated[str, AfterValidator(_origin)]


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
    allowed_origins: Annotated[tuple[_Origin, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="Origins besides the server's own whose pages may call it, as a JSON list."
    )
    access_file: Path | None = Field(None, description="TOML file with roles and plans, beside those that come with sandql.")
    auth: Literal["auto", "none", "required"] = Field(
        "auto", description="Whether every caller needs a credential; `auto`: where tokens are set up by one of the three settings below."
    )
    jwt_secret: SecretStr | None = Field(None, description="Secret by which tokens are signed with HS256; at least 32 bytes.")
    jwt_key_file: Path | None = Field(
        None, description="File with the public keys by which tokens are verified (RS256, ES256, EdDSA): PEM, JWK or JWK set."
    )
    jwt_jwks_url: str | None = Field(None, description="Where an issuer publishes its public keys as a JWK set; https, or http on this machine.")
    jwt_jwks_refresh_s: Annotated[float, Field(gt=0, le=86_400)] = Field(300.0, description="Seconds after which an issuer's keys are fetched again.")
    jwt_jwks_retry_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        10.0, description="Least seconds between two fetches for the sake of tokens whose key is not known."
    )
    jwt_jwks_stale_s: Annotated[float, Field(gt=0, le=604_800)] = Field(
        86_400.0, description="Seconds for which an issuer's keys are used while it cannot be reached."
    )
    jwt_issuer: str | None = Field(None, description="The `iss` that tokens must have.")
    jwt_audience: str | None = Field(None, description="The `aud` that tokens must have, alone or among others.")
    jwt_leeway_s: Annotated[float, Field(ge=0, le=300)] = Field(5.0, description="Seconds by which the clocks of issuer and server may differ.")
    jwt_subject_claim: str = Field("sub", description="Claim that says who the holder of a token is.")
    jwt_tenant_claim: str = Field("tenant", description="Claim that says to which tenant the holder belongs.")
    jwt_role_claim: str = Field("role", description="Claim that names the holder's role.")
    jwt_plan_claim: str = Field("plan", description="Claim that names the holder's plan.")
    jwt_default_role: str = Field("developer", description="Role of a token that names none.")
    jwt_default_plan: str = Field("free", description="Plan of a token that names none.")
    audit: Literal["off", "on", "required"] = Field(
        "on", description="Audit log in the state folder; with required, what cannot be written there is not done."
    )
    audit_segment_bytes: Annotated[int, Field(ge=4 * KiB, le=16 * GiB)] = Field(
        64 * MiB, description="Bytes of a file of the audit log, after which another is begun; none is ever removed."
    )
    trusted_proxies: Annotated[tuple[IPvAnyNetwork, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="Networks of proxies whose X-Forwarded-For is believed, as a JSON list; without them it is ignored."
    )
    address_rate: str = Field(
        "60/minute", description="Requests of one address, of a /64 with IPv6, that are answered with UNAUTHENTICATED; more with RATE_LIMITED."
    )
    log_format: Literal["console", "json"] = Field("console", description="Shape of log lines.")
    request_log: bool = Field(True, description="Log a line for each request, and for each operation on a WebSocket.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")

    drain_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        5.0, description="Seconds that requests and operations on their way have to end when the server is told to; then they are cancelled."
    )
    otlp_endpoint: str | None = Field(
        None,
        description="Address of a collector of traces, OTLP over HTTP, as http://127.0.0.1:4318; needs the extra `otel`.",
    )
    metrics_port: Annotated[int | None, Field(ge=0, le=65_535)] = Field(
        None, description="TCP port of an own listener for `/metrics`; 0 takes a free one. Off when left out."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of that listener. Whoever reaches it reads the metrics without credentials.")
    metrics_public: bool = Field(False, description="Answer `/metrics` at the server's own address too, to administrators.")

    pool_size: Annotated[int, Field(ge=1, le=256)] = Field(12, description="Parked Python cells kept ready.")
    node_pool_size: Annotated[int, Field(ge=0, le=64)] = Field(2, description="Parked node processes kept ready.")
    program_pool_size: Annotated[int, Field(ge=0, le=256)] = Field(
        8, description="Parked cells kept ready for languages other than Python and JavaScript that need no compiler."
    )
    max_concurrent_runs: Annotated[int, Field(ge=1, le=10_000)] = Field(512, description="Runs at one time; more wait in a queue.")
    max_queued_runs: Annotated[int, Field(ge=0, le=100_000)] = Field(1024, description="Runs that wait; more are refused with RESOURCE_ERROR.")
    breaker_failures: Annotated[int, Field(ge=1, le=1_000)] = Field(
        5, description="Failures of a provider in a row, after which it is left alone and each run is refused with PROVIDER_UNAVAILABLE."
    )
    breaker_pause_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        10.0, description="Seconds until one run may try such a provider again; when that succeeds, all may."
    )

    code_bytes: Annotated[int, Field(ge=1, le=64 * MiB)] = Field(1 * MiB, description="Most bytes of `code`.")
    stdin_bytes: Annotated[int, Field(ge=0, le=256 * MiB)] = Field(8 * MiB, description="Most bytes of `stdin`.")
    file_bytes: Annotated[int, Field(ge=1, le=256 * MiB)] = Field(16 * MiB, description="Most bytes of a file read or written through GraphQL.")
    file_stream_bytes: Annotated[int, Field(ge=1, le=1024 * GiB)] = Field(
        1 * GiB, description="Most bytes of a file, or of an archive, sent or received as a stream; a workspace's own bound may be less."
    )
    max_watched_folders: Annotated[int, Field(ge=1, le=1_000_000)] = Field(8192, description="Most folders that one subscription watches.")
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
    database_url: str | None = Field(
        None, description="Database, as postgresql://user:password@host/name; the SQLite file sandql.db in the state folder when left out."
    )
    redis_url: str | None = Field(
        None, description="Redis in which several servers count rates together, as redis://user:password@host/0; each alone when left out."
    )
    sandbox_timeout_ms: Annotated[int, Field(ge=100, le=2_147_483_647)] = Field(
        600_000, description="Default time that a kept sandbox lives without work, in milliseconds."
    )
    max_sandbox_timeout_ms: Annotated[int, Field(ge=100, le=2_147_483_647)] = Field(
        86_400_000, description="Most time without work that a kept sandbox may be given, in milliseconds."
    )
    sandbox_warning_s: Annotated[float, Field(ge=0, le=86_400)] = Field(
        60.0, description="Seconds before a sandbox expires at which its watchers are told; at most half of its own time."
    )
    max_sandboxes: Annotated[int, Field(ge=0, le=100_000)] = Field(100, description="Most kept sandboxes of a caller at one time.")
    max_executions: Annotated[int, Field(ge=0, le=10_000)] = Field(
        64, description="Most executions of a caller at one time that were started to outlive their client."
    )
    execution_log_bytes: Annotated[int, Field(ge=64 * KiB, le=64 * GiB)] = Field(
        64 * MiB, description="Bytes of events kept of such an execution, after which it ends with OUTPUT_LIMIT."
    )
    execution_logs_bytes: Annotated[int, Field(ge=1 * MiB)] = Field(
        4 * GiB, description="Bytes of events kept of all ended executions together; the oldest go first."
    )
    max_terminals: Annotated[int, Field(ge=0, le=10_000)] = Field(16, description="Most terminals of a caller at one time.")
    terminal_kept_bytes: Annotated[int, Field(ge=64 * KiB, le=64 * MiB)] = Field(
        256 * KiB, description="Bytes of what a terminal showed that are kept for who comes back to it."
    )
    terminal_idle_s: Annotated[int, Field(ge=1)] = Field(3600, description="Seconds without input and output after which a terminal is closed.")
    terminal_max_s: Annotated[int, Field(ge=1, le=2_000_000)] = Field(43_200, description="Seconds after which a terminal is closed in any case.")
    terminal_retention_s: Annotated[int, Field(ge=0)] = Field(
        600, description="Seconds for which a terminal that has ended is known; of a caller, at most as many as may be open."
    )
    max_contexts: Annotated[int, Field(ge=0, le=10_000)] = Field(16, description="Most contexts of a caller at one time.")
    context_idle_s: Annotated[int, Field(ge=1)] = Field(1800, description="Seconds without an execution after which a context is closed.")
    context_max_s: Annotated[int, Field(ge=1, le=2_000_000)] = Field(43_200, description="Seconds after which a context ends in any case.")
    ended_retention_s: Annotated[int, Field(ge=60)] = Field(
        86_400, description="Seconds for which ended sandboxes and executions, with their events, and idempotency keys are known."
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
    max_connections: Annotated[int, Field(ge=1, le=100_000)] = Field(
        1024, description="Most WebSocket connections at one time, and most event streams; half of them of one caller."
    )
    max_streams: Annotated[int, Field(ge=1, le=100_000)] = Field(
        1000, description="Most subscriptions, and downloads and uploads as streams, of a caller at one time, through all doors."
    )
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
    def has_tokens(self) -> bool:
        """Whether callers can come with a token of an issuer."""
        return not (self.jwt_secret is None and self.jwt_key_file is None and self.jwt_jwks_url is None)

    @property
    def requires_credentials(self) -> bool:
        """Whether every caller needs a credential."""
        return self.auth == "required" or (self.auth == "auto" and self.has_tokens)

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
        raise SettingsError("\n".join(map(_NO_SUCH.format, unknown)))
    config = os.environ.get(_CONFIG_VARIABLE)
    if config and not Path(config).is_file():
        raise SettingsError(f"{_CONFIG_VARIABLE}: no file at {config!r}")
    try:
        return Settings(**overrides)  # pyright: ignore[reportArgumentType]  (checked by pydantic, at run time)
    except ValidationError as error:
        raise SettingsError(
            "\n".join(_said(str(item["loc"][0]) if item["loc"] else "", item["msg"], item["input"]) for item in error.errors())
        ) from None
    except ValueError as error:
        raise SettingsError(f"settings cannot be read: {error}") from None


def _said(name: str, message: str, given: object) -> str:
    if name not in Settings.model_fields:  # it may be a secret whose name was misspelled, so what was given is not shown
        return _NO_SUCH.format(f"{_PREFIX}{name.upper()}")
    return f"{_PREFIX}{name.upper()}: {message.removeprefix('Value error, ')}" + ("" if name in _SECRET else f", got {given!r}")
