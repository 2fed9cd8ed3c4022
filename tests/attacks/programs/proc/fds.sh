# tries: list and open the descriptors of other processes.
# judged by: those of a process outside this run can be listed.
found=
for folder in /proc/[0-9]*; do
  pid=${folder#/proc/}
  [ "$pid" = $$ ] && continue
  if ls "$folder/fd" 2>/dev/null | grep -q .; then
    case $(tr '\0' ' ' <"$folder/cmdline" 2>/dev/null) in ls*|grep*|bash*main*|tr*|'') ;; *) found="$found $pid" ;; esac
  fi
done
if [ -n "$found" ]; then echo "ESCAPED: descriptors of$found"; else echo CONTAINED; fi
