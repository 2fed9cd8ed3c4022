# tries: the same by bash's ulimit, one step at a time.
# judged by: a hard limit can be raised.
found=
for flag in c d f l n q s t u v; do
  hard=$(ulimit -H$flag)
  [ "$hard" = unlimited ] && continue
  if ulimit -H$flag unlimited 2>/dev/null || ulimit -H$flag $((hard + 1)) 2>/dev/null; then found="$found $flag"; fi
done
if [ -n "$found" ]; then echo "ESCAPED: raised$found"; else echo CONTAINED; fi
