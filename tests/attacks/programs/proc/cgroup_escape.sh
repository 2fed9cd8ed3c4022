# tries: the release_agent escape, and leaving or widening the own cgroup.
# judged by: any cgroup file can be opened for writing, or a group made.
found=
for folder in /sys/fs/cgroup /sys/fs/cgroup/* /tmp/cg; do
  [ -d "$folder" ] || continue
  for name in release_agent notify_on_release cgroup.procs tasks memory.max memory.limit_in_bytes pids.max cpu.max cgroup.kill cgroup.freeze; do
    if (exec 9>>"$folder/$name") 2>/dev/null; then found="$found $folder/$name"; fi
  done
  if mkdir "$folder/x" 2>/dev/null; then found="$found $folder/x"; rmdir "$folder/x"; fi
done
mkdir -p /tmp/cg
if mount -t cgroup -o memory cgroup /tmp/cg 2>/dev/null || mount -t cgroup2 none /tmp/cg 2>/dev/null; then found="$found mounted"; fi
if [ -n "$found" ]; then echo "ESCAPED:$found"; else echo CONTAINED; fi
