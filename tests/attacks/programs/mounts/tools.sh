# tries: mount and unmount with the system's tools.
# judged by: one works.
found=
for try in "mount -t tmpfs x /tmp" "mount --bind /usr /tmp" "mount -o remount,rw /" "mount -o remount,rw /usr" "umount -l /proc" "umount /dev" "umount -l /workspace" \
  "mount -t proc proc /tmp" "fusermount -u /tmp" "losetup -f" "mount --make-rprivate /" "pivot_root . ." "swapon -a"; do
  if $try >/dev/null 2>&1; then found="$found [$try]"; fi
done
if [ -n "$found" ]; then echo "ESCAPED:$found"; else echo CONTAINED; fi
