// The clients of docs/authentication.md, as they stand there, with a token or an API key: who they are, a run, and its stream.
import { gql } from '@apollo/client';
import { EXECUTE, HELLO, STREAM, TWO_LINES, answer, collect, summary } from './documents.mjs';
import { use } from './tokens.mjs';

const [, , , , credential, apolloSnippet, otherSnippet] = process.argv;
use(async () => credential);
const { client, socket } = await import(apolloSnippet);
const { events, urql } = await import(otherSnippet);

const ME = 'query Me { viewer { id role } }';

function subscribed(observable) {
  return new Promise((resolve, reject) => {
    const results = [];
    observable.subscribe({
      next(result) {
        if (result.error) reject(result.error);
        if (result.data !== results.at(-1)?.data) results.push(result); // urql repeats the last one to say that no more come
        if (result.data?.executeCode.__typename === 'ExecutionCompleted') resolve(results);
      },
      error: reject,
    });
  });
}

/** A client that has one way for all kinds of operation. */
async function iterated(one) {
  const [me] = await collect(one.iterate({ query: ME }));
  const [executed] = await collect(one.iterate({ query: EXECUTE, variables: { code: HELLO } }));
  const streamed = await collect(one.iterate({ query: STREAM, variables: { code: TWO_LINES } }));
  return { me: me.data.viewer, executed: executed.data.executeCode, streamed: summary(streamed) };
}

const variables = { code: HELLO };
const apollo = {
  me: (await client.query({ query: gql(ME) })).data.viewer,
  executed: (await client.mutate({ mutation: gql(EXECUTE), variables })).data.executeCode,
  streamed: summary(await subscribed(client.subscribe({ query: gql(STREAM), variables: { code: TWO_LINES }, fetchPolicy: 'no-cache' }))),
};
const next = (found) => (found.error ? Promise.reject(found.error) : found.data);
const byUrql = {
  me: (next(await urql.query(ME, {}).toPromise())).viewer,
  executed: (next(await urql.mutation(EXECUTE, variables).toPromise())).executeCode,
  streamed: summary(await subscribed({ subscribe: ({ next: take }) => urql.subscription(STREAM, { code: TWO_LINES }).subscribe(take) })),
};

answer({ apollo, 'graphql-ws': await iterated(socket), 'graphql-sse': await iterated(events), urql: byUrql });
