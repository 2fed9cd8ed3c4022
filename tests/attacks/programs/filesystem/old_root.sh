# tries: find the root that was left behind, by name and by the parents of the root.
# judged by: a directory that looks like another system's root.
found=
for base in /.old /old /oldroot /.oldroot /.pivot_root /put_old /.put_old /host /rootfs /mnt /proc/1/root/.. /proc/self/root/.. /tmp/.. /workspace/../..; do
  for sign in root/.bashrc root/.profile etc/shadow var/lib/dpkg/status boot/grub; do
    if [ -e "$base/$sign" ]; then found="$found $base/$sign"; fi
  done
done
if [ -n "$found" ]; then echo "ESCAPED:$found"; else echo CONTAINED; fi
