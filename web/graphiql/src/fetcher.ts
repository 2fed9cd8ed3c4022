// How the page talks to the server: POST for queries and mutations, one lazy graphql-transport-ws socket for subscriptions.
import { createGraphiQLFetcher, type Fetcher } from '@graphiql/toolkit';
import { getOperationAST, parse } from 'graphql';
import { createClient, type SubscribePayload } from 'graphql-ws';
import { heard, withCredential } from './credential';
import * as output from './output-log';

type Params = Parameters<Fetcher>[0];
type Result = { data?: Record<string, unknown> | null; errors?: readonly { message: string }[] };
type Problem = { message: string; extensions?: Record<string, unknown> };
type Observer = { next(result: unknown): void; error(error: unknown): void; complete(): void };

const FORBIDDEN = 4403; // the close code of graphql-transport-ws for who proves nothing, or nothing any more

// The page and the API have the same address, whatever the server is mounted under.
const url = location.pathname;

// What goes with a request goes with the connection too: a browser can't set headers on a WebSocket.
let connectionParams: Record<string, string> | undefined;

const wsClient = createClient({
  url: location.origin.replace(/^http/, 'ws') + url,
  lazy: true, // no socket before the first subscription, none after the last
  retryAttempts: 0, // to subscribe again would run the code again
  connectionParams: () => connectionParams,
  on: { connected: () => heard(false), closed: event => (event as CloseEvent).code === FORBIDDEN && heard(true) },
});

function parseOrNothing(query: string) {
  try {
    return parse(query);
  } catch {
    return undefined; // the server's message for it is the better one
  }
}

/** An answer that isn't GraphQL (a proxy's error page) is reported as what it is, not as a JSON syntax error. */
async function graphqlOnly(response: Response): Promise<Response> {
  heard(response.status === 401);
  if (/json|multipart/.test(response.headers.get('content-type') ?? '')) return response;
  throw new Error(`HTTP ${response.status} ${response.statusText}: ${(await response.text()).slice(0, 300)}`);
}

export const fetcher: Fetcher = async (params, options) => {
  const abort = new AbortController();
  const send = createGraphiQLFetcher({
    url,
    headers: { 'content-type': 'application/json' }, // the server refuses simple requests: that closes CSRF
    fetch: async (input, init) => graphqlOnly(await fetch(input, { ...init, signal: abort.signal })),
  });
  const headers = withCredential(options?.headers);
  connectionParams = headers;
  const documentAST = parseOrNothing(params.query);
  // GraphiQL may still hold the last tab's operation name for a moment: look at the document itself.
  const operation = documentAST && (getOperationAST(documentAST, params.operationName) ?? getOperationAST(documentAST));
  const asked: Params = operation ? { ...params, operationName: operation.name?.value } : params;
  const isSubscription = operation?.operation === 'subscription';
  const answer: unknown = isSubscription ? wsClient.iterate(asked as SubscribePayload) : await send(asked, { ...options, headers, documentAST });
  if (!(Symbol.asyncIterator in (answer as object))) return answer as never; // the schema
  const results = answer as AsyncIterableIterator<Result>;
  return {
    subscribe: (observer: Observer) => {
      const stop = forward(results, observer);
      return {
        unsubscribe() {
          stop();
          void results.return?.();
          abort.abort(); // GraphiQL's own fetcher leaves the request, and with it the program, running
        },
      };
    },
  } as never;
};

/** An error as the response pane shows it: without the stack of this page's own code, and a close code in words. */
function shown(error: unknown): Problem {
  if (!(error instanceof CloseEvent)) return { ...(error as Error), message: (error as Error).message };
  if (error.code !== FORBIDDEN) return { message: `the connection was closed: ${error.code} ${error.reason}` };
  return { message: 'a valid credential is needed', extensions: { code: 'UNAUTHENTICATED' } };
}

/**
 * Hand every event to the output panel, and GraphiQL the newest one at most 20 times a second: it shows only the last, and
 * draws the whole response anew for each.
 */
function forward(results: AsyncIterable<Result>, observer: Observer): () => void {
  const run = output.newRun();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;
  let latest: Result | undefined;

  function show() {
    clearTimeout(timer);
    timer = undefined;
    if (latest) observer.next(latest);
    latest = undefined;
  }

  async function read() {
    try {
      for await (const result of results) {
        if (stopped) return;
        run.add(result);
        latest = result;
        timer ??= setTimeout(show, 50);
      }
      if (stopped) return;
      run.end('ended');
      show();
      observer.complete();
    } catch (error) {
      if (stopped) return;
      const problems = [error].flat().map(shown);
      run.end(problems.map(({ message }) => message).join('; '));
      show();
      observer.error(problems);
    }
  }

  void read();
  return () => {
    stopped = true;
    clearTimeout(timer);
    run.end('stopped');
  };
}
