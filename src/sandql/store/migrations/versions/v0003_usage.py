"""What was used, and what is left of quotas."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_AMOUNTS = ("executions", "cpu_ms", "memory_mb_ms")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "usage",
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("language", sa.String(64), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in (*_AMOUNTS, "wall_ms", "bytes_stored", "bytes_sent")),
        sa.PrimaryKeyConstraint("owner", "provider", "language", "day", name="pk_usage"),
    )
    op.create_index("ix_usage_owner_day", "usage", ["owner", "day"])
    op.create_index("ix_usage_day", "usage", ["day"])
    op.create_table(
        "quota_periods",
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("period", sa.String(8), nullable=False),
        sa.Column("starts_at", sa.BigInteger, nullable=False),
        *(sa.Column(f"used_{name}", sa.BigInteger, nullable=False) for name in _AMOUNTS),
        *(sa.Column(f"reserved_{name}", sa.BigInteger, nullable=False) for name in _AMOUNTS),
        sa.PrimaryKeyConstraint("owner", "period", "starts_at", name="pk_quota_periods"),
    )
    op.create_table(
        "quota_allotments",
        sa.Column("server", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("period", sa.String(8), nullable=False),
        sa.Column("starts_at", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _AMOUNTS),
        sa.PrimaryKeyConstraint("server", "owner", "period", "starts_at", name="pk_quota_allotments"),
    )
    op.create_table(
        "ledger_positions",
        sa.Column("server", sa.String(64), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("server", name="pk_ledger_positions"),
    )


def downgrade() -> None:
    """Remove them."""
    for name in ("ledger_positions", "quota_allotments", "quota_periods", "usage"):
        op.drop_table(name)
