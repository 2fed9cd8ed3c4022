#!/bin/sh
# Makes .venv as the locks say: `scripts/venv.sh serve` with what the server needs, `scripts/venv.sh dev` with the checks and tests too.
# Made anew when a lock, the project's own data, the Python or the folder has changed; left alone otherwise.
set -eu
cd "$(dirname "$0")/.."

kind=${1:?serve or dev}
venv=${VENV:-.venv}
python=$(scripts/find_python.sh)

# The development lock holds all that the other two hold, in the same versions, so a venv for `dev` serves too.
made_for() {
    { cat "$@"; sed '/^\[tool\./,$d' pyproject.toml; "$python" -c 'import sys; print(sys.version, sys.base_prefix)'; pwd; } | sha256sum | cut -c1-32
}
serve_stamp=$venv/.serve-$(made_for requirements.txt requirements-build.txt)
dev_stamp=$venv/.dev-$(made_for requirements-dev.txt)
[ -e "$dev_stamp" ] && exit 0
[ "$kind" = serve ] && [ -e "$serve_stamp" ] && exit 0

case $kind in
    serve) stamp=$serve_stamp locks="-r requirements.txt -r requirements-build.txt" ;;
    dev) stamp=$dev_stamp locks="-r requirements-dev.txt" ;;
    *) echo "sandql: scripts/venv.sh takes serve or dev, got $kind" >&2; exit 2 ;;
esac

echo "sandql: making $venv for '$kind' with $("$python" -V) …" >&2
"$python" -m venv --clear "$venv"
# Wheels only: nothing is compiled here, and no unlocked build tool is fetched.
# shellcheck disable=SC2086  # a list of options
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: $locks
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
touch "$stamp"
