// A page of another origin that has a token: what it gets of the server by a request, an event stream and a socket.
import { answer, withPage } from './chromium.mjs';

const [, , chromium, origin, url, token] = process.argv;

const attempt = async ([target, credential]) => {
  const query = 'mutation { executeCode(code: "print(6 * 7)", language: "python") { output } }';
  const subscription = 'subscription { executeCode(code: "print(6 * 7)", language: "python") { ... on ExecutionOutput { text } } }';

  async function post(asked, accept) {
    try {
      const headers = { authorization: `Bearer ${credential}`, 'content-type': 'application/json', accept };
      const response = await fetch(target, { method: 'POST', headers, body: JSON.stringify({ query: asked }) });
      return { status: response.status, id: Boolean(response.headers.get('x-request-id')), body: await response.text() };
    } catch (error) {
      return error.name;
    }
  }

  const socket = () =>
    new Promise((resolve) => {
      const heard = [];
      const open = new WebSocket(target.replace('http', 'ws'), 'graphql-transport-ws');
      open.onopen = () => open.send(JSON.stringify({ type: 'connection_init', payload: { Authorization: `Bearer ${credential}` } }));
      open.onmessage = ({ data }) => {
        heard.push(JSON.parse(data));
        if (heard.length === 1) open.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: subscription } }));
        if (heard.at(-1).type === 'complete') open.close(1000);
      };
      open.onclose = ({ code }) => resolve({ code, heard: JSON.stringify(heard) });
    });

  return { request: await post(query, 'application/json'), events: await post(subscription, 'text/event-stream'), socket: await socket() };
};

await withPage(chromium, async (page, seen) => {
  await page.goto(`${origin}/package.json`);
  answer({ got: await page.evaluate(attempt, [url, token]), statuses: seen.statuses[url] ?? [] });
}, ['--disable-features=LocalNetworkAccessChecks']);
