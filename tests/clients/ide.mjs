// An online IDE's backbone: Apollo Client for what is asked and done, graphql-ws for what is watched, and a laptop lid that closes in between.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { answer } from './documents.mjs';

const [, , httpUrl, wsUrl] = process.argv;
const LINES = 200;
const PROGRAM = `import time\nfor n in range(${LINES}):\n    print('line', n, flush=True)\n    if n % 10 == 0: time.sleep(0.02)`;

/** A page: an Apollo Client with a socket of its own, which can be lost. */
function open() {
  let socket;
  const ws = createClient({ url: wsUrl, webSocketImpl: class extends WebSocket { constructor(...all) { super(...all); socket = this; } }, retryAttempts: 0, lazy: false, onNonLazyError: () => {} });
  const link = ApolloLink.split(({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION, new GraphQLWsLink(ws), new HttpLink({ uri: httpUrl }));
  const client = new ApolloClient({ link, cache: new InMemoryCache(), defaultOptions: { query: { fetchPolicy: 'no-cache' }, mutate: { fetchPolicy: 'no-cache' } } });
  const act = async (mutation, variables) => (await client.mutate({ mutation: gql(mutation), variables })).data;
  const ask = async (query, variables) => (await client.query({ query: gql(query), variables })).data;
  /** Events of a subscription until `last` says so; then, or when the connection is lost, it is over. */
  const watch = (query, variables, last) => new Promise((resolve) => {
    const seen = [];
    const subscription = client.subscribe({ query: gql(query), variables, fetchPolicy: 'no-cache' }).subscribe({
      next: ({ data }) => {
        if (!data) return;
        const event = Object.values(data)[0];
        seen.push(event);
        if (last(event, seen)) { subscription.unsubscribe(); resolve(seen); }
      },
      error: () => resolve(seen),
      complete: () => resolve(seen),
    });
  });
  return { act, ask, watch, lose: () => socket.terminate(), close: () => ws.dispose() };
}

const EVENTS = `subscription ($id: ID!, $after: Int) { executionEvents(id: $id, after: $after) {
  __typename ... on ExecutionStarted { seq } ... on ExecutionOutput { seq text } ... on ExecutionCompleted { seq result { outcome } } } }`;
const SCREEN = `subscription ($id: ID!, $after: ByteCount) { terminalOutput(id: $id, after: $after) {
  ... on TerminalOutput { offset data truncated } ... on TerminalEnded { offset exitCode } } }`;
const TYPE = 'mutation ($id: ID!, $data: String!) { terminalInput(id: $id, data: $data) }';

let page = open();
const { createSandbox: sandbox } = await page.act('mutation { createSandbox(name: "ide", timeout: 60000) { id status } }');
const { createSandbox: again } = await page.act('mutation { createSandbox(name: "ide", timeout: 60000) { id } }');

const changed = page.watch(
  'subscription ($id: ID!) { fileChanges(sandboxId: $id, path: "", recursive: true) { overflow changes { kind path } } }',
  { id: sandbox.id },
  (_event, seen) => seen.some(({ changes }) => changes.some(({ path }) => path === 'src/main.py')),
);
let written = false;
changed.then(() => { written = true; });
for (let turn = 0; !written && turn < 100; turn++) {
  await page.act('mutation ($id: ID!, $c: String!) { writeFile(sandboxId: $id, path: "src/main.py", content: $c) }', { id: sandbox.id, c: `print(${turn})` });
  await Promise.race([changed, new Promise((resolve) => setTimeout(resolve, 100))]);
}
const tree = (await page.ask('query ($id: ID!) { sandbox(id: $id) { files(recursive: true) { path type } } }', { id: sandbox.id })).sandbox.files.map(({ path }) => path);

const { startExecution: run } = await page.act(
  'mutation ($code: String!, $id: ID!) { startExecution(code: $code, language: "python", sandboxId: $id, idempotencyKey: "run-1") { id } }',
  { code: PROGRAM, id: sandbox.id },
);
const events = [];
let losses = 0;
while (events.at(-1)?.__typename !== 'ExecutionCompleted' && losses < 50) {
  const enough = events.length + 7 + losses;
  const { watch, lose } = page;
  const seen = await watch(EVENTS, { id: run.id, after: events.at(-1)?.seq ?? 0 }, (event, all) => {
    if (events.length + all.length === enough && event.__typename !== 'ExecutionCompleted') lose();
    return event.__typename === 'ExecutionCompleted';
  });
  events.push(...seen);
  if (events.at(-1)?.__typename !== 'ExecutionCompleted') { losses += 1; page = open(); }
}
const { execution } = await page.ask('query ($id: ID!) { execution(id: $id) { status outcome result { output } } }', { id: run.id });

const { createTerminal: terminal } = await page.act('mutation ($id: ID!) { createTerminal(sandboxId: $id, cols: 70, rows: 20) { id } }', { id: sandbox.id });
await page.act(TYPE, { id: terminal.id, data: 'cat src/main.py; stty size; echo seen-$((20 + 22))\n' });
const shows = (text) => (_event, seen) => seen.map(({ data }) => data ?? '').join('').includes(text);
const first = await page.watch(SCREEN, { id: terminal.id }, shows('seen-42'));
page.lose();
page = open();
await page.act(TYPE, { id: terminal.id, data: 'echo back-$((1 + 1))\n' });
const second = await page.watch(SCREEN, { id: terminal.id, after: first.at(-1).offset }, shows('back-2'));
await page.act(TYPE, { id: terminal.id, data: 'exit 3\n' });
const end = (await page.watch(SCREEN, { id: terminal.id, after: second.at(-1).offset }, ({ exitCode }) => exitCode !== undefined)).at(-1);

const { createContext: context } = await page.act('mutation ($id: ID!) { createContext(language: "python", sandboxId: $id) { id } }', { id: sandbox.id });
const CELL = 'mutation ($id: ID!, $code: String!) { executeCode(contextId: $id, language: "python", code: $code) { outcome results { mimeType data } } }';
await page.act(CELL, { id: context.id, code: 'x = 41' });
const { executeCode: cell } = await page.act(CELL, { id: context.id, code: 'x + 1' });
await page.act('mutation ($id: ID!) { destroySandbox(id: $id) }', { id: sandbox.id });
const { sandbox: gone } = await page.ask('query ($id: ID!) { sandbox(id: $id) { status } }', { id: sandbox.id });
page.close();

answer({
  same: again.id === sandbox.id,
  tree,
  losses,
  seqs: events.map(({ seq }) => seq),
  text: events.map(({ text }) => text ?? '').join(''),
  execution,
  size: first.map(({ data }) => data).join('').includes('20 70'),
  truncated: second.some(({ truncated }) => truncated),
  repeated: second.map(({ data }) => data).join('').includes('seen-42'),
  exitCode: end.exitCode,
  cell,
  gone: gone.status,
});
