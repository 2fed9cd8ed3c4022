// urql: its plain fetch exchange for queries and mutations (POST and GET), subscriptions by fetch (SSE or multipart) and by socket.
import { Client, fetchExchange, subscriptionExchange } from 'urql';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { BEAT, EXECUTE, HELLO, LANGUAGES, STREAM, TWO_LINES, answer, summary } from './documents.mjs';

const [, , httpUrl, wsUrl] = process.argv;
const requests = [];

async function recorded(url, init) {
  const response = await fetch(url, init);
  requests.push({ method: init.method, accept: init.headers.accept, type: response.headers.get('content-type')?.split(';')[0] });
  return response;
}

const options = { url: httpUrl, requestPolicy: 'network-only', fetch: recorded };

/** The results of a subscription up to the end of the run, or up to `last`, which then unsubscribes. */
function subscribe(client, variables, last = ({ data }) => data?.executeCode.__typename === 'ExecutionCompleted') {
  return new Promise((resolve, reject) => {
    const results = [];
    const { unsubscribe } = client.subscription(STREAM, variables).subscribe((result) => {
      if (result.error) reject(result.error);
      if (result.data !== results.at(-1)?.data) results.push(result); // it repeats the last one to say that no more come
      if (!last(result)) return;
      setTimeout(() => {
        unsubscribe();
        resolve(results);
      });
    });
  });
}

const plain = new Client({ ...options, preferGetMethod: false, exchanges: [fetchExchange] });
const languages = await plain.query(LANGUAGES, {}).toPromise();
const executed = await plain.mutation(EXECUTE, { code: HELLO }).toPromise();
const failed = await plain.query('{ readFile(path: "../x") { content } }', {}).toPromise();
const get = new Client({ ...options, preferGetMethod: 'force', exchanges: [fetchExchange] });
const byGet = await get.query(LANGUAGES, {}).toPromise();
const plainRequests = requests.splice(0);

const byFetch = new Client({ ...options, preferGetMethod: false, fetchSubscriptions: true, exchanges: [fetchExchange] });
const overHttp = await subscribe(byFetch, { code: TWO_LINES });
const streamRequests = requests.splice(0);

const socket = createClient({ url: wsUrl, webSocketImpl: WebSocket, retryAttempts: 0 });
const forwardSubscription = ({ query, variables }) => ({
  subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables }, sink) }),
});
const bySocket = new Client({ ...options, preferGetMethod: false, exchanges: [fetchExchange, subscriptionExchange({ forwardSubscription })] });
const overSocket = await subscribe(bySocket, { code: TWO_LINES });

await subscribe(byFetch, { code: BEAT, sandboxId: 'home' }, ({ data }) => data?.executeCode.text?.includes('alive'));
const endedAtMs = Date.now();

answer({
  languages: languages.data.languages.map((language) => language.name),
  executed: executed.data.executeCode,
  failed: failed.error?.graphQLErrors.map((error) => error.extensions.code),
  byGet: byGet.data.languages.length,
  plainRequests,
  overHttp: summary(overHttp),
  streamRequests,
  overSocket: summary(overSocket),
  endedAtMs,
});
