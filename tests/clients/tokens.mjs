// Tokens as an issuer makes them, and what the snippets of the documents expect to be there.
import { createHmac } from 'node:crypto';
import WebSocket from 'ws';

const encoded = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');

/** A token of these claims, which is valid for so many seconds. */
export function token(secret, claims, validS = 3600) {
  const text = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded({ exp: Date.now() / 1000 + validS, ...claims })}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

/** Let the snippets have a `freshToken`, and the WebSocket that node has from 22 on. */
export function use(freshToken) {
  globalThis.freshToken = freshToken;
  globalThis.WebSocket = WebSocket;
}
