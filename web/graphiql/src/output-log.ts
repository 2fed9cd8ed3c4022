// What the program that ran last has printed, kept outside React so that the fetcher can write to it.

export type Piece = { kind: 'stdout' | 'stderr' | 'note'; text: string };
export type Log = { pieces: readonly Piece[]; status: string };

type Fields = Record<string, any>;

const RUNNING = 'running …';
const KEPT = 200_000; // characters: enough to read, little enough to draw

let log: Log = { pieces: [], status: '' };
let timer: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();

export const current = () => log;

export function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

export const clear = () => change({ pieces: [], status: '' });

function change(next: Log) {
  log = next;
  // A program may print thousands of lines a second; the screen is drawn 20 times.
  timer ??= setTimeout(() => {
    timer = undefined;
    for (const listener of listeners) listener();
  }, 50);
}

function append(kind: Piece['kind'], text: string) {
  if (!text) return;
  const pieces = [...log.pieces];
  const last = pieces.at(-1);
  if (last?.kind === kind) pieces[pieces.length - 1] = { kind, text: last.text + text };
  else pieces.push({ kind, text });
  let surplus = pieces.reduce((sum, piece) => sum + piece.text.length, 0) - KEPT;
  while (surplus > 0) {
    const first = pieces.shift()!;
    if (first.text.length > surplus) pieces.unshift({ ...first, text: first.text.slice(surplus) });
    surplus -= first.text.length;
  }
  change({ ...log, pieces });
}

const setStatus = (status: string) => change({ ...log, status });

function summary(result: Fields): string {
  const parts = [
    result.outcome ?? (result.success === undefined ? 'done' : result.success ? 'COMPLETED' : 'FAILED'),
    result.exitCode != null && `exit code ${result.exitCode}`,
    result.signal,
    result.executionTime != null && `${result.executionTime} ms`,
  ];
  return parts.filter(Boolean).join(' · ');
}

/** One operation as the log sees it. Events are known by their fields, so that aliases and a left-out `__typename` do no harm. */
export function newRun() {
  let begun = false;

  // The log keeps an earlier program's output until a new one says something: reading a file doesn't wipe it.
  function begin() {
    if (!begun) log = { pieces: [], status: RUNNING };
    begun = true;
  }

  function addField(value: Fields) {
    if (typeof value.text === 'string') {
      begin();
      append(/err/i.test(value.stream) ? 'stderr' : 'stdout', value.text);
    } else if (typeof value.output === 'string') {
      begin();
      append('stdout', value.output);
      append('stderr', value.stderr ?? '');
      setStatus(summary(value));
    } else if (value.result && typeof value.result === 'object') {
      begin();
      setStatus(summary(value.result));
    } else if (value.__typename === 'ExecutionStarted') {
      begin();
      change(log);
    }
  }

  return {
    add(result: { data?: Fields | null; errors?: readonly { message: string }[] }) {
      for (const value of Object.values(result.data ?? {})) {
        if (value && typeof value === 'object') addField(value);
      }
      if (begun) for (const { message } of result.errors ?? []) append('note', `${message}\n`);
    },
    /** The run is over without having said how: stopped by the visitor, or ended by an error. */
    end(how: string) {
      if (begun && log.status === RUNNING) setStatus(how);
    },
  };
}
