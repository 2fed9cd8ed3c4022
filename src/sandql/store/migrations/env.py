"""What alembic runs for each migration: it works on the connection that `sandql.store.migrate` gives it."""

from __future__ import annotations

from alembic import context

from sandql.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
