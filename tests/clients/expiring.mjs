// A run that outlasts the tokens of who looks at it: `follow` of docs/authentication.md, as it stands there, with tokens that are valid for three seconds.
import { gql } from '@apollo/client';
import { answer } from './documents.mjs';
import { token, use } from './tokens.mjs';

const [, , , , secret, snippet] = process.argv;
const claims = { sub: 'erin', plan: 'unlimited' };
use(async () => token(secret, claims, 3));
const { client, socket, follow } = await import(snippet);

// Prints until its input ends.
const CODE = `import select, sys
n = 0
while not select.select([sys.stdin], [], [], 0.05)[0]:
    print(n, flush=True)
    n += 1
`;
const START = gql`mutation ($code: String!) { startExecution(code: $code, language: "python", interactive: true) { id } }`;
const END = gql`mutation ($id: ID!) { closeInput(id: $id) }`;

const closes = [];
socket.on('closed', ({ code, reason }) => closes.push([code, reason]));
const { id } = (await client.mutate({ mutation: START, variables: { code: CODE } })).data.startExecution;
const events = [];
let isEnding = false;
for await (const event of follow(id)) {
  events.push(event);
  if (closes.length === 2 && !isEnding) {
    isEnding = true;
    await client.mutate({ mutation: END, variables: { id } });
  }
}
answer({ closes, seqs: events.map(({ seq }) => seq), text: events.map(({ text }) => text ?? '').join(''), outcome: events.at(-1).result.outcome });
