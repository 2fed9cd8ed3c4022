"""Writes the table of docs/settings.md from the settings themselves: `python -m tests.house.settings_table`."""

from __future__ import annotations

import json
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from sandql.core.settings import Settings
from sandql.core.values import GiB, KiB, MiB
from tests.house.tree import ROOT, read

BEGIN, END = "<!-- settings -->\n", "<!-- /settings -->"


def _number(name: str, value: Any) -> str:
    if name.endswith("_bytes"):
        for unit, label in ((GiB, "GiB"), (MiB, "MiB"), (KiB, "KiB")):
            if value and value % unit == 0:
                return f"{value} ({value // unit} {label})"
    return str(value)


def _default(name: str, field: FieldInfo) -> str:
    if name == "state_dir":
        return "`$XDG_STATE_HOME/sandql`, or `~/.local/state/sandql`"
    value = field.default
    if isinstance(value, bool | tuple):
        return f"`{json.dumps(value)}`"
    return f"`{value}`" if isinstance(value, str) else _number(name, value)


def _bound(name: str, field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    low = high = ""
    for rule in field.metadata:
        if (least := getattr(rule, "ge", None)) is not None:
            low = f"from {_number(name, least)}"
        if (above := getattr(rule, "gt", None)) is not None:
            low = f"above {above}"
        if (most := getattr(rule, "le", None)) is not None:
            high = f"to {_number(name, most)}"
    return f"{low} {high}".strip()


def settings_table(settings: type[Settings]) -> str:
    """The table, a row for each setting, in the order of the file."""
    rows = ["| variable | default | bound | what it is |", "| --- | --- | --- | --- |"]
    for name, field in settings.model_fields.items():
        rows.append(f"| `SANDQL_{name.upper()}` | {_default(name, field)} | {_bound(name, field)} | {field.description} |")
    return "\n" + "\n".join(rows) + "\n\n"


if __name__ == "__main__":
    page = ROOT / "docs" / "settings.md"
    before, _, rest = read(page).partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}{settings_table(Settings)}{END}{after}", encoding="utf-8")
