# tries: leave by a directory that was left open or as a working directory (how runc leaked one).
# judged by: a descriptor or working directory from which the host's root is reached.
found=
for link in /proc/self/fd/* /proc/[0-9]*/cwd /proc/[0-9]*/fd/*; do
  for sign in etc/shadow root/.bashrc var/lib/dpkg/status; do
    for up in . .. ../.. ../../.. ../../../../..; do
      if [ -e "$link/$up/$sign" ]; then found="$found $link/$up/$sign"; fi
    done
  done
done
if [ -n "$found" ]; then echo "ESCAPED:$found"; else echo CONTAINED; fi
