"""An empty database of each kind for every test of this folder."""

from __future__ import annotations

from tests.store.conftest import database_url, postgres

__all__ = ["database_url", "postgres"]
