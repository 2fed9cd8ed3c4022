// A reverse proxy that serves the server below a path, as one does that shares its host with other services.
import { createServer, request } from 'node:http';

/** Listen on a free port; answers the address of the server's page below `path`, and what closes it. */
export async function proxied(target, path) {
  const { hostname, port } = new URL(target);
  const asked = [];

  function forward(incoming) {
    asked.push(incoming.url);
    const below = incoming.url.startsWith(`${path}/`) ? incoming.url.slice(path.length) : '/outside';
    return request({ hostname, port, path: below, method: incoming.method, headers: incoming.headers });
  }

  const server = createServer((incoming, outgoing) => {
    const passed = forward(incoming);
    passed.on('response', (response) => {
      outgoing.writeHead(response.statusCode, response.rawHeaders);
      response.pipe(outgoing);
    });
    outgoing.on('close', () => passed.destroy());
    incoming.pipe(passed);
  });
  server.on('upgrade', (incoming, socket) => {
    const passed = forward(incoming);
    passed.on('upgrade', (response, other) => {
      const headers = Object.entries(response.headers).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${headers.join('')}\r\n`);
      socket.pipe(other).pipe(socket);
    });
    passed.end();
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const origin = `127.0.0.1:${server.address().port}`;
  const close = () => (server.close(), server.closeAllConnections());
  return { url: `http://${origin}${path}/graphql`, origin, asked, close };
}
