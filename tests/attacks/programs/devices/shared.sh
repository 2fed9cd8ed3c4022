# tries: poison /dev for those who come after: replace, re-mode, add.
# judged by: the second of two runs sees what the first did.
# phases: plant look
case $1 in
  plant)
    rm -f /dev/null /dev/urandom 2>/dev/null; echo evil >/dev/evil 2>/dev/null; mv /dev/zero /dev/zero2 2>/dev/null; chmod 000 /dev/random /dev/null 2>/dev/null; : >/dev/shm/evil
    echo CONTAINED ;;
  look)
    if [ -e /dev/evil ] || [ -e /dev/shm/evil ] || [ ! -c /dev/null ] || [ ! -c /dev/urandom ] || [ ! -c /dev/zero ] || ! : >/dev/null || ! head -c 1 /dev/random >/dev/null; then echo "ESCAPED: /dev is changed"; else echo CONTAINED; fi ;;
esac
