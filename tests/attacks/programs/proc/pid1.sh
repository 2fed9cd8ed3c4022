# tries: read what process 1 and the parent are and were given.
# judged by: their environment is not empty of secrets, or their command line names a secret.
prefix="sandql-sec""ret-"
found=
for pid in 1 $PPID; do
  for name in environ cmdline comm; do
    if tr '\0' '\n' <"/proc/$pid/$name" 2>/dev/null | grep -q -e "$prefix" -e '^SANDQL_' -e PYTEST; then found="$found $pid/$name"; fi
  done
done
if [ -n "$found" ]; then echo "ESCAPED:$found"; else echo CONTAINED; fi
