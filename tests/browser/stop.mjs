// Start a program that never ends by itself, from an operation that the visitor types, and press the stop button.
import { answer, withPage } from './chromium.mjs';
import { ended, press, type, visit } from './graphiql.mjs';

const [, , chromium, url, kind, program] = process.argv;
const fields = { mutation: 'outcome', subscription: '__typename' };
const code = JSON.stringify(program);

/** When the program was last alive, as it says in the home; undefined before it began. */
async function beat() {
  const body = JSON.stringify({ query: '{ readFile(path: "beat") { content } }' });
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  return (await response.json()).data.readFile?.content;
}

/** Its last beat, once there are no more: the same for a hundred readings, in which a living one beats every 5 ms. */
async function lastBeat() {
  let last = await beat();
  for (let same = 0; same < 100; same++) {
    const now = await beat();
    if (now !== last) same = 0;
    last = now;
  }
  return last;
}

await withPage(chromium, async (page, seen) => {
  await visit(page, url);
  const before = await beat();
  await type(page, `${kind} Endless { executeCode(language: "python", sandboxId: "home", code: ${code}) { ${fields[kind]} } }`);
  await press(page);
  while ((await beat()) === before);
  // From here on the page's own clock counts: to find the button and move there takes Playwright a while.
  await page.evaluate(() => addEventListener('click', () => (globalThis.stoppedMs = Date.now()), true));
  await press(page);
  await ended(page);
  const stoppedMs = await page.evaluate(() => globalThis.stoppedMs);
  answer({ stoppedMs, lastBeatNs: await lastBeat(), ...seen }); // the browser is still open: it is the button that ended the program
});
