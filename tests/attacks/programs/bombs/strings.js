// tries: the same on the engine'\''s own heap.
// judged by: the outcome, and the house's health.
// expect: outcome in OUT_OF_MEMORY,FAILED,KILLED,TIMED_OUT
// limits: wall_ms=5000 memory_mib=256
const held = [];
for (let i = 0; ; i++) held.push(new Array(100000).fill(i + '-'));
