# tries: leave many processes that start others as they are killed.
# judged by: none is left.
# limits: wall_ms=3000 processes=32
# within: 5000
for i in 1 2 3 4 5 6; do
  (trap 'bash "$0" respawned & ' EXIT; setsid sleep 60 & sleep 60) >/dev/null 2>&1 </dev/null &
done
echo CONTAINED
