# tries: keep an artifact growing after the main program has ended, while it is brought back.
# judged by: the writer is gone with the run; the answer comes promptly.
# artifacts: log.txt
# brings: log.txt?
# most-bytes: 67108864
(setsid sh -c 'while :; do echo growing >>log.txt; done' >/dev/null 2>&1 </dev/null &)
echo first >log.txt
echo CONTAINED
