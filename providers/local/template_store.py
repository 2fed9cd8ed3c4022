"""Templates on disk: what can be built, what is built, and building it.

<state folder>/templates/<name>/site           packages, as pip installs them
<state folder>/templates/<name>/preload.py     what the template's zygote runs before any cell is made
<state folder>/templates/<name>/template.json  for which Python it was built, and what is in it
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sandql.core.errors import BadRequest
from sandql.core.kept import Template

PLACE: Final = "/opt/sandql"  # where a cell sees its template
_KNOWN: Final[Mapping[str, str]] = MappingProxyType({"python-data": "numpy, pandas and matplotlib, imported before a program begins"})
_SOURCES: Final = Path(__file__).with_name("templates")
_MAKE_FONTS: Final = "import matplotlib.font_manager"


class BuildFailedError(Exception):
    """A template could not be built; the message says why."""


@dataclass(frozen=True, slots=True)
class Built:
    """A template that is built: its folder on this host, and where a cell sees it."""

    name: str
    folder: Path

    @property
    def place(self) -> str:
        """Where a cell sees it."""
        return f"{PLACE}/{self.name}"

    @property
    def env(self) -> dict[str, str]:
        """What every program finds in its environment beside the usual. One thread for each library: a cell may be asked to have few."""
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        return {"PYTHONPATH": f"{self.place}/site", "MPLBACKEND": "Agg", "MPLCONFIGDIR": "/tmp/.matplotlib", **threads}


class TemplateStore:
    """The templates below one folder, for one Python."""

    def __init__(self, folder: Path, python: str) -> None:
        self._folder = folder
        self._python = python

    def list(self) -> list[Template]:
        """All templates that can be built, and whether they are."""
        return [self._describe(name) for name in sorted(_KNOWN)]

    def find(self, name: str) -> Built:
        """A template that is built. Raises BadRequest: there is none, or it is not built for this Python."""
        if name not in _KNOWN:
            raise BadRequest(f"template: {name[:64]!r} is not known; use one of: default, {', '.join(sorted(_KNOWN))}")
        described = self._describe(name)
        if not described.available:
            raise BadRequest(f"template: {name} cannot be used: {described.detail}")
        return Built(name, self._folder / name)

    def build(self, name: str) -> Built:
        """Install a template's packages; the one before is replaced in one step. Blocks for as long as pip takes.

        Raises:
            BadRequest: there is no such template.
            BuildFailedError: it could not be built; what was there before is as it was.
        """
        if name not in _KNOWN:
            raise BadRequest(f"template: {name[:64]!r} is not known; use one of: {', '.join(sorted(_KNOWN))}")
        beside = self._folder / f".{name}-{secrets.token_hex(4)}"
        beside.mkdir(mode=0o755, parents=True)
        self._folder.chmod(0o711)
        try:
            self._fill(name, beside)
            old = self._folder / f".{name}-old-{secrets.token_hex(4)}"
            if (self._folder / name).exists():
                (self._folder / name).rename(old)
            beside.rename(self._folder / name)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return Built(name, self._folder / name)

    def remove(self, name: str) -> bool:
        """Remove a template; whether there was one. Programs that run with it go on, those that begin are refused."""
        if name not in _KNOWN or not (self._folder / name).exists():
            return False
        old = self._folder / f".{name}-old-{secrets.token_hex(4)}"
        (self._folder / name).rename(old)
        shutil.rmtree(old, ignore_errors=True)
        return True

    def _describe(self, name: str) -> Template:
        try:
            manifest = json.loads((self._folder / name / "template.json").read_text())
        except (OSError, ValueError):
            return Template(name, False, f"it is not built; `sandql template build {name}` does that")
        if manifest.get("python") != _version_of(self._python):
            return Template(name, False, f"it was built for Python {manifest.get('python')}; `sandql template build {name}` builds it anew")
        return Template(name, True, _KNOWN[name])

    def _fill(self, name: str, folder: Path) -> None:
        source = _SOURCES / name.replace("-", "_")
        site, fonts = folder / "site", folder / "fonts"
        version = _version_of(self._python)
        tag = "cp" + version.replace(".", "")
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet", "--require-hashes"]
        pip += ["--only-binary", ":all:", "--target", str(site), "--requirement", str(source.with_suffix(".txt"))]
        if version != _version_of(sys.executable):
            pip += ["--python-version", version, "--implementation", "cp", "--abi", tag, "--abi", "abi3", "--abi", "none"]
        _run(pip, {})
        fonts.mkdir()
        _run([self._python, "-c", _MAKE_FONTS], {"PYTHONPATH": str(site), "MPLCONFIGDIR": str(fonts), "HOME": str(folder)})
        shutil.copyfile(source.with_suffix(".preload"), folder / "preload.py")
        packages = {line.partition("==")[0]: line.split()[0] for line in source.with_suffix(".txt").read_text().splitlines() if "==" in line}
        (folder / "template.json").write_text(json.dumps({"python": version, "packages": sorted(packages.values())}))
        for path, folders, files in os.walk(folder):  # programs are of other users than this
            for entry in (*folders, *files):
                os.chmod(os.path.join(path, entry), 0o755 if entry in folders else 0o644)


def _run(command: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise BuildFailedError(f"{' '.join(command[:4])} …: {said[-1] if said else f'exit code {done.returncode}'}")


def _version_of(python: str) -> str:
    """The version of an interpreter, as 3.11: by its own words where it is another than this one."""
    if os.path.realpath(python) == os.path.realpath(sys.executable):
        return f"{sys.version_info[0]}.{sys.version_info[1]}"
    command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
