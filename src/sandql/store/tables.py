"""The tables. Times are Unix seconds, ids are text, what has a shape of its own is JSON."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Double, Index, MetaData, String, Table, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

sandboxes = Table(
    "sandboxes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("provider", String(64), nullable=False),
    Column("server", String(64), nullable=False),  # the server that keeps it: several may share a database
    Column("ref", Text, nullable=False),  # the provider's own name for it; empty until it has one
    Column("template", String(64), nullable=False),
    Column("name", String(255)),
    Column("status", String(16), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("worked_at", Double, nullable=False),  # when it last had work
    Column("timeout_ms", BigInteger, nullable=False),  # how long it lives without work
    Column("ended_at", Double),
    Column("limits", JSON, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("env", JSON, nullable=False),
    Column("asked", String(64), nullable=False),  # the fingerprint of the arguments with which it was asked for
)
Index("ix_sandboxes_owner_created", sandboxes.c.owner, sandboxes.c.created_at, sandboxes.c.id)
Index("ix_sandboxes_server_status", sandboxes.c.server, sandboxes.c.status)
Index(  # a name belongs to one sandbox of an owner at a time
    "uq_sandboxes_owner_name",
    sandboxes.c.owner,
    sandboxes.c.name,
    unique=True,
    sqlite_where=sandboxes.c.ended_at.is_(None) & sandboxes.c.name.is_not(None),
    postgresql_where=sandboxes.c.ended_at.is_(None) & sandboxes.c.name.is_not(None),
)

executions = Table(
    "executions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("sandbox_id", String(64)),  # NULL for a fresh one
    Column("provider", String(64), nullable=False),
    Column("language", String(64), nullable=False),
    Column("server", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("outcome", String(16)),  # NULL while it runs
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
)
Index("ix_executions_owner_started", executions.c.owner, executions.c.started_at, executions.c.id)
Index("ix_executions_sandbox", executions.c.sandbox_id)
Index("ix_executions_server_status", executions.c.server, executions.c.status)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner", String(255), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),  # of the operation and its arguments
    Column("target", String(64), nullable=False),  # the id of what was started
    Column("created_at", Double, nullable=False),
)
Index("ix_idempotency_keys_created", idempotency_keys.c.created_at)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(64), primary_key=True),  # the part of a key by which it is found
    Column("digest", String(64), nullable=False),  # SHA-256 of the rest: 256 random bits need no slower hash
    Column("name", String(64), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("role", String(64), nullable=False),
    Column("plan", String(64), nullable=False),
    Column("tenant", String(255)),
    Column("scopes", JSON(none_as_null=True)),  # NULL where they do not narrow the role
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("last_used_at", Double),
    Column("revoked_at", Double),
)
Index("ix_api_keys_created", api_keys.c.created_at, api_keys.c.id)

usage = Table(  # what was used, by who, where, in what language, on which day in UTC, as 2026-01-31
    "usage",
    metadata,
    Column("owner", String(255), primary_key=True),
    Column("provider", String(64), primary_key=True),
    Column("language", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("executions", BigInteger, nullable=False),
    Column("cpu_ms", BigInteger, nullable=False),
    Column("memory_mb_ms", BigInteger, nullable=False),
    Column("wall_ms", BigInteger, nullable=False),
    Column("bytes_stored", BigInteger, nullable=False),
    Column("bytes_sent", BigInteger, nullable=False),
)
Index("ix_usage_owner_day", usage.c.owner, usage.c.day)
Index("ix_usage_day", usage.c.day)

quota_periods = Table(  # what an owner has used of a quota, and what is set aside for what runs
    "quota_periods",
    metadata,
    Column("owner", String(255), primary_key=True),
    Column("period", String(8), primary_key=True),
    Column("starts_at", BigInteger, primary_key=True, autoincrement=False),
    Column("used_executions", BigInteger, nullable=False),
    Column("used_cpu_ms", BigInteger, nullable=False),
    Column("used_memory_mb_ms", BigInteger, nullable=False),
    Column("reserved_executions", BigInteger, nullable=False),
    Column("reserved_cpu_ms", BigInteger, nullable=False),
    Column("reserved_memory_mb_ms", BigInteger, nullable=False),
)

quota_allotments = Table(  # which part of what is set aside is a server's
    "quota_allotments",
    metadata,
    Column("server", String(64), primary_key=True),
    Column("owner", String(255), primary_key=True),
    Column("period", String(8), primary_key=True),
    Column("starts_at", BigInteger, primary_key=True, autoincrement=False),
    Column("executions", BigInteger, nullable=False),
    Column("cpu_ms", BigInteger, nullable=False),
    Column("memory_mb_ms", BigInteger, nullable=False),
)

ledger_positions = Table(  # up to which number a server's journal is in these tables
    "ledger_positions",
    metadata,
    Column("server", String(64), primary_key=True),
    Column("position", BigInteger, nullable=False),
)
