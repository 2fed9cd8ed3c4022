// tries: artifacts that link to descriptors, to roots and to directories of processes.
// judged by: nothing is brought back.
// artifacts: fd0 fd3 root cwd exe ns
// brings:
const fs = require('fs');
for (const [name, target] of [['fd0', '/proc/self/fd/0'], ['fd3', '/proc/self/fd/3'], ['root', '/proc/self/root'], ['cwd', '/proc/1/cwd'], ['exe', '/proc/self/exe'], ['ns', '/proc/self/ns/user']]) {
  fs.symlinkSync(target, name);
}
console.log('CONTAINED');
