# tries: rename the machine.
# judged by: the name changes.
before=$(cat /proc/sys/kernel/hostname)
hostname renamed 2>/dev/null; echo renamed 2>/dev/null >/proc/sys/kernel/hostname; domainname renamed 2>/dev/null
python3 -c "import socket; socket.sethostname(\"renamed\")" 2>/dev/null
if [ "$(cat /proc/sys/kernel/hostname)" != "$before" ]; then echo "ESCAPED: renamed"; else echo CONTAINED; fi
