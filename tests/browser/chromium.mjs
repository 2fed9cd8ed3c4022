// A headless Chromium with a profile of its own, and a record of everything that its pages asked for, said or did wrong.
import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox', // the tests may run as root
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost', // as on a machine without a network
];

/** Open a browser, let `use(page, seen)` do something, and close the browser on every way out. */
export async function withPage(executablePath, use, flags = []) {
  const browser = await chromium.launch({ executablePath, headless: true, args: [...FLAGS, ...flags] }); // the profile is new, and removed at the end
  try {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    const seen = await record(context);
    return await use(await context.newPage(), seen);
  } finally {
    await browser.close();
  }
}

/** Record what the pages of a context do; violations of the policy are those that a page itself is told of. */
async function record(context) {
  const seen = { requests: [], statuses: {}, sockets: [], sent: [], received: [], console: [], errors: [], failed: [], violations: [] };
  context.on('request', (request) => seen.requests.push(request.url()));
  context.on('response', (response) => (seen.statuses[response.url()] ??= []).push(response.status()));
  context.on('requestfailed', (request) => seen.failed.push(`${request.method()} ${request.url()}: ${request.failure()?.errorText}`));
  context.on('console', (message) => seen.console.push(`${message.type()}: ${message.text()}`));
  context.on('weberror', (error) => seen.errors.push(String(error.error())));
  context.on('page', (page) => {
    page.on('crash', () => seen.errors.push('the page crashed'));
    page.on('websocket', (socket) => {
      seen.sockets.push(socket.url());
      socket.on('framesent', ({ payload }) => seen.sent.push(JSON.parse(payload)));
      socket.on('framereceived', ({ payload }) => seen.received.push(JSON.parse(payload)));
    });
  });
  await context.exposeFunction('reportViolation', (text) => seen.violations.push(text));
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => reportViolation(`${event.effectiveDirective} ${event.blockedURI}`));
  });
  return seen;
}

/** Print what a script has found. */
export const answer = (value) => process.stdout.write(JSON.stringify(value));
