// tries: foresee another run's random numbers in node, which may have been started before the run.
// judged by: two runs print the same.
// between-runs: differ
const crypto = require('crypto');
console.log('STATE random', Math.random());
console.log('STATE uuid', crypto.randomUUID());
console.log('STATE bytes', crypto.randomBytes(8).toString('hex'));
console.log('STATE web', crypto.getRandomValues(new Uint32Array(2)).join());
console.log('CONTAINED');
