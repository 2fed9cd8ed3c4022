# tries: the same from bash: what else is open?
# judged by: a descriptor besides stdio and the script's own.
found=
# written to a file: a command substitution would itself open a pipe in this bash
(cd /proc/$$/fd && for n in *; do echo "$n $(readlink "$n")"; done) >/tmp/open
while read -r n target; do
  [ -n "$target" ] || continue
  case $n:$target in
    [012]:pipe:*|[012]:/dev/null) ;;
    *:/workspace/*|255:*main*) ;;
    [012]:*) found="$found stdio $n is $target" ;;
    *) found="$found $n is $target" ;;
  esac
done </tmp/open
if [ -n "$found" ]; then echo "ESCAPED:$found"; else echo CONTAINED; fi
