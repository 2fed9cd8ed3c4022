# tries: foresee another run's random numbers in bash.
# judged by: two runs print the same.
# between-runs: differ
echo "STATE random $RANDOM$RANDOM$RANDOM$RANDOM"
echo "STATE srandom $SRANDOM"
echo "STATE mktemp $(mktemp -u)"
echo "STATE boot $(cat /proc/sys/kernel/random/uuid)"
echo CONTAINED
