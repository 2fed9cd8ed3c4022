// What the packages' own types leave out.
declare module 'monaco-editor/esm/vs/*';
declare module 'prettier/standalone.mjs' {
  export { format } from 'prettier/standalone';
}
declare var MonacoEnvironment: { getWorker(id: string, label: string): Worker };
