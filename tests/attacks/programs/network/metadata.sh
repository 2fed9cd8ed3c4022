# tries: the same by bash's own sockets and by the system's tools.
# judged by: a connection.
found=
if timeout 1 bash -c 'exec 9<>/dev/tcp/169.254.169.254/80' 2>/dev/null; then found=bash; fi
for try in "curl -s -m 1 http://169.254.169.254/" "wget -q -T 1 -t 1 -O - http://169.254.169.254/" "nc -w 1 -z 169.254.169.254 80" "ping -c 1 -W 1 169.254.169.254"; do
  command -v ${try%% *} >/dev/null && timeout 2 $try >/dev/null 2>&1 && found="$found [$try]"
done
if [ -n "$found" ]; then echo "ESCAPED: $found"; else echo CONTAINED; fi
