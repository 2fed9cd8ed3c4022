// tries: see processes of the host or of other runs.
// judged by: a command line that is marked, or more processes than one run has.
const fs = require('fs');
const prefix = ['sandql', 'secret', ''].join('-');
const pids = fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name));
const found = [];
for (const pid of pids) {
  try { if (fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(prefix)) found.push('marked process ' + pid); } catch {}
}
if (pids.length > 6) found.push(pids.length + ' processes');
if (pids.some((pid) => Number(pid) > 2000)) found.push('high pids: ' + pids.join(' '));
console.log(found.length ? 'ESCAPED: ' + found.join('; ') : 'CONTAINED');
