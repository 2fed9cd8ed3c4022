# tries: stop the own process group, to which a launcher or a clock may still belong.
# judged by: the run is ended by its clock; the house is well.
# expect: outcome in TIMED_OUT,COMPLETED
# limits: wall_ms=1200
if [ "$(ls -d /proc/[0-9]* | wc -l)" -gt 12 ]; then echo "ESCAPED: sees the host's processes"; exit 0; fi
echo CONTAINED
kill -STOP 0
