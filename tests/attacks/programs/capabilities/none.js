// tries: the same from node and its children.
// judged by: any set is not empty, no_new_privs or the filter is off.
const { execFileSync } = require('child_process');
const found = [];
for (const text of [require('fs').readFileSync('/proc/self/status', 'latin1'), execFileSync('cat', ['/proc/self/status']).toString('latin1')]) {
  for (const [, name, value] of text.matchAll(/^(Cap(?:Inh|Prm|Eff|Amb|Bnd)):\t(\w+)/gm)) if (parseInt(value, 16)) found.push(name + value);
  if (!/^NoNewPrivs:\t1$/m.test(text)) found.push('new privileges');
  if (!/^Seccomp:\t2$/m.test(text)) found.push('no filter');
}
console.log(found.length ? 'ESCAPED: ' + found.join('; ') : 'CONTAINED');
