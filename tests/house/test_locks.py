"""What is installed is what was chosen: exact pins, and a hash for every package of the tree."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import tomllib

import pytest

from tests.house.tree import ROOT, files, imported, parse, product, read, written

LOCKS = ("requirements.txt", "requirements-build.txt", "requirements-dev.txt")
PROJECT = tomllib.loads(read("pyproject.toml"))


def pins(lock: str) -> dict[str, str]:
    """The packages of a lock with their versions. Fails when one has no version or no hash."""
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", read(lock).strip()):
        match = re.match(r"([\w.-]+)==([\w.]+)( ; [^\\]+)? \\\n", entry)
        assert match, f"{lock}: {entry[:80]!r} is not pinned"
        hashes = [line.strip().rstrip(" \\") for line in entry.splitlines()[1:]]
        assert hashes, entry
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes), f"{lock}: {match[1]}"
        found[match[1]] = match[2]
    return found


def chosen(requirements: list[object]) -> dict[str, str]:
    """What pyproject.toml pins. Fails when it leaves a choice."""
    found: dict[str, str] = {}
    for requirement in requirements:
        if isinstance(requirement, str):
            match = re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?==([\w.]+)", requirement)
            assert match, f"{requirement} is not pinned exactly"
            found[match[1]] = match[2]
    return found


def test_direct_dependencies_are_pinned_exactly_and_as_the_locks_say() -> None:
    runtime, build, dev = (pins(lock) for lock in LOCKS)
    groups = PROJECT["dependency-groups"]
    for wanted, lock in ((PROJECT["project"]["dependencies"], runtime), (groups["build"], build), (groups["dev"], dev)):
        assert chosen(wanted).items() <= lock.items(), "run `make lock`"


def test_the_small_locks_are_parts_of_the_large_one() -> None:
    runtime, build, dev = (pins(lock) for lock in LOCKS)
    assert runtime.items() <= dev.items()
    assert build.items() <= dev.items()


def test_what_is_imported_is_a_direct_dependency() -> None:
    """What comes along only with another package would change or go without anybody choosing it."""
    wheels = importlib.metadata.packages_distributions()
    runtime = chosen(PROJECT["project"]["dependencies"])
    runtime |= chosen(PROJECT["project"]["optional-dependencies"]["otel"])
    everything = {**runtime, **chosen(PROJECT["dependency-groups"]["dev"])}
    for path in written():
        in_sandbox = {"programs", "helpers"} & set(path.parts)
        if path.suffix == ".py" and not in_sandbox:
            direct = runtime if path in product() else everything
            for name in {name.partition(".")[0] for name in imported(parse(path))}:
                if name not in {*sys.stdlib_module_names, "benchmarks", "cell", "sandql", "tests"}:
                    assert {wheel.lower().replace("_", "-") for wheel in wheels[name]} & set(direct), (
                        f"{path} imports {name}, which is not in pyproject.toml"
                    )


@pytest.mark.parametrize("path", [path for path in files() if path.name == "package-lock.json"], ids=str)
def test_npm_locks_have_hashes_and_name_no_registry(path: object) -> None:
    lock = json.loads(read(str(path)))
    for name, package in lock["packages"].items():
        if name and not package.get("link"):
            assert "integrity" in package, f"{path}: {name} has no hash"
        assert "resolved" not in package, f"{path}: {name} says where it was fetched; set omit-lockfile-registry-resolved in .npmrc"


def test_the_node_of_the_oldest_debian_drives_the_browser() -> None:
    """`make test` takes Debian's own node, which is 18 in Debian 12; a playwright that wants a newer one refuses to start."""
    lock = json.loads(read("tests/browser/package-lock.json"))
    assert lock["packages"]["node_modules/playwright-core"]["engines"] == {"node": ">=18"}


def test_the_licence_is_the_one_that_the_package_names() -> None:
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in read("LICENSE")
    assert "Version 2.0, January 2004" in read("LICENSE")
    assert "END OF TERMS AND CONDITIONS" in read("LICENSE")
    assert (ROOT / "src/sandql/py.typed").is_file()
