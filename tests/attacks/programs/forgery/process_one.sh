# tries: forge a result through the descriptors of process 1 and of the parent.
# judged by: the exit code is the program's own, 7.
# expect: outcome in FAILED; exit 7
for fd in /proc/1/fd/* /proc/$PPID/fd/*; do
  case $fd in */[012]) continue ;; esac
  (printf '\0\0\0\0' >"$fd") 2>/dev/null &
done
sleep 0.2
exit 7
