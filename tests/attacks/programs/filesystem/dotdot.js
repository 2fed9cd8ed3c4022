// tries: climb out of the workspace by .. in many spellings.
// judged by: a host's file that the cell's own root has not is reached.
const fs = require('fs');
const found = [];
const ups = ['../'.repeat(40), '/workspace/' + '../'.repeat(60), './/..//'.repeat(30), '/proc/self/cwd/' + '../'.repeat(20), '/proc/self/root/../../../'];
for (const up of ups) {
  for (const target of ['root/.bashrc', 'root/.profile', 'home', 'etc/shadow', 'var/lib/dpkg', 'opt']) {
    try {
      const stat = fs.statSync(up + target);
      if (stat.isDirectory() ? fs.readdirSync(up + target).length : fs.readFileSync(up + target).length) found.push(up.slice(0, 20) + '…' + target);
    } catch {}
  }
}
console.log(found.length ? 'ESCAPED: ' + found.join('; ') : 'CONTAINED');
