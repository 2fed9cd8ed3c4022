// Stands in for `prettier/standalone`: JSON is formatted by the small parser that is in the bundle anyway, GraphQL by Prettier itself.
import { applyEdits, format as jsonEdits } from 'jsonc-parser';
import type { Options } from 'prettier';

export async function format(text: string, options: Options): Promise<string> {
  if (options.parser === 'jsonc') {
    return applyEdits(text, jsonEdits(text, undefined, { tabSize: 2, insertSpaces: true }));
  }
  const prettier = await import('prettier/standalone.mjs');
  return prettier.format(text, options);
}
