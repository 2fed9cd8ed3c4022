"""The checkout as the house tests see it."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("schema", "resolvers", "providers")

# Not written by hand, or written by others: built pages with their notices, locks, the licence.
_GENERATED = ("src/sandql/server/graphiql/", "LICENSE")
_LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-build.txt", "package-lock.json")
_TEXTS = {
    ".cfg",
    ".css",
    ".graphql",
    ".html",
    ".ini",
    ".js",
    ".json",
    ".md",
    ".mjs",
    ".py",
    ".sh",
    ".toml",
    ".ts",
    ".tsx",
    ".txt",
    ".yaml",
    ".yml",
    "",
}


@cache
def files() -> tuple[Path, ...]:
    """Every file that git has or would take, relative to the root; a link counts as one, what lies behind it as another."""
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode()
    found = sorted(Path(name) for name in set(listed.split("\0")) if name)
    return tuple(path for path in found if (ROOT / path).is_symlink() or (ROOT / path).is_file())


def is_generated(path: Path) -> bool:
    """Whether nobody here wrote it by hand."""
    return str(path).startswith(_GENERATED) or path.name in _LOCKS


def written() -> list[Path]:
    """Every text that somebody here wrote."""
    return [path for path in files() if not (ROOT / path).is_symlink() and path.suffix in _TEXTS and not is_generated(path)]


def product() -> list[Path]:
    """The Python files that are installed."""
    return [path for path in written() if path.suffix == ".py" and path.parts[0] in ("src", *ROOMS)]


def parse(path: Path) -> ast.Module:
    """A Python file's syntax tree."""
    return ast.parse((ROOT / path).read_bytes(), str(path))


def read(path: Path | str) -> str:
    """A text of the checkout."""
    return (ROOT / path).read_text(encoding="utf-8")


def imported(tree: ast.Module) -> list[str]:
    """The full names that a file imports, wherever in it; a relative import begins with dots."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append("." * node.level + (node.module or ""))
    return names
