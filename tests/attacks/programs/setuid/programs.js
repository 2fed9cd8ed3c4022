// tries: become root from node: process.setuid, and children with uid and gid options.
// judged by: one runs as root of the host.
const { spawnSync } = require('child_process');
const found = [];
for (const act of ['setuid', 'seteuid', 'setgid', 'setegid']) {
  const id = process[act.endsWith('uid') ? 'getuid' : 'getgid']();
  try { if (id !== 0) { process[act](0); found.push(act); } } catch {}
}
if (process.getuid() !== 0) {
  const child = spawnSync('id', ['-u'], { uid: 0, gid: 0, timeout: 3000 });
  if (!child.error && String(child.stdout).trim() === '0') found.push('child as 0');
}
for (const [file, ...args] of [['su', '-c', 'id'], ['sudo', '-n', 'id'], ['pkexec', 'id']]) {
  const child = spawnSync(file, args, { timeout: 2000, input: '' });
  if (String(child.stdout).includes('uid=0')) found.push(file);
}
console.log(found.length ? 'ESCAPED: ' + found.join('; ') : 'CONTAINED');
