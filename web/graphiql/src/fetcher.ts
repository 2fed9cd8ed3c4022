// How the page talks to the server: POST for queries and mutations, one lazy graphql-transport-ws socket for subscriptions.
import { createGraphiQLFetcher, type Fetcher } from '@graphiql/toolkit';
import { getOperationAST, parse } from 'graphql';
import { createClient } from 'graphql-ws';
import * as output from './output-log';

type Params = Parameters<Fetcher>[0];
type Result = { data?: Record<string, unknown> | null; errors?: readonly { message: string }[] };
type Observer = { next(result: unknown): void; error(error: unknown): void; complete(): void };

// The page and the API have the same address, whatever the server is mounted under.
const url = location.pathname;

// What the "Headers" editor says goes with the connection too: a browser can't set headers on a WebSocket.
let connectionParams: Record<string, string> | undefined;

const wsClient = createClient({
  url: location.origin.replace(/^http/, 'ws') + url,
  lazy: true, // no socket before the first subscription, none after the last
  retryAttempts: 0, // to subscribe again would run the code again
  connectionParams: () => connectionParams,
});

/** GraphiQL may still hold the last tab's operation name for a moment: look at the document itself. */
function withOperation(params: Params, documentAST: ReturnType<typeof parse>): Params {
  const operation = getOperationAST(documentAST, params.operationName) ?? getOperationAST(documentAST);
  return operation ? { ...params, operationName: operation.name?.value } : params;
}

function parseOrNothing(query: string) {
  try {
    return parse(query);
  } catch {
    return undefined; // the server's message for it is the better one
  }
}

/** An answer that isn't GraphQL (a proxy's error page) is reported as what it is, not as a JSON syntax error. */
async function graphqlOnly(response: Response): Promise<Response> {
  if (/json|multipart/.test(response.headers.get('content-type') ?? '')) return response;
  throw new Error(`HTTP ${response.status} ${response.statusText}: ${(await response.text()).slice(0, 300)}`);
}

export const fetcher: Fetcher = async (params, options) => {
  const abort = new AbortController();
  const send = createGraphiQLFetcher({
    url,
    wsClient,
    headers: { 'content-type': 'application/json' }, // the server refuses simple requests: that closes CSRF
    fetch: async (input, init) => graphqlOnly(await fetch(input, { ...init, signal: abort.signal })),
  });
  connectionParams = options?.headers;
  const documentAST = parseOrNothing(params.query);
  const answer = await send(documentAST ? withOperation(params, documentAST) : params, { ...options, documentAST });
  if (!(Symbol.asyncIterator in (answer as object))) return answer; // the schema
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
      const problems = [error].flat().map(problem => ({ ...(problem as Error), message: (problem as Error).message }));
      run.end(problems.map(({ message }) => message).join('; '));
      show();
      observer.error(problems); // without the stack of this page's own code, which GraphiQL would print
    }
  }

  void read();
  return () => {
    stopped = true;
    clearTimeout(timer);
    run.end('stopped');
  };
}
