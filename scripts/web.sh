#!/bin/sh
# Builds web/graphiql into src/sandql/server/graphiql; the same sources give the same bytes.
set -eu
cd "$(dirname "$0")/../web/graphiql"

node -e 'const [major, minor] = process.versions.node.split(".").map(Number); process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' || {
    echo "sandql: make web needs node 20.19 or newer, this is $(node --version)" >&2
    exit 1
}
# npm writes the marker last, so an install that was cut off is made again.
[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --no-audit --no-fund
npm run check
npm run build
