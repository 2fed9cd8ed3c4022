"""Settings: where they come from, and what is said of a bad one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sandql.core.settings import Settings, SettingsError, load_settings

pytestmark = pytest.mark.unit


def bounds() -> list[tuple[str, str, int | float]]:
    """Each bound of each number: the setting, "below" or "above", and the first value that is too much."""
    found: list[tuple[str, str, int | float]] = []
    for name, field in Settings.model_fields.items():
        for rule in field.metadata:
            for attribute, side, step in (("ge", "below", -1), ("gt", "below", 0), ("le", "above", 1), ("lt", "above", 0)):
                if (bound := getattr(rule, attribute, None)) is not None:
                    found.append((name, side, bound + step))
    return found


def test_every_number_has_a_least_value() -> None:
    numbers = {
        name for name, field in Settings.model_fields.items() if isinstance(field.default, int | float) and not isinstance(field.default, bool)
    }
    no_default = {"metrics_port"}
    assert numbers | no_default == {name for name, side, _ in bounds() if side == "below"}


@pytest.mark.parametrize(("name", "side", "value"), bounds())
def test_a_value_out_of_its_bound_is_refused_by_name(name: str, side: str, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SANDQL_{name.upper()}", str(value))
    with pytest.raises(SettingsError) as refused:
        load_settings()
    message = str(refused.value)
    assert message.startswith(f"SANDQL_{name.upper()}: ")
    assert str(value) in message
    assert ("greater than" if side == "below" else "less than") in message


@pytest.mark.parametrize("value", ["", "ten", "1e3", "0x10", "NaN", "8000; rm -rf /"])
def test_a_port_that_is_no_number_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDQL_PORT", value)
    with pytest.raises(SettingsError, match="SANDQL_PORT: "):
        load_settings()


def test_all_bad_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDQL_PORT", "-1")
    monkeypatch.setenv("SANDQL_LOG_FORMAT", "xml")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert sorted(line.partition(":")[0] for line in str(refused.value).splitlines()) == ["SANDQL_LOG_FORMAT", "SANDQL_PORT"]


def test_a_name_that_no_setting_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDQL_PROT", "8000")
    with pytest.raises(SettingsError, match="SANDQL_PROT: there is no such setting"):
        load_settings()


def test_arguments_win_over_the_environment_and_that_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "sandql.toml"
    config.write_text('port = 1001\nhost = "::1"\npool_size = 3\nallowed_origins = ["https://a.example"]\n')
    monkeypatch.setenv("SANDQL_CONFIG", str(config))
    monkeypatch.setenv("SANDQL_HOST", "localhost")
    monkeypatch.setenv("SANDQL_PORT", "1002")
    settings = load_settings(port=1003)
    assert (settings.port, settings.host, settings.pool_size, settings.allowed_origins) == (1003, "localhost", 3, ("https://a.example",))


def test_a_name_in_the_file_that_no_setting_has_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "sandql.toml"
    config.write_text("prot = 1001\n")
    monkeypatch.setenv("SANDQL_CONFIG", str(config))
    with pytest.raises(SettingsError, match="PROT: there is no such setting") as refused:
        load_settings()
    assert "1001" not in str(refused.value), "it may be a secret whose name was misspelled"


def test_a_file_that_is_not_there_or_no_toml_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SANDQL_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(SettingsError, match=r"SANDQL_CONFIG: no file at .*none\.toml"):
        load_settings()
    config = tmp_path / "broken.toml"
    config.write_text("port = = 1\n")
    monkeypatch.setenv("SANDQL_CONFIG", str(config))
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings()


def test_homes_lie_in_the_users_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert load_settings().state_dir == tmp_path / "sandql"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [(host, True) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost")]
    + [(host, False) for host in ("0.0.0.0", "::", "192.0.2.1", "localhost.example", "", "::ffff:0:0")],
)
def test_only_addresses_of_this_machine_count_as_loopback(host: str, loopback: bool) -> None:
    assert load_settings(host=host).is_loopback is loopback


@pytest.mark.parametrize("name", ["ALLOWED_ORIGINS", "TRUSTED_PROXIES"])
def test_what_is_no_list_is_refused_with_the_form_of_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"SANDQL_{name}", "https://app.example.com")
    with pytest.raises(SettingsError, match=rf"^SANDQL_{name}: must be a JSON list, as \["):
        load_settings()


@pytest.mark.parametrize("origin", ["*", "null", "app.example.com", "https://", "https://app.example.com/x", "https://*.example.com", "https://a b"])
def test_what_is_no_origin_is_refused(origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDQL_ALLOWED_ORIGINS", json.dumps(["https://good.example", origin]))
    with pytest.raises(SettingsError, match=r"^SANDQL_ALLOWED_ORIGINS: each must be an origin, as https://app\.example\.com") as refused:
        load_settings()
    assert repr(origin) in str(refused.value)


def test_an_origin_is_taken_as_browsers_send_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDQL_ALLOWED_ORIGINS", '["https://App.Example.com:8443/", "http://[::1]:3000"]')
    assert load_settings().allowed_origins == ("https://app.example.com:8443", "http://[::1]:3000")
