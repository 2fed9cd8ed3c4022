# tries: the same by bash's ulimit, one step at a time.
# judged by: a hard limit is another one afterwards.
found=
for flag in c d f l n q s t u v; do
  hard=$(ulimit -H$flag)
  [ "$hard" = unlimited ] && continue
  ulimit -H$flag unlimited 2>/dev/null
  ulimit -H$flag $((hard + 1)) 2>/dev/null
  [ "$(ulimit -H$flag)" = "$hard" ] || found="$found $flag"
done
if [ -n "$found" ]; then echo "ESCAPED: raised$found"; else echo CONTAINED; fi
