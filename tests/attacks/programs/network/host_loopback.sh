# tries: the same from bash, and every port at which services like to listen.
# judged by: a connection.
# args: {tcp_port}
found=
for port in "$1" 22 25 53 80 111 443 631 2375 2376 3000 3306 5000 5432 5672 6379 6443 8000 8080 8443 9000 9090 9200 10250 11211 27017; do
  if (exec 9<>/dev/tcp/127.0.0.1/$port) 2>/dev/null; then found="$found $port"; fi
done
if [ -n "$found" ]; then echo "ESCAPED:$found"; else echo CONTAINED; fi
