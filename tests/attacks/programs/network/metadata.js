// tries: the same from node, by fetch and by a socket.
// judged by: an answer.
(async () => {
  const found = [];
  try { await fetch('http://169.254.169.254/latest/meta-data/', { signal: AbortSignal.timeout(800) }); found.push('fetch'); } catch {}
  await new Promise((done) => {
    const socket = require('net').connect(80, '169.254.169.254', () => { found.push('tcp'); socket.destroy(); done(); });
    socket.setTimeout(800, () => { socket.destroy(); done(); });
    socket.on('error', done);
  });
  console.log(found.length ? 'ESCAPED: ' + found.join('; ') : 'CONTAINED');
  process.exit(0);
})();
