// tries: use a descriptor that was left open in node: a socket, a directory, a file of the host.
// judged by: a target that node itself does not make (pipes, eventfd, epoll, io_uring, /dev/null are its own).
const fs = require('fs');
const found = [];
for (const name of fs.readdirSync('/proc/self/fd')) {
  let target = '';
  try { target = fs.readlinkSync('/proc/self/fd/' + name); } catch { continue; }
  if (/^(pipe:|anon_inode:)/.test(target) || target === '/dev/null' || target.startsWith('/workspace') || /^\/proc\/\d+\/fd$/.test(target)) continue;
  found.push(`${name} is ${target}`);
}
for (const fd of [0, 1, 2]) if (fs.fstatSync(fd).isSocket()) found.push(`stdio ${fd} is a socket`);
console.log(found.length ? 'ESCAPED: ' + found.join('; ') : 'CONTAINED');
