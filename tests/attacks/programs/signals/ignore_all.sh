# tries: outlive its time by ignoring every signal.
# judged by: the clock ends it.
# expect: outcome in TIMED_OUT
# limits: wall_ms=1000
trap '' HUP INT QUIT ILL TRAP ABRT BUS FPE USR1 SEGV USR2 PIPE ALRM TERM CHLD CONT TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF IO PWR SYS
while :; do sleep 0.2; done
