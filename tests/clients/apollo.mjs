// Apollo Client 4: query and mutation over HTTP, subscriptions over multipart HTTP and over WebSocket, persisted queries, batches.
import { createHash } from 'node:crypto';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { BatchHttpLink } from '@apollo/client/link/batch-http';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { BEAT, EXECUTE, HELLO, LANGUAGES, STREAM, TWO_LINES, answer, summary } from './documents.mjs';

const [, , httpUrl, wsUrl] = process.argv;
const requests = [];

async function recorded(url, init) {
  const response = await fetch(url, init);
  const body = init.body ? JSON.parse(init.body) : null;
  const type = response.headers.get('content-type')?.split(';')[0];
  requests.push({ method: init.method, status: response.status, type, batch: body?.length ?? 0, hasQuery: Boolean(body?.query) });
  return response;
}

const apollo = (link) => new ApolloClient({ link, cache: new InMemoryCache(), defaultOptions: { query: { fetchPolicy: 'no-cache' } } });

/** All results of a subscription, or those up to `last`, which then unsubscribes. */
function subscribe(client, variables, last = () => false) {
  return new Promise((resolve, reject) => {
    const results = [];
    const subscription = client.subscribe({ query: gql(STREAM), variables, fetchPolicy: 'no-cache' }).subscribe({
      next(result) {
        if (result.error) reject(result.error);
        results.push(result);
        if (!last(result)) return;
        subscription.unsubscribe();
        resolve(results);
      },
      error: reject,
      complete: () => resolve(results),
    });
  });
}

const alive = ({ data }) => Boolean(data.executeCode.text?.includes('alive'));

const http = apollo(new HttpLink({ uri: httpUrl, fetch: recorded }));
const languages = await http.query({ query: gql(LANGUAGES) });
const executed = await http.mutate({ mutation: gql(EXECUTE), variables: { code: HELLO } });
const multipart = await subscribe(http, { code: TWO_LINES });
const plain = requests.splice(0);

const refused = await http.query({ query: gql('{ readFile(path: "../x") { content } }'), errorPolicy: 'all' });
const invalid = await http.query({ query: gql('{ nothing }'), errorPolicy: 'all' });
requests.length = 0;

const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const persisted = apollo(ApolloLink.from([new PersistedQueryLink({ sha256 }), new HttpLink({ uri: httpUrl, fetch: recorded })]));
await persisted.query({ query: gql(LANGUAGES) });
const fromHash = await persisted.query({ query: gql(LANGUAGES) });
const persistedRequests = requests.splice(0);

const batched = apollo(new BatchHttpLink({ uri: httpUrl, fetch: recorded, batchInterval: 20 }));
const batch = await Promise.all([
  batched.query({ query: gql(LANGUAGES) }),
  batched.mutate({ mutation: gql(EXECUTE), variables: { code: HELLO } }),
  batched.query({ query: gql('{ languages { version } }') }),
]);
const batchRequests = requests.splice(0);

const socket = createClient({ url: wsUrl, webSocketImpl: WebSocket, retryAttempts: 0 });
const ws = apollo(new GraphQLWsLink(socket));
const overSocket = await subscribe(ws, { code: TWO_LINES });
const querySocket = await ws.query({ query: gql(LANGUAGES) });

await subscribe(http, { code: BEAT, sandboxId: 'home' }, alive);
const endedAtMs = Date.now();

answer({
  languages: languages.data.languages.map((language) => language.name),
  executed: executed.data.executeCode,
  multipart: summary(multipart),
  plain,
  refused: refused.error?.errors?.map((error) => error.extensions.code) ?? String(refused.error),
  invalid: invalid.error?.errors?.map((error) => error.message) ?? String(invalid.error),
  fromHash: fromHash.data.languages.length,
  persistedRequests,
  batch: batch.map((result) => Object.keys(result.data)),
  batchRequests,
  overSocket: summary(overSocket),
  querySocket: querySocket.data.languages.length,
  endedAtMs,
});
