// tries: write one line for ever.
// judged by: the outcome, and the house's health.
// expect: outcome in OUTPUT_LIMIT,TIMED_OUT,KILLED,OUT_OF_MEMORY,FAILED
// limits: wall_ms=4000 output_kib=64 output_hard_mib=8 memory_mib=256
const fs = require('fs');
const block = Buffer.alloc(65536, 120);
for (;;) { try { fs.writeSync(1, block); } catch (error) { if (error.code !== 'EAGAIN') throw error; } }
