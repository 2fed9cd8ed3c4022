# tries: open the host's core handler and module loader path for writing (a takeover of the host).
# judged by: one can be opened. Nothing is written.
found=
for path in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sys/kernel/hotplug /proc/sys/kernel/poweroff_cmd /proc/sys/fs/binfmt_misc/register /proc/sysrq-trigger; do
  if (exec 9>>"$path") 2>/dev/null; then found="$found $path"; fi
done
if [ -n "$found" ]; then echo "ESCAPED: open for writing$found"; else echo CONTAINED; fi
