# tries: poison /dev for those who come after: add to it, and take over what is there (asked for by a mode that it has already).
# judged by: the second of two runs sees what the first did, or the mode of a device can be set.
# phases: plant look
case $1 in
  plant)
    (set -C; echo evil >/dev/evil; : >/dev/shm/evil; ln /dev/zero /dev/zero2; mkdir /dev/evil.d) 2>/dev/null
    found=
    for device in null zero full random urandom; do chmod 666 /dev/$device 2>/dev/null && found="$found $device"; done
    if [ -n "$found" ]; then echo "ESCAPED: set the mode of$found"; else echo CONTAINED; fi ;;
  look)
    found=
    for name in evil shm/evil zero2 evil.d; do [ -e /dev/$name ] && found="$found $name"; done
    for device in null zero full random urandom; do [ -c /dev/$device ] && [ -r /dev/$device ] && [ -w /dev/$device ] || found="$found $device"; done
    if [ -n "$found" ]; then echo "ESCAPED: /dev is changed:$found"; else echo CONTAINED; fi ;;
esac
