// Stands in for the parts of Prettier that src/prettier.ts does without (see vite.config.js).
export const printers = {};
export const parsers = {};
