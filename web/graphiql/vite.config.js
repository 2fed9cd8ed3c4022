import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

const own = path => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  base: './',
  resolve: {
    alias: [
      // The whole editor brings 50 features that GraphQL and JSON never use.
      { find: 'monaco-editor/esm/vs/editor/edcore.main.js', replacement: own('src/monaco.ts') },
      // Prettier's JavaScript parser and printer (half a megabyte) only to format JSON.
      { find: /^prettier\/standalone$/, replacement: own('src/prettier.ts') },
      { find: /^prettier\/(plugins\/estree|parser-babel)$/, replacement: own('src/nothing.ts') },
      { find: 'prettier/parser-graphql', replacement: 'prettier/plugins/graphql' }, // the same, under its older name
    ],
  },
  worker: {
    format: 'es',
    // The GraphQL worker could format too, with a copy of Prettier of its own; the page never asks it to.
    plugins: () => [{ name: 'no-prettier', enforce: 'pre', resolveId: id => (/^prettier\/|\/src\/prettier\.ts$/.test(id) ? own('src/nothing.ts') : null) }],
  },
  build: {
    outDir: own('../../src/sandql/server/graphiql'),
    emptyOutDir: true,
    target: 'es2022',
    // Nothing inline: a data: URL would need its own hole in the Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    license: { fileName: 'LICENSES.md' },
    chunkSizeWarningLimit: 4000,
    rolldownOptions: { onLog: (level, log, next) => log.code !== 'MODULE_LEVEL_DIRECTIVE' && next(level, log) },
  },
  experimental: {
    // The page is served at …/graphql, its files at …/graphiql/: relative, so that a root path in front of both does no harm.
    renderBuiltUrl: (file, { hostType }) => (hostType === 'html' ? `./graphiql/${file}` : { relative: true }),
  },
  plugins: [
    {
      // The output folder is emptied by each build, so its .gitattributes is made by the build too.
      name: 'files-beside',
      generateBundle() {
        this.emitFile({ type: 'asset', fileName: '.gitattributes', source: '* linguist-generated -diff\n' });
        // What Monaco itself was built from; LICENSES.md names only the packages that npm installed.
        const notices = readFileSync(own('node_modules/monaco-editor/ThirdPartyNotices.txt'));
        this.emitFile({ type: 'asset', fileName: 'MONACO-NOTICES.txt', source: notices });
      },
    },
  ],
});
