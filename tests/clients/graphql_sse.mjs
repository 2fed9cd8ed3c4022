// graphql-sse in one of its two modes ("distinct" or "single"): results, several at once, errors, and the end of a run.
import { createClient } from 'graphql-sse';
import { BEAT, EXECUTE, HELLO, LANGUAGES, STREAM, TWO_LINES, answer, collect, summary } from './documents.mjs';

const [, , httpUrl, , mode] = process.argv;
const single = mode === 'single';
const requests = [];
const refusals = [];
const client = createClient({
  url: single ? `${httpUrl}/stream` : httpUrl,
  singleConnection: single,
  retryAttempts: 0,
  fetchFn: async (url, init) => {
    const response = await fetch(url, init);
    requests.push([init.method, response.status]);
    if (!response.ok) refusals.push(await response.clone().json());
    return response;
  },
});

/** The results, or the error, of an operation that cannot be run. */
async function failure(payload) {
  try {
    return { results: await collect(client.iterate(payload)) };
  } catch (error) {
    return { error: error.name };
  }
}

const hold = single ? client.iterate({ query: STREAM, variables: { code: 'import time; time.sleep(60)' } }) : null; // keeps the one stream open
const [languages] = await collect(client.iterate({ query: LANGUAGES }));
const [executed] = await collect(client.iterate({ query: EXECUTE, variables: { code: HELLO } }));
const streamed = await collect(client.iterate({ query: STREAM, variables: { code: TWO_LINES } }));
const together = await Promise.all(
  Array.from({ length: 4 }, (_, index) => collect(client.iterate({ query: STREAM, variables: { code: `print(${index})` } }))),
);
const shared = requests.slice(); // a client in single mode makes a new stream after a refused request
const invalid = await failure({ query: '{ nothing }' });

const run = client.iterate({ query: STREAM, variables: { code: BEAT, sandboxId: 'home' } });
for await (const { data } of run) if (data.executeCode.text?.includes('alive')) break; // leaving the loop unsubscribes
const endedAtMs = Date.now();
await hold?.return();
client.dispose();

answer({
  languages: languages.data.languages.map((language) => language.name),
  executed: executed.data.executeCode,
  streamed: summary(streamed),
  together: together.map((results) => summary(results).text),
  invalid,
  endedAtMs,
  requests: shared,
  refusals,
});
