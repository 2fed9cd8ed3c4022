# tries: make a file in every directory of the system.
# judged by: a file that can be made outside /workspace, /tmp and /dev/shm.
found=
for folder in / /usr /usr/bin /usr/lib /usr/local /usr/local/bin /usr/local/lib /bin /sbin /lib /lib64 /etc /etc/cron.d /var /var/run /run /proc /sys /sys/fs/cgroup /boot /root /home /opt; do
  if (: >"$folder/.x$$") 2>/dev/null; then found="$found $folder"; rm -f "$folder/.x$$"; fi
done
if [ -n "$found" ]; then echo "ESCAPED: wrote in$found"; else echo CONTAINED; fi
