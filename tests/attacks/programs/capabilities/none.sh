# tries: the same from bash and its children: exec must not give back what was taken.
# judged by: any set is not empty, no_new_privs or the filter is off.
found=
while read -r name value _; do
  case $name in
    CapInh:|CapPrm:|CapEff:|CapAmb:|CapBnd:) [ "$value" = 0000000000000000 ] || found="$found $name$value" ;;
    NoNewPrivs:) [ "$value" = 1 ] || found="$found no_new_privs=$value" ;;
    Seccomp:) [ "$value" = 2 ] || found="$found seccomp=$value" ;;
    Uid:) [ "$value" != 0 ] || grep -q ' 0  *[1-9][0-9]* ' /proc/self/uid_map || found="$found uid0" ;;
  esac
done <<<"$(cat /proc/self/status)"
if [ -n "$found" ]; then echo "ESCAPED:$found"; else echo CONTAINED; fi
