// A client over its rate and its quota: what it sees, and the `RetryLink` of docs/rate-limits.md, as it stands there, which waits.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { EXECUTE, HELLO, STREAM, answer, collect } from './documents.mjs';
import { token, use } from './tokens.mjs';

const [, , httpUrl, , secret, apolloSnippet, patientSnippet] = process.argv;
let claims = { sub: 'ned', plan: 'strict' };
use(async () => token(secret, claims));
const { client, socket, auth } = await import(apolloSnippet);

const run = (by) => by.mutate({ mutation: gql(EXECUTE), variables: { code: HELLO }, errorPolicy: 'all' });
const said = (errors) => errors?.map(({ extensions: { code, retryAfter } }) => ({ code, waits: retryAfter > 0 }));

await run(client);
const rated = said((await run(client)).error?.errors);
const ratedSocket = await collect(socket.iterate({ query: STREAM, variables: { code: HELLO } })).then(() => null, said);

let requests = 0;
globalThis.http = auth.concat(new HttpLink({ uri: httpUrl, fetch: (...asked) => { requests += 1; return fetch(...asked); } }));
const { link } = await import(patientSnippet);
const patient = new ApolloClient({ link, cache: new InMemoryCache() });
claims = { sub: 'pat', plan: 'slow' };
const outputs = [await run(patient), await run(patient)].map(({ data }) => data?.executeCode.output);

claims = { sub: 'tim', plan: 'tiny' };
await run(client);
const spent = said((await run(client)).error?.errors);

answer({ rated, ratedSocket, outputs, requests, spent });
