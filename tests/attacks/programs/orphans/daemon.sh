# tries: leave a daemon: two forks, a session of its own, nothing open, all signals ignored.
# judged by: the next run and the host see no process of it.
# within: 4000
(trap '' HUP INT TERM QUIT; cd /; setsid nohup setsid bash -c 'trap "" HUP INT TERM; exec </dev/null >/dev/null 2>&1; while :; do echo alive >/tmp/daemon; echo alive >/dev/shm/daemon; sleep 0.1; done' >/dev/null 2>&1 </dev/null &) &
echo CONTAINED
