# tries: the same trick in a fresh sandbox, with a glob over all of it.
# judged by: the result comes; nothing is left behind.
# artifacts: **/*
# brings: main.sh
# limits: wall_ms=10000
part=$(printf 'd/%.0s' {1..200})
for ((i = 0; i < 12; i++)); do mkdir -p "$part" && cd -P "$part" 2>/dev/null || break; done
echo CONTAINED
