// Clients whose token proves nothing: what they see, and when they give up.
import { CombinedGraphQLErrors, gql } from '@apollo/client';
import { createClient as createSse } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import { EXECUTE, HELLO, STREAM, answer, collect } from './documents.mjs';
import { use } from './tokens.mjs';

const [, , httpUrl, wsUrl, limitedWsUrl, apolloSnippet, otherSnippet] = process.argv;
use(async () => 'of.no.use');
const { client, socket } = await import(apolloSnippet);
const { events, urql } = await import(otherSnippet);
const variables = { code: HELLO };

const failure = (work) => work.then(() => null, (error) => error);
const codesOf = (error) => error?.errors?.map(({ extensions }) => extensions.code);

const overHttp = await failure(client.mutate({ mutation: gql(EXECUTE), variables }));
const overSocket = await failure(collect(socket.iterate({ query: STREAM, variables })));
const byApollo = await failure(new Promise((resolve, reject) => {
  client.subscribe({ query: gql(STREAM), variables }).subscribe({ next: ({ error }) => error && reject(error), error: reject, complete: resolve });
}));
const byUrql = (await urql.mutation(EXECUTE, variables).toPromise()).error;
const byEvents = await failure(collect(events.iterate({ query: STREAM, variables })));

/** How often a client of graphql-ws connects that tries again at once, up to so many times, and how each attempt ends. */
async function attempts(url, retryAttempts) {
  const closes = [];
  const stubborn = createClient({
    url, retryAttempts, retryWait: async () => {}, connectionParams: { token: 'of.no.use' }, on: { closed: ({ code }) => closes.push(code) },
  });
  const error = await failure(collect(stubborn.iterate({ query: STREAM, variables })));
  return { closes, last: error.code };
}

let requests = 0;
const counted = (...asked) => { requests += 1; return fetch(...asked); };
const patient = createSse({ url: httpUrl, headers: { Authorization: 'Bearer of.no.use' }, retry: async () => {}, fetchFn: counted });
await failure(collect(patient.iterate({ query: STREAM, variables })));

answer({
  http: CombinedGraphQLErrors.is(overHttp) ? codesOf(overHttp) : String(overHttp),
  socket: [overSocket.code, overSocket.reason],
  apolloSocket: String(byApollo),
  urql: byUrql.graphQLErrors.map(({ extensions }) => extensions.code),
  events: [byEvents.name, byEvents.response?.status, (await byEvents.response?.json())?.errors[0].extensions.code],
  attempts: await attempts(wsUrl, 5),
  limited: await attempts(limitedWsUrl, 3),
  eventRequests: requests,
});
