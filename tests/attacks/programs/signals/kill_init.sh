# tries: kill, stop and confuse process 1 of the cell.
# judged by: the run goes on or ends at once; the house is well.
# expect: outcome in COMPLETED,KILLED,FAILED,TIMED_OUT
# limits: wall_ms=1500
if [ "$(ls -d /proc/[0-9]* | wc -l)" -gt 12 ]; then echo "ESCAPED: sees the host's processes"; exit 0; fi
echo CONTAINED
for signal in HUP INT QUIT USR1 USR2 TERM CHLD CONT PIPE ALRM STOP KILL; do kill -$signal 1 2>/dev/null; done
