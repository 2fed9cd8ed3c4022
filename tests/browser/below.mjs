// The page below a path of a reverse proxy: a request and a socket.
import { answer, withPage } from './chromium.mjs';
import { choose, ended, outputOf, press, run, status, visit } from './graphiql.mjs';
import { proxied } from './proxy.mjs';

const [, , chromium, target, path] = process.argv;
const proxy = await proxied(target, path);
try {
  await withPage(chromium, async (page, seen) => {
    await visit(page, proxy.url);
    const hello = await run(page);
    await choose(page, 'Stream');
    await press(page);
    await status(page, 'COMPLETED');
    await ended(page);
    const printed = await outputOf(page).getByRole('log').innerText();
    answer({ hello, printed, asked: proxy.asked, origin: proxy.origin, ...seen });
  });
} finally {
  proxy.close();
}
