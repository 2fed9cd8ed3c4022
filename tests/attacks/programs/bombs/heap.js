// tries: take memory for ever in node.
// judged by: the outcome, and the house's health.
// expect: outcome in OUT_OF_MEMORY,FAILED,KILLED
// limits: wall_ms=8000 memory_mib=256
const held = [];
for (;;) held.push(Buffer.alloc(8 << 20, 1));
