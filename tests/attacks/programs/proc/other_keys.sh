# tries: see keys and users of the host in /proc/keys and /proc/key-users.
# judged by: keys of another user than the run's own.
found=
if [ -r /proc/keys ] && grep -v -e "_uid.$(id -u)" -e '_ses' /proc/keys 2>/dev/null | grep -q 'user.*sandql'; then found=keys; fi
if [ -r /proc/key-users ] && grep -q '^ *0:' /proc/key-users 2>/dev/null; then found="$found key-users shows root"; fi
if [ -n "$found" ]; then echo "ESCAPED: $found"; else echo CONTAINED; fi
