// tries: see and use the whole machine from node: processors, memory, load, users.
// judged by: a user of the host is shown.
const os = require('os');
const found = [];
try { const user = os.userInfo(); if (user.uid === 0 && user.homedir === '/root') found.push('root'); } catch {}
try { os.setPriority(0, -20); found.push('priority'); } catch {}
try { os.setPriority(1, 19); found.push('priority of process 1'); } catch {}
console.log(found.length ? 'ESCAPED: ' + found.join('; ') : 'CONTAINED');
