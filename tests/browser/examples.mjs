// Open the page, run the example in each of its tabs, and say what was seen.
import { answer, withPage } from './chromium.mjs';
import { choose, cutLines, ended, outputOf, outputs, press, run, status, tabs, visit, watchOutput } from './graphiql.mjs';

const [, , chromium, url, picture] = process.argv;

await withPage(chromium, async (page, seen) => {
  const headers = await visit(page, url);
  const titles = await tabs(page);
  const cut = {};
  const answers = {};
  for (const name of titles) {
    await choose(page, name);
    cut[name] = await cutLines(page);
    if (name !== 'Stream') answers[name] = await run(page);
    if (name === 'Hello') {
      const log = outputOf(page).getByRole('log').filter({ hasText: 'Hello' }); // drawn a moment after the response
      await log.waitFor();
      answers.printed = await log.innerText();
    }
  }

  await choose(page, 'Stream');
  await watchOutput(page);
  await press(page);
  await status(page, 'running');
  await status(page, 'COMPLETED');
  await ended(page);
  await page.screenshot({ path: picture });
  answer({ headers, titles, cut, answers, outputs: await outputs(page), ...seen });
});
