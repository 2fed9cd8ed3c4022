#!/bin/sh
# Prints the Python to use: $PYTHON where it is set, else the system's own, else the newest on the PATH. 3.11 is the oldest that does.
# The system's own comes first because every user can read it; code in a sandbox has to, and one in somebody's home it can't.
set -eu

fits() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

if [ -n "${PYTHON:-}" ]; then
    fits "$PYTHON" && { command -v "$PYTHON"; exit; }
    echo "sandql: $PYTHON is not Python 3.11 or newer with its venv module; name another, as in: make serve PYTHON=python3.12" >&2
    exit 1
fi
for python in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
    fits "$python" && { command -v "$python"; exit; }
done
echo "sandql: Python 3.11 or newer with its venv module is needed; on Debian: apt-get install python3 python3-venv" >&2
exit 1
