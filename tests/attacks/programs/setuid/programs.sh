# tries: become root by every setuid program of the system, without a password.
# judged by: one of them runs as another user.
# limits: wall_ms=25000
found=
me=$(id -u)
for path in $(find /usr/bin /usr/sbin /bin /sbin /usr/lib /usr/local -xdev -type f -perm /6000 2>/dev/null); do
  (exec timeout 2 "$path" --version </dev/null >/dev/null 2>&1) &
done
wait
for try in "su -c id" "su root -c id" "sudo -n id" "pkexec id" "doas id" "newgrp root" "sg root id" "runuser -u root id"; do
  if timeout 1 $try </dev/null 2>/dev/null | grep -q 'uid=0'; then found="$found [$try]"; fi
done
[ "$(id -u)" = "$me" ] || found="$found changed"
if [ -n "$found" ]; then echo "ESCAPED:$found"; else echo CONTAINED; fi
