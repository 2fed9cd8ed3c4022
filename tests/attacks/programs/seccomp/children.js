// tries: lose the filter by exec, in a new session, in a worker, or in a detached child.
// judged by: a child without it, or one that can make a namespace.
const { spawnSync } = require('child_process');
const found = [];
for (const [file, ...args] of [['grep', 'Seccomp:', '/proc/self/status'], ['setsid', '-w', 'grep', 'Seccomp:', '/proc/self/status'], ['env', '-i', '/bin/sh', '-c', 'grep Seccomp: /proc/self/status'], ['python3', '-c', 'print(open("/proc/self/status").read())']]) {
  const child = spawnSync(file, args, { timeout: 3000 });
  const text = String(child.stdout);
  if (child.error || !text) continue;
  if (!/Seccomp:\t2/.test(text)) found.push(file + ' without');
}
if (spawnSync('unshare', ['-Ur', 'id'], { timeout: 3000 }).status === 0) found.push('unshare');
console.log(found.length ? 'ESCAPED: ' + found.join('; ') : 'CONTAINED');
