// Relay: a minimal network layer over fetch, subscriptions over graphql-ws and over multipart HTTP.
// The artifacts below are what relay-compiler writes for these documents, less what the runtime does not read.
import relay from 'relay-runtime';
import { createFetchMultipartSubscription } from '@apollo/client/utilities/subscriptions/relay';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { BEAT, EXECUTE, HELLO, LANGUAGES, STREAM, TWO_LINES, answer, summary } from './documents.mjs';

const { Environment, Network, Observable, RecordSource, Store, commitMutation, fetchQuery, requestSubscription } = relay;
const [, , httpUrl, wsUrl] = process.argv;

const scalar = (name) => ({ alias: null, args: null, kind: 'ScalarField', name, storageKey: null });
const on = (type, ...fields) => ({ kind: 'InlineFragment', type, abstractKey: null, selections: fields.map(scalar) });
const variable = (name) => ({ kind: 'Variable', name, variableName: name });
const linked = (name, concreteType, plural, args, selections) => ({
  alias: null, args, concreteType, kind: 'LinkedField', name, plural, storageKey: null, selections,
});

function request(name, operationKind, text, variables, selections) {
  const argumentDefinitions = variables.map((each) => ({ defaultValue: null, kind: 'LocalArgument', name: each }));
  const type = { query: 'Query', mutation: 'Mutation', subscription: 'Subscription' }[operationKind];
  return {
    kind: 'Request',
    fragment: { argumentDefinitions, kind: 'Fragment', metadata: null, name, selections, type, abstractKey: null },
    operation: { argumentDefinitions, kind: 'Operation', name, selections },
    params: { cacheID: name, id: null, metadata: {}, name, operationKind, text },
  };
}

const languagesQuery = request('Languages', 'query', LANGUAGES, [], [linked('languages', 'Language', true, null, [scalar('name')])]);
const executeMutation = request('Execute', 'mutation', EXECUTE, ['code'], [
  linked('executeCode', 'ExecutionResult', false, [variable('code')], ['output', 'success', 'outcome'].map(scalar)),
]);
const streamSubscription = request('Stream', 'subscription', STREAM, ['code', 'sandboxId'], [
  linked('executeCode', null, false, [variable('code'), variable('sandboxId')], [
    scalar('__typename'),
    on('ExecutionStarted', 'seq'),
    on('ExecutionOutput', 'seq', 'stream', 'text'),
    on('ExecutionCompleted', 'seq'),
  ]),
]);

async function fetchGraphQL({ name, text }, variables) {
  const response = await fetch(httpUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json' },
    body: JSON.stringify({ query: text, variables, operationName: name }),
  });
  return response.json();
}

const socket = createClient({ url: wsUrl, webSocketImpl: WebSocket, retryAttempts: 0 });
const overWebSocket = ({ name, text }, variables) =>
  Observable.create((sink) => socket.subscribe({ query: text, variables, operationName: name }, sink));
const environment = (subscribeFn) =>
  new Environment({ network: Network.create(fetchGraphQL, subscribeFn), store: new Store(new RecordSource()) });

function subscribe(env, variables, last = () => false) {
  return new Promise((resolve, reject) => {
    const results = [];
    const subscription = requestSubscription(env, {
      subscription: streamSubscription,
      variables,
      onNext: (data) => {
        results.push({ data });
        if (!last(data)) return;
        subscription.dispose();
        resolve(results);
      },
      onError: reject,
      onCompleted: () => resolve(results),
    });
  });
}

const bySocket = environment(overWebSocket);
const byHttp = environment(createFetchMultipartSubscription(httpUrl));

const languages = await fetchQuery(bySocket, languagesQuery, {}).toPromise();
const executed = await new Promise((onCompleted, onError) =>
  commitMutation(bySocket, { mutation: executeMutation, variables: { code: HELLO }, onCompleted, onError }),
);
const overSocket = await subscribe(bySocket, { code: TWO_LINES });
const overHttp = await subscribe(byHttp, { code: TWO_LINES });
await subscribe(bySocket, { code: BEAT, sandboxId: 'home' }, (data) => data.executeCode.text?.includes('alive'));
const endedAtMs = Date.now();

answer({
  languages: languages.languages.map((language) => language.name),
  executed: executed.executeCode,
  overSocket: summary(overSocket),
  overHttp: summary(overHttp),
  endedAtMs,
});
