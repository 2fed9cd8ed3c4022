#!/bin/sh
# Writes requirements*.txt anew from pyproject.toml: every package of the tree, with hashes, for every Python from 3.11 and every platform.
# `scripts/lock.sh --upgrade` also takes newer versions of what is not pinned in pyproject.toml.
set -eu
cd "$(dirname "$0")/.."

lock() {
    file=$1
    shift
    # No index and no link may stand in a lock: it must work with whatever registry pip is set to.
    "${VENV:-.venv}/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@" --output-file "$file"
}

lock requirements-dev.txt --group dev --extra otel pyproject.toml "$@"
# The smaller sets are parts of the large one, in the same versions.
lock requirements.txt --constraint requirements-dev.txt pyproject.toml
lock requirements-build.txt --constraint requirements-dev.txt --group build
