// tries: the same from node.
// judged by: a connection.
// args: {tcp_port}
const net = require('net');
const found = [];
const attempts = ['127.0.0.1', 'localhost', '::1', '0.0.0.0'].map((host) => new Promise((done) => {
  const socket = net.connect({ port: Number(process.argv[2]), host }, () => { found.push(host); socket.destroy(); done(); });
  socket.setTimeout(1000, () => { socket.destroy(); done(); });
  socket.on('error', () => done());
}));
Promise.all(attempts).then(() => console.log(found.length ? 'ESCAPED: ' + found.join('; ') : 'CONTAINED'));
