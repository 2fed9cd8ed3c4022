# tries: plant files that interpreters read when they start.
# judged by: the next run reads one.
# phases: plant look
set -C # overwrites nothing that is there
if [ "$1" = plant ]; then
  for folder in /workspace /tmp "$HOME" / /etc /usr/lib/python3 /dev/shm; do
    for name in sitecustomize.py usercustomize.py evil.pth .bashrc .bash_profile .profile .bash_env .pythonrc .npmrc .node_repl_history bash.bashrc ld.so.preload random.py; do
      echo 'echo "ESCAPED: planted file"' >"$folder/$name"
    done 2>/dev/null
    mkdir -p "$folder/.local/lib/python3.11/site-packages" && echo 'import sys; sys.stdout.write("ESCAPED: pth\n")' >"$folder/.local/lib/python3.11/site-packages/e.pth"
  done 2>/dev/null
  echo CONTAINED
else
  found=$(find /workspace /tmp /dev/shm "$HOME" /etc -maxdepth 2 \( -name sitecustomize.py -o -name evil.pth -o -name .bash_env -o -name .pythonrc \) -newer /proc/1/cmdline 2>/dev/null)
  for folder in /workspace /tmp "$HOME" /etc /; do [ -e "$folder/evil.pth" ] && found="$found $folder"; done
  if [ -n "$found" ]; then echo "ESCAPED: $found"; else echo CONTAINED; fi
fi
