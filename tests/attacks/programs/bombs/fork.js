// tries: start children for ever.
// judged by: the outcome, and the house's health.
// expect: outcome in TIMED_OUT,KILLED,FAILED,OUT_OF_MEMORY
// limits: wall_ms=1500 processes=32 memory_mib=256
const { spawn } = require('child_process');
setInterval(() => { for (let i = 0; i < 20; i++) spawn('sleep', ['30'], { detached: true, stdio: 'ignore' }).on('error', () => {}); }, 1);
