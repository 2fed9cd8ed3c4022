// The main program of a JavaScript context; what is said in cell/context_driver.py holds for it, too.
'use strict';
const fs = require('node:fs');
const repl = require('node:repl');
const util = require('node:util');
const vm = require('node:vm');
const { PassThrough, Writable } = require('node:stream');

const MOST = 4 << 20;
const path = process.argv[2];
const answers = fs.openSync(path, 'w');
fs.unlinkSync(path);
const requests = fs.openSync('/proc/self/fd/0', 'r');
process.argv.length = 1;

const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
const session = repl.start({ prompt: '', input: new PassThrough(), output: nowhere, terminal: false, useColors: false });
let shown = [];
let settle = () => {};
session.context.console = console;
session.context.display = (...values) => { for (const value of values) shown.push(represented(value)); };
// What is thrown comes to the domain that the session is bound to, and not to the callback of `eval`.
session._domain.removeAllListeners('error');
session._domain.on('error', (error) => settle(error));
setInterval(() => {}, 1 << 30);  // code that waits for what never comes waits for an interrupt
process.on('SIGINT', () => settle(new Error('Interrupted')));
process.on('unhandledRejection', (error) => { process.stderr.write(`Uncaught ${util.inspect(error)}\n`); });
process.on('uncaughtException', (error) => { process.stderr.write(`Uncaught ${util.inspect(error)}\n`); });

function represented(value) {
  const found = { 'text/plain': [util.inspect(value).slice(0, MOST), 'UTF8'] };
  if (value !== null && typeof value === 'object') {
    try {
      const json = JSON.stringify(value);
      if (json !== undefined && json.length <= MOST) found['application/json'] = [json, 'UTF8'];
    } catch { /* it has no JSON form */ }
  }
  return found;
}

function described(error) {
  const isError = util.types.isNativeError(error) || error instanceof Error;
  const trace = isError ? String(error.stack) : util.inspect(error);
  process.stderr.write(`Uncaught ${trace}\n`);
  return { name: isError ? String(error.name) : 'Error', value: isError ? String(error.message) : util.inspect(error), traceback: trace.slice(0, 65536) };
}

function compile(code) {
  if (/^\s*\{/.test(code) && !/;\s*$/.test(code)) {
    try {
      return new vm.Script(`(${code})`, { filename: 'cell' });  // an object, as every console takes it
    } catch { /* a block, then */ }
  }
  return new vm.Script(code, { filename: 'cell' });
}

// Code that awaits is run by the session of node's own console, which knows how to keep its variables.
function awaited(id, code) {
  return new Promise((resolve) => {
    settle = (error) => resolve({ error });
    answer({ id, begun: true, insist: true });
    session.eval(`${code}\n`, session.context, 'cell', (error, value) => resolve({ error, value }));
  });
}

// An interrupt that comes just before node listens to it is lost: it is to be said again until there is an answer.
async function run(id, code) {
  let outcome;
  try {
    const script = compile(code);
    answer({ id, begun: true, insist: true });
    outcome = { value: script.runInContext(session.context, { breakOnSigint: true }) };
  } catch (error) {
    outcome = error instanceof SyntaxError && /\bawait\b/.test(code) ? await awaited(id, code) : { error, thrown: true };
  }
  settle = () => {};
  if (outcome.error || outcome.thrown) return described(outcome.error instanceof repl.Recoverable ? outcome.error.err : outcome.error);
  if (outcome.value !== undefined) shown.push(represented(outcome.value));
  return null;
}

function read(size) {
  return new Promise((resolve, reject) => {
    const data = Buffer.alloc(size);
    let at = 0;
    const more = () => fs.read(requests, data, at, size - at, null, (error, count) => {
      if (error) reject(error);
      else if (count === 0) process.exit(0);
      else if ((at += count) === size) resolve(data);
      else more();
    });
    more();
  });
}

function answer(message) {
  const data = Buffer.from(JSON.stringify(message));
  const head = Buffer.alloc(4);
  head.writeUInt32LE(data.length);
  const all = Buffer.concat([head, data]);
  for (let at = 0; at < all.length;) at += fs.writeSync(answers, all, at);
}

(async () => {
  for (;;) {
    const request = JSON.parse((await read((await read(4)).readUInt32LE())).toString());
    shown = [];
    const exception = await run(request.id, request.code);
    answer({ id: request.id, results: shown.slice(0, 64), exception, exit: null });
  }
})();
