# tries: the same by a background job of bash that also writes later.
# judged by: the result comes at once; what the job would write later is not waited for.
# limits: wall_ms=10000
# within: 4000
(sleep 60; echo "ESCAPED: written after the end") &
echo CONTAINED
