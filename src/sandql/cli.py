"""The command line: `sandql serve | run | keys | usage | audit | template | doctor | bench | schema`.

Imports of what a command needs stand inside it: `sandql serve` must be serving within two seconds,
and `sandql --help` needs none of the house.

    exit code   when
    0           done
    1           `doctor`: code cannot be run here; `audit verify`: the log is not what was written; any: what it prints cannot be written
    2           the command line or a setting is not acceptable
    3           `serve`: the server could not start; its log says why
    124, 125    `run`: the program ran out of time; the house could not run it
    other       `run`: the program's own, or 128 + the number of the signal that ended it
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from sandql.core.settings import Settings

USAGE = 2

app = typer.Typer(name="sandql", add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def _stop(message: str) -> NoReturn:
    for line in message.splitlines():
        typer.echo(f"sandql: {line}", err=True)
    raise typer.Exit(USAGE)


def _settings(**overrides: object) -> Settings:
    """The settings, with what the command line gave on top; a bad one ends the command with its name, bound and value."""
    from sandql.core.settings import SettingsError, load_settings

    try:
        return load_settings(**{name: value for name, value in overrides.items() if value is not None})
    except SettingsError as error:
        _stop(str(error))


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"sandql {version('sandql')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")] = False,
) -> None:
    """Run code that you don't trust, and keep its files. Settings are SANDQL_* variables; docs/settings.md lists them."""


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on, instead of SANDQL_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="TCP port to listen on, instead of SANDQL_PORT; 0 takes a free one.")] = None,
) -> None:
    """Start the server and serve until SIGINT or SIGTERM."""
    gc.disable()  # what is imported stays, and to look for garbage in it takes a sixth of the start; the server enables it when it is ready
    settings = _settings(host=host, port=port)
    try:
        settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        _stop(f"SANDQL_STATE_DIR: a folder that can be made or is there already, got {str(settings.state_dir)!r}: {error.strerror}")
    from sandql.core.log import configure_logging
    from sandql.core.settings import SettingsError
    from sandql.server.serve import serve as serve_forever

    configure_logging(settings.log_format, settings.log_level)
    try:
        serve_forever(settings)
    except SettingsError as error:
        _stop(str(error))


@app.command(short_help="Run a program in a fresh sandbox, and exit as it does.")
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The program.", exists=True, dir_okay=False, readable=True)],
    args: Annotated[list[str] | None, typer.Argument(metavar="[-- ARGS]", help="The program's own arguments, after `--`.")] = None,
    language: Annotated[str | None, typer.Option(help="Its language; guessed by the file's ending when left out.")] = None,
    stdin: Annotated[str | None, typer.Option(metavar="FILE|-", help="What the program reads; nothing when left out.")] = None,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="Wall time after which it is ended, instead of SANDQL_WALL_MS.")] = None,
) -> None:
    """Run a program in a fresh sandbox, print what it prints as it comes, and exit as it does."""
    from sandql.cli_run import UsageError, ask, run_program
    from sandql.core.log import configure_logging

    # One run needs one cell; the pools of a server would only be made and thrown away.
    settings = _settings(pool_size=1, node_pool_size=0, program_pool_size=0)
    # Beside a program's own output only what went wrong is of interest.
    configure_logging(settings.log_format, "debug" if settings.log_level == "debug" else "warning")
    try:
        asked = ask(file, language=language, stdin=stdin, timeout_s=timeout, args=tuple(args or ()), settings=settings)
    except UsageError as error:
        _stop(str(error))
    sys.exit(run_program(settings, asked))


@app.command(short_help="Say what this host has for running code safely.")
def doctor() -> None:
    """Say what this host has for running code safely, and what mends what is missing."""
    settings = _settings()
    from sandql.cli_doctor import report
    from sandql.core.log import configure_logging

    configure_logging(settings.log_format, "debug" if settings.log_level == "debug" else "error")  # the findings say it better
    sys.exit(report(settings))


template_app = typer.Typer(no_args_is_help=True, help="Named starting states of sandboxes: build them, list them, remove them.")
app.add_typer(template_app, name="template", short_help="Named starting states of sandboxes.")


@template_app.command("build")
def template_build(name: Annotated[str, typer.Argument(metavar="NAME", help="Which: `sandql template list` shows them.")]) -> None:
    """Install a template's packages, in the versions that this sandql was tested with."""
    from sandql.cli_template import build

    sys.exit(build(_settings(), name))


@template_app.command("list")
def template_list() -> None:
    """Show the templates, and which of them are built."""
    from sandql.cli_template import show

    sys.exit(show(_settings()))


