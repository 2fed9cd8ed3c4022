"""What stops a start, and what it says then: the name, the bound, what was given, and no traceback."""

from __future__ import annotations

import importlib.metadata
import signal
from pathlib import Path

import pytest

from tests.cli.command import sandql_command, start
from tests.support.server import running_server


@pytest.mark.unit
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"SANDQL_PORT": "99999"}, ["SANDQL_PORT", "65535", "99999"]),
        ({"SANDQL_PORT": "http"}, ["SANDQL_PORT", "integer", "http"]),
        ({"SANDQL_WALL_MS": "0"}, ["SANDQL_WALL_MS", "1", "0"]),
        ({"SANDQL_LOG_FORMAT": "xml"}, ["SANDQL_LOG_FORMAT", "json", "xml"]),
        ({"SANDQL_DEFAULT_PROVIDER": "nowhere"}, ["SANDQL_DEFAULT_PROVIDER", "local", "nowhere"]),
        ({"SANDQL_PROT": "8000"}, ["SANDQL_PROT", "no such setting", "docs/settings.md"]),
        ({"SANDQL_CONFIG": "/nowhere/sandql.toml"}, ["SANDQL_CONFIG", "/nowhere/sandql.toml"]),
    ],
)
def test_a_bad_setting_stops_the_start(settings: dict[str, str], said: list[str]) -> None:
    done = sandql_command("serve", settings=settings)
    assert done.returncode == 2
    assert done.stdout == b""
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("sandql: ")
    assert all(part in lines[0] for part in said)


_PASSWORD = "plAnted-5ecret"


@pytest.mark.unit
@pytest.mark.parametrize(
    ("settings", "file"),
    [
        ({"SANDQL_DATABASE_URL": f"mysql://user:{_PASSWORD}@host/name"}, ""),
        ({"SANDQL_REDIS_URL": f"redis://user:{_PASSWORD}@host:port/0"}, ""),
        ({"SANDQL_JWT_JWKS_URL": f"https://user:{_PASSWORD}@host/keys"}, ""),
        ({"SANDQL_OTLP_ENDPOINT": f"user:{_PASSWORD}@host"}, ""),
        ({"SANDQL_JWT_SECRET": _PASSWORD}, ""),
        ({"SANDQL_JWT_SECRETT": _PASSWORD}, ""),
        ({"SANDQL_ACCESS_FILE": "FILE"}, f'password = "{_PASSWORD}"'),
        ({"SANDQL_ACCESS_FILE": "FILE"}, f'plans = "{_PASSWORD}'),
        ({"SANDQL_JWT_KEY_FILE": "FILE"}, f"-----BEGIN PRIVATE KEY-----\n{_PASSWORD}\n-----END PRIVATE KEY-----\n"),
        ({"SANDQL_JWT_KEY_FILE": "FILE"}, f'{{"kty": "oct", "k": "{_PASSWORD}"}}'),
        ({"SANDQL_CONFIG": "FILE"}, f'jwt_secrett = "{_PASSWORD}"'),
        ({"SANDQL_CONFIG": "FILE"}, f'database_url = ["postgresql://user:{_PASSWORD}@host/name"]'),
        ({"SANDQL_CONFIG": "FILE"}, f'redis_url = {{url = "{_PASSWORD}"}}'),
        ({"SANDQL_CONFIG": "FILE"}, f'jwt_secret = "{_PASSWORD}'),
    ],
)
def test_what_stops_a_start_is_said_without_what_is_secret(settings: dict[str, str], file: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(file)
    used = {name: str(path) if value == "FILE" else value for name, value in settings.items()}
    done = sandql_command("serve", settings={"SANDQL_STATE_DIR": str(tmp_path / "state"), "SANDQL_PORT": "0", **used})
    assert done.returncode == 2, done.stderr
    assert b"SANDQL_" in done.stderr or b"settings cannot be read" in done.stderr
    assert _PASSWORD.encode() not in done.stderr + done.stdout
    assert b"Traceback" not in done.stderr


@pytest.mark.unit
def test_a_bad_setting_stops_a_run_too(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text("print(1)")
    done = sandql_command("run", str(tmp_path / "hello.py"), settings={"SANDQL_MEMORY_BYTES": "0"})
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"sandql: SANDQL_MEMORY_BYTES: ")


@pytest.mark.unit
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "sandql.example"])
def test_a_door_to_other_machines_is_not_opened_by_accident(host: str) -> None:
    done = sandql_command("serve", settings={"SANDQL_HOST": host}) if ":" in host else sandql_command("serve", "--host", host)
    assert done.returncode == 2
    assert b"SANDQL_ALLOW_UNAUTHENTICATED" in done.stderr
    assert host.encode() in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_door_to_other_machines_opens_when_told_so_by_name() -> None:
    with start("serve", settings={"SANDQL_HOST": "0.0.0.0", "SANDQL_PORT": "0", "SANDQL_ALLOW_UNAUTHENTICATED": "true"}) as process:
        assert process.stdout is not None
        try:
            assert b"http://0.0.0.0:" in process.stdout.readline()
        finally:
            process.terminate()


def test_a_port_that_is_taken_is_named() -> None:
    with running_server() as server:
        done = sandql_command("serve", settings={"SANDQL_PORT": str(server.port)})
    assert done.returncode != 0
    assert str(server.port).encode() in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.unit
def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = sandql_command("serve", settings={"SANDQL_STATE_DIR": str(tmp_path / "file" / "state")})
    assert done.returncode == 2
    assert done.stderr.decode().startswith(f"sandql: SANDQL_STATE_DIR: a folder that can be made or is there already, got '{tmp_path}/file/state'")
    assert len(done.stderr.splitlines()) == 1


def test_a_server_that_could_not_start_says_so_and_fails(tmp_path: Path) -> None:
    (tmp_path / "homes").touch()  # where a folder must be
    done = sandql_command("serve", settings={"SANDQL_STATE_DIR": str(tmp_path), "SANDQL_PORT": "0"})
    assert done.returncode == 3
    assert "startup failed" in done.stderr.decode().splitlines()[-1]
    assert str(tmp_path / "homes").encode() in done.stderr
    assert b"ready" not in done.stdout


def test_a_server_that_is_interrupted_ends_quietly() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        with running_server() as server:
            server.process.send_signal(number)
            assert server.process.wait(20) == 0
        assert "Traceback" not in "".join(server.log)
        assert "Aborted" not in "".join(server.log)


@pytest.mark.unit
def test_help_names_the_commands_and_the_version_is_the_packages() -> None:
    done = sandql_command("--help")
    assert done.returncode == 0
    for name in ("serve", "run", "doctor", "bench", "schema"):
        assert f"  {name} ".encode() in done.stdout
    assert sandql_command("--version").stdout.decode() == f"sandql {importlib.metadata.version('sandql')}\n"


@pytest.mark.unit
def test_a_command_that_is_not_there_is_refused() -> None:
    done = sandql_command("sevre")
    assert done.returncode == 2
    assert b"sevre" in done.stderr


@pytest.mark.unit
def test_schema_prints_what_is_served() -> None:
    from sandql.schema.sdl import printed

    done = sandql_command("schema")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == printed()
