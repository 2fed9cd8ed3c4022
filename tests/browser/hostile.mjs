// Open a page of somebody else and let it try what it can; say what it got, and what of the server a frame in it shows.
import { answer, withPage } from './chromium.mjs';

// This Chromium asks its visitor before a data: page may reach the local network. Others don't, and here it is the server that must refuse.
const UNASKED = '--disable-features=LocalNetworkAccessChecks';
const [, , chromium, hostile, url] = process.argv;

await withPage(chromium, async (page, seen) => {
  await page.goto(hostile);
  const got = await page.evaluate((target) => globalThis.attack(target), url);
  const framed = await Promise.all(page.frames().map((frame) => frame.locator('#root').count())); // the element in which the server's page is
  const statuses = Object.entries(seen.statuses).flatMap(([asked, given]) => (asked.startsWith(url) ? given : []));
  // The page that it opens in a window is the visitor's, and must be out of its reach.
  const [opened] = await Promise.all([page.context().waitForEvent('page'), page.evaluate((target) => void (globalThis.taken = open(target)), url)]);
  await opened.getByText('Hello').first().waitFor();
  const popup = { opener: await opened.evaluate(() => opener), root: await opened.locator('#root').count(), closed: await page.evaluate(() => taken.closed) };
  answer({ origin: await page.evaluate(() => origin), got, framed, statuses, popup });
}, [UNASKED]);
