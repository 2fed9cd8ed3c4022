// tries: read the environment of this node and of its parents, as it was when they were started.
// judged by: a secret or a server's variable in one of them.
const fs = require('fs');
const prefix = ['sandql', 'secret', ''].join('-');
const found = [];
for (const pid of ['self', '1', String(process.ppid), ...fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))]) {
  let text = '';
  try { text = fs.readFileSync(`/proc/${pid}/environ`, 'latin1') + fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1'); } catch {}
  for (const word of [prefix, 'SANDQL_', 'PYTEST', 'VIRTUAL_ENV', 'SSH_']) if (text.includes(word)) found.push(`${word} of ${pid}`);
}
if (JSON.stringify(process.env).includes(prefix)) found.push('process.env');
console.log(found.length ? 'ESCAPED: ' + found.join('; ') : 'CONTAINED');
