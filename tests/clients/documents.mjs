// The documents that every client sends, and how a script hands its results to pytest.
export const LANGUAGES = 'query Languages { languages { name } }';

export const EXECUTE = `mutation Execute($code: String!) {
  executeCode(code: $code, language: "python") { output success outcome }
}`;

export const STREAM = `subscription Stream($code: String!, $sandboxId: ID) {
  executeCode(code: $code, language: "python", sandboxId: $sandboxId) {
    __typename
    ... on ExecutionStarted { seq }
    ... on ExecutionOutput { seq stream text }
    ... on ExecutionCompleted { seq result { outcome success } }
  }
}`;

export const READ = 'query Read($path: String!) { readFile(path: $path) { content } }';

/** What a subscription's results say: the kinds of events in order, and the text of standard output. */
export function summary(results) {
  const events = results.map((result) => result.data.executeCode);
  return {
    kinds: events.map((event) => event.__typename).filter((kind, index, all) => kind !== all[index - 1]),
    text: events.map((event) => event.text ?? '').join(''),
    seqs: events.map((event) => event.seq),
    outcome: events.at(-1)?.result?.outcome,
  };
}

/** Take all results of an async iterable. */
export async function collect(results) {
  const all = [];
  for await (const result of results) all.push(result);
  return all;
}

/** Print the answer of the script; what is still open then (a socket's timer) must not keep it waiting. */
export function answer(value) {
  process.stdout.write(JSON.stringify(value), () => process.exit(0));
}

export const HELLO = 'print("hello")';
// Two lines with a pause between: a client sees the first before the second is written.
export const TWO_LINES = 'import time\nprint("one", flush=True)\ntime.sleep(0.3)\nprint("two")';
// Says when it was last alive, for as long as it lives.
export const BEAT = `import os, time
said = False
while True:
    with open("beat.new", "w") as file:
        file.write(str(time.time_ns()))
    os.replace("beat.new", "beat")
    if not said:
        print("alive", flush=True)
        said = True
    time.sleep(0.005)
`;
