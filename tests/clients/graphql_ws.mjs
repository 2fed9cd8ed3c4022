// graphql-ws: one socket, the three kinds of operation, errors that leave it open, and the end of a run.
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { BEAT, EXECUTE, HELLO, LANGUAGES, STREAM, TWO_LINES, answer, collect, summary } from './documents.mjs';

const [, , , wsUrl] = process.argv;
let sockets = 0;
const closes = [];
const client = createClient({
  url: wsUrl,
  webSocketImpl: WebSocket,
  lazy: false,
  retryAttempts: 0,
  keepAlive: 200, // milliseconds between pings: the server must answer each
  on: { connected: () => sockets++, closed: (event) => closes.push(event.code) },
});

async function failure(payload) {
  try {
    await collect(client.iterate(payload));
    return null;
  } catch (errors) {
    return errors.map?.((error) => error.message) ?? String(errors);
  }
}

const [languages] = await collect(client.iterate({ query: LANGUAGES }));
const [executed] = await collect(client.iterate({ query: EXECUTE, variables: { code: HELLO } }));
const streamed = await collect(client.iterate({ query: STREAM, variables: { code: TWO_LINES } }));
const together = await Promise.all(
  Array.from({ length: 8 }, (_, index) => collect(client.iterate({ query: STREAM, variables: { code: `print(${index})` } }))),
);
const syntax = await failure({ query: '{ languages {' });
const unknown = await failure({ query: '{ nothing }' });
const noSuchOperation = await failure({ query: LANGUAGES, operationName: 'Other' });

const run = client.iterate({ query: STREAM, variables: { code: BEAT, sandboxId: 'home' } });
for await (const { data } of run) if (data.executeCode.text?.includes('alive')) break; // leaving the loop unsubscribes
const endedAtMs = Date.now();
const [after] = await collect(client.iterate({ query: EXECUTE, variables: { code: HELLO } }));

answer({
  languages: languages.data.languages.map((language) => language.name),
  executed: executed.data.executeCode,
  streamed: summary(streamed),
  together: together.map((results) => summary(results).text),
  syntax,
  unknown,
  noSuchOperation,
  endedAtMs,
  after: after.data.executeCode.output,
  sockets,
  closes,
});
