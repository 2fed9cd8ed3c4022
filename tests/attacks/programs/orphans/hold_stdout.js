// tries: the same by a detached child of node that was given stdout.
// judged by: the result comes at once, and the child is gone.
// limits: wall_ms=10000
// within: 4000
require('child_process').spawn('sleep', ['60'], { detached: true, stdio: 'inherit' }).unref();
console.log('CONTAINED');
