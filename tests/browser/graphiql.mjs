// What a visitor does with the page: looks at it, chooses a tab, types, presses the button, reads.

const EXECUTE = '.graphiql-execute-button';
const EDITOR = '.graphiql-query-editor';

/** Open the page and wait until it can be used; answers the headers that came with it. */
export async function visit(page, url) {
  const response = await page.goto(url);
  await page.locator(EDITOR).getByText('Hello').first().waitFor();
  return response.headers();
}

export const tabs = (page) => page.getByRole('tab').allInnerTexts();

/** Bring a tab to the front. */
export async function choose(page, name) {
  await page.getByRole('tab').getByText(name, { exact: true }).click();
  await page.locator(`${EDITOR} .view-line`).getByText(name, { exact: true }).waitFor();
}

/** Write an operation of one line into a tab of its own. */
export async function type(page, operation) {
  await page.getByRole('button', { name: 'New tab' }).click();
  await page.getByRole('tab').getByText('<untitled>').waitFor();
  await page.locator(EDITOR).click();
  await page.keyboard.press('Control+A');
  await page.keyboard.insertText(operation);
  await page.locator(`${EDITOR} .view-line`).getByText(operation.split(' ')[1]).waitFor();
}

/** The lines of the operation in front that are wider than the editor, so that a visitor sees only their beginnings. */
export const cutLines = (page) =>
  page.locator(EDITOR).evaluate((editor) => {
    const width = (element) => element.getBoundingClientRect().width; // where they lie depends on how far it was scrolled
    const room = width(editor.querySelector('.editor-scrollable'));
    const lines = [...editor.querySelectorAll('.view-line > span')];
    return lines.filter((line) => width(line) > room).map((line) => line.textContent);
  });

/** Press the button that starts, and then stops, what is in front. */
export const press = (page) => page.locator(EXECUTE).click();

/** Wait until the button starts again, which is when the operation has ended. */
export const ended = (page) => page.locator(`${EXECUTE}[aria-label^="Execute"]`).waitFor();

/** Run a query or a mutation: what the server answered, once the visitor sees it. */
export async function run(page) {
  const isAnswer = (response) => response.request().method() === 'POST';
  const [response] = await Promise.all([page.waitForResponse(isAnswer), press(page)]);
  const answered = await response.json();
  await shown(page, answered);
  await ended(page);
  return answered;
}

/** Wait until the response pane shows an answer: the whole of it, or of a long one its beginning. */
export async function shown(page, answered) {
  const text = JSON.stringify(answered).replaceAll(/\s/g, '');
  await page.waitForFunction((wanted) => {
    const lines = [...document.querySelectorAll('.graphiql-response .view-line')];
    lines.sort((one, other) => parseFloat(one.style.top) - parseFloat(other.style.top));
    const seen = lines.map((line) => line.textContent).join('').replaceAll(/\s/g, '');
    return seen.length >= Math.min(wanted.length, 200) && wanted.startsWith(seen);
  }, text);
}

/** The panel in which a program's output appears. */
export const outputOf = (page) => page.getByRole('region', { name: 'Output' });

/** Wait until the panel says that about the run. */
export const status = (page, text) => outputOf(page).getByRole('status').getByText(text).waitFor();

/** From now on, keep each text that the panel shows; the page's `outputs` has them in order. */
export const watchOutput = (page) =>
  outputOf(page).evaluate((panel) => {
    globalThis.outputs = [];
    const look = () => {
      const text = panel.querySelector('[role=log]').textContent;
      if (text !== outputs.at(-1)) outputs.push(text);
    };
    new MutationObserver(look).observe(panel, { subtree: true, childList: true, characterData: true });
  });

export const outputs = (page) => page.evaluate(() => globalThis.outputs);
