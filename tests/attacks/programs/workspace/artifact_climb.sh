# tries: name artifacts outside the workspace, by .. and by absolute paths.
# judged by: such a request is refused, or brings the workspace's own file alone.
# may-refuse: yes
# artifacts: ../../etc/passwd /etc/passwd /proc/self/environ ../** ok.txt
# brings: ok.txt?
echo ok >ok.txt
echo CONTAINED
