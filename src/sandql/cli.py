"""The command line: `sandql serve | run | doctor | bench | schema`.

Imports of what a command needs stand inside it: `sandql serve` must be serving within two seconds,
and `sandql --help` needs none of the house.

    exit code   when
    0           done
    1           `doctor`: code cannot be run here
    2           the command line or a setting is not acceptable
    3           `serve`: the server could not start; its log says why
    124, 125    `run`: the program ran out of time; the house could not run it
    other       `run`: the program's own, or 128 + the number of the signal that ended it
"""

from __future__ import annotations

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


@app.command()
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


@app.command()
def doctor() -> None:
    """Say what this host has for running code safely, and what mends what is missing."""
    settings = _settings()
    from sandql.cli_doctor import report
    from sandql.core.log import configure_logging

    configure_logging(settings.log_format, "debug" if settings.log_level == "debug" else "error")  # the findings say it better
    sys.exit(report(settings))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
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
    app()
