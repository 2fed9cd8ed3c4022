"""`sandql doctor`: what the host has for running code, and what mends what is missing."""

from __future__ import annotations

import shutil
import textwrap

import typer

from sandql.core.settings import Settings
from sandql.providers.local.doctor import examine


def report(settings: Settings) -> int:
    """Print a line for each finding, with its mend below it where there is one to make. Returns 1 when code cannot be run here."""
    findings = examine(settings)
    name_width = max(len(finding.name) for finding in findings)
    text_width = max(shutil.get_terminal_size().columns - 4, 40)
    for finding in findings:
        mark = "ok" if finding.ok else "no"
        typer.echo(f"{mark}  {finding.name.ljust(name_width)}  {finding.detail}")
        if not finding.ok and finding.mend:
            typer.echo(textwrap.fill(finding.mend, text_width, initial_indent="    mend: ", subsequent_indent="          "))
    cannot = [finding.name for finding in findings if finding.required and not finding.ok]
    typer.echo(f"\nCode cannot be run here: {', '.join(cannot)}." if cannot else "\nCode can be run here.")
    return 1 if cannot else 0
