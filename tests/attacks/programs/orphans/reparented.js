// tries: kill the program from a grandchild after it was given back, and hold its pipes.
// judged by: the result comes at once.
// within: 4000
const { spawn } = require('child_process');
spawn('sh', ['-c', 'setsid sh -c "sleep 0.3; while :; do echo late; sleep 0.1; done" &'], { stdio: 'inherit' }).on('exit', () => { console.log('CONTAINED'); process.exit(0); });
