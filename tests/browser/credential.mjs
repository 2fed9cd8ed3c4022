// The page of a server that wants a credential: what it says without one, with a wrong one, with a good one, and with another of a tab's own.
import { answer, withPage } from './chromium.mjs';
import { choose, ended, outputOf, press, run, status, tabs, type, visit } from './graphiql.mjs';

const [, , chromium, url, picture, developer, viewer] = process.argv;

await withPage(chromium, async (page, seen) => {
  const responsePane = () => page.locator('.graphiql-response').innerText();
  const field = page.getByLabel('Credential');
  const says = (text, state = 'visible') => field.locator('xpath=..').getByText(text, { exact: true }).waitFor({ state });
  const schema = () => page.waitForResponse((response) => response.request().postData()?.includes('IntrospectionQuery') && response.status() === 200);

  /** Enter a credential; the names of all fields that the page then knows of. */
  async function enter(text) {
    await field.fill(text);
    const [response] = await Promise.all([schema(), field.press('Enter')]);
    const { types } = (await response.json()).data.__schema;
    return types.filter(({ name }) => ['Query', 'Mutation', 'Subscription'].includes(name)).flatMap(({ fields }) => fields.map(({ name }) => name));
  }

  await visit(page, url);
  await says('Credential needed');
  const refused = await run(page);
  await choose(page, 'Stream');
  await press(page);
  await page.locator('.graphiql-response').getByText('UNAUTHENTICATED').waitFor();
  const refusedStream = await responsePane();
  await page.screenshot({ path: picture });

  await field.fill('of.no.use');
  await field.press('Enter');
  await says('Not valid');

  const developers = await enter(`Bearer ${developer}`);
  await says('Not valid', 'hidden');
  await press(page);
  await status(page, 'COMPLETED');
  await ended(page);
  const streamed = await outputOf(page).getByRole('log').innerText();
  await choose(page, 'Hello');
  const hello = await run(page);

  await type(page, 'query Me { viewer { id } }');
  const me = await run(page);
  await page.getByRole('button', { name: 'Headers' }).click();
  await page.locator('.graphiql-editor-tool .graphiql-editor:not(.hidden)').click();
  await page.keyboard.insertText(JSON.stringify({ authorization: `Bearer ${viewer}` }));
  const other = await run(page);
  const count = (await tabs(page)).length;
  const stored = await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }));

  await choose(page, 'Server');
  const viewers = await enter(viewer);
  answer({ refused, refusedStream, developers, streamed, hello, me, other, count, viewers, isStored: stored.includes(developer), ...seen });
});
