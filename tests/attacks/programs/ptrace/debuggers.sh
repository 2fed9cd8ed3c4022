# tries: use a debugger or tracer of the system on process 1 and on itself.
# judged by: one attaches.
found=
sleep 30 & victim=$!
for try in "strace -p 1 -o /dev/null" "strace -o /dev/null true" "gdb -p 1 -batch" "gdb -p $victim -batch -ex quit" "ltrace true"; do
  command -v ${try%% *} >/dev/null || continue
  if timeout 2 $try 2>&1 </dev/null | grep -qi -e 'attached' -e 'exited with 0' -e 'Inferior'; then found="$found [$try]"; fi
done
kill $victim
if dd if=/proc/$victim/mem of=/dev/null bs=1 count=1 skip=$((0x1000)) 2>/dev/null; then found="$found mem"; fi
if [ -n "$found" ]; then echo "ESCAPED:$found"; else echo CONTAINED; fi
