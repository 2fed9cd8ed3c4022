# tries: read and clear the kernel'\''s log.
# judged by: any of it can be read.
found=
if dmesg 2>/dev/null | grep -q .; then found=dmesg; fi
for path in /dev/kmsg /proc/kmsg; do if timeout 1 head -c 1 $path 2>/dev/null | grep -q .; then found="$found $path"; fi; done
if [ -n "$found" ]; then echo "ESCAPED: $found"; else echo CONTAINED; fi
