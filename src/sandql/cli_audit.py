"""`sandql audit verify`: whether the audit log is what was written."""

from __future__ import annotations

from pathlib import Path

import typer

from sandql.access.audit import FOLDER
from sandql.access.audit_verify import verify
from sandql.core.settings import Settings

_WRONG = 1
_USAGE = 2


def report(settings: Settings, path: Path | None) -> int:
    """Print what was found: 0 when all is as it was written, 1 when a line is not, 2 when there is no log to read."""
    path = path or settings.state_dir / FOLDER
    try:
        found = verify(path)
    except FileNotFoundError:
        typer.echo(f"sandql: {path}: there is no audit log; a server writes its own into its SANDQL_STATE_DIR", err=True)
        return _USAGE
    except OSError as error:
        typer.echo(f"sandql: {path}: {error.strerror}", err=True)
        return _USAGE
    if found.wrong is not None:
        typer.echo(f"WRONG: {found.wrong}")
        typer.echo(f"{found.lines} lines before it are right")
        return _WRONG
    if not found.lines:
        typer.echo("OK: no lines yet")
        return 0
    typer.echo(f"OK: {found.lines} lines, {found.first} to {found.last}; the last has the hash {found.hash}")
    return 0