@template_app.command("remove")
def template_remove(name: Annotated[str, typer.Argument(metavar="NAME", help="Which.")]) -> None:
    """Remove a template that was built."""
    from sandql.cli_template import remove

    sys.exit(remove(_settings(), name))


audit_app = typer.Typer(no_args_is_help=True, help="The audit log: who did what, and whether it was let happen.")
app.add_typer(audit_app, name="audit")


@audit_app.command("verify")
def audit_verify(
    path: Annotated[Path | None, typer.Argument(metavar="[FILE|FOLDER]", help="A log's folder, or one file of it; the server's own.")] = None,
) -> None:
    """Read an audit log and say whether each line is there as it was written, or which is the first that is not."""
    from sandql.cli_audit import report

    sys.exit(report(_settings(), path))


keys_app = typer.Typer(no_args_is_help=True, help="API keys: make them, list them, revoke them, rotate them.")
app.add_typer(keys_app, name="keys")

KeyId = Annotated[str, typer.Argument(metavar="ID", help="Which: `sandql keys list` shows the ids.")]


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name to know it by.")],
    subject: Annotated[str | None, typer.Option(help="Who comes in by it; the name when left out.")] = None,
    role: Annotated[str, typer.Option(help="Their role: viewer, developer, admin or one of SANDQL_ACCESS_FILE.")] = "developer",
    plan: Annotated[str, typer.Option(help="Their plan: free, pro, enterprise, unlimited or one of SANDQL_ACCESS_FILE.")] = "free",
    tenant: Annotated[str | None, typer.Option(help="Their tenant; none when left out.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(metavar="PERMISSION", help="All that it may do of what the role grants, as execute_code; may be given several times."),
    ] = None,
    expires_in: Annotated[float | None, typer.Option(metavar="SECONDS", help="How long it is valid; for ever when left out.")] = None,
) -> None:
    """Make an API key, and print it: it is shown this once."""
    from sandql.cli_keys import create, scopes_of
    from sandql.core.api_keys import NewApiKey

    try:
        scopes = scopes_of(scope)
    except ValueError as error:
        _stop(str(error))
    sys.exit(create(_settings(), NewApiKey(name, subject or name, role, plan, tenant, scopes, expires_in)))


@keys_app.command("list")
def keys_list() -> None:
    """Show what the API keys are for; not the keys themselves."""
    from sandql.cli_keys import show

    sys.exit(show(_settings()))


@keys_app.command("revoke")
def keys_revoke(id: KeyId) -> None:
    """Let an API key prove nothing any more."""
    from sandql.cli_keys import revoke

    sys.exit(revoke(_settings(), id))


@keys_app.command("rotate")
def keys_rotate(
    id: KeyId,
    grace: Annotated[float, typer.Option(metavar="SECONDS", help="How long the old key is valid still.")] = 0.0,
) -> None:
    """Make an API key in the place of another, and print it."""
    from sandql.cli_keys import rotate

    sys.exit(rotate(_settings(), id, grace))


usage_app = typer.Typer(no_args_is_help=True, help="What callers used: executions, CPU time, memory and bytes.")
app.add_typer(usage_app, name="usage")


@usage_app.command("export")
def usage_export(
    csv: Annotated[bool, typer.Option("--csv", help="As comma-separated values; there is no other form yet.")] = False,
    first: Annotated[str | None, typer.Option("--from", metavar="DATE", help="The first day in UTC, as 2026-01-31; all when left out.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DATE", help="The last day in UTC, which is included.")] = None,
) -> None:
    """Print what was used, a line for each day, caller, provider and language. A server that runs may tell the last second later."""
    if not csv:
        _stop("usage export: give --csv, the form in which it is written")
    from sandql.cli_usage import export

    sys.exit(export(_settings(), first, last))


@app.command(short_help="Measure this machine.", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def bench(context: typer.Context) -> None:
    """Measure this machine: runs a second, latencies and memory, beside bare interpreters."""
    from sandql.bench import main as bench_main

    sys.exit(bench_main(context.args))


@app.command()
def schema() -> None:
    """Print the GraphQL schema that this version serves."""
    from sandql.schema import sdl

    typer.echo(sdl.printed(), nl=False)


def main() -> None:
    """The `sandql` command."""
    try:
        try:
            app()
        finally:
            if sys.stdout is not None:  # else it was closed before we began
                sys.stdout.flush()  # while what goes wrong can still be said
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EPIPE):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter's end tries to write it again, and complains
        if error.errno == errno.EPIPE:  # nobody reads any more
            sys.exit(1)
        typer.echo(f"sandql: what it prints cannot be written: {error.strerror}", err=True)
        sys.exit(1)
