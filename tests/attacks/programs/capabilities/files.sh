# tries: gain by a program file that carries capabilities, or by making one.
# judged by: such a program gains, or a file can be given capabilities.
found=
for program in ping ping6 arping mtr-packet dumpcap newuidmap newgidmap gst-ptp-helper; do
  path=$(command -v $program 2>/dev/null) || continue
  cp "$path" "/tmp/$program" 2>/dev/null
done
cp "$(command -v cat)" /tmp/mycat && setcap cap_sys_admin+ep /tmp/mycat 2>/dev/null && found=setcap
if [ "$(/tmp/mycat /proc/self/status | sed -n 's/^CapEff:[[:space:]]*//p')" != 0000000000000000 ]; then found="$found effective"; fi
if [ -n "$found" ]; then echo "ESCAPED: $found"; else echo CONTAINED; fi
