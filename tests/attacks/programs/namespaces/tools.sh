# tries: the same with the tools that a system has.
# judged by: one of them works.
found=
for try in "unshare -Ur true" "unshare -m true" "unshare -n true" "unshare -p -f true" "unshare -i true" "unshare -u true" "unshare -C true" "unshare -T true" \
  "unshare -Urmpinf --mount-proc true" "nsenter -t 1 -a true" "nsenter -t 1 -m true" "nsenter -t $PPID -U true" "bwrap --ro-bind / / true" "setpriv --reuid 0 true" "chroot / true"; do
  if $try >/dev/null 2>&1; then found="$found [$try]"; fi
done
if [ -n "$found" ]; then echo "ESCAPED:$found"; else echo CONTAINED; fi
