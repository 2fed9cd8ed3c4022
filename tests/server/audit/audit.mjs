// Runs every audit of graphql-http against the address that is given, and prints {id: {name, status, reason}}.
import { auditServer } from 'graphql-http';

const results = await auditServer({ url: process.argv[2], fetchFn: fetch });
const report = {};
for (const { id, name, status, reason } of results) report[id] = { name, status, reason: reason ?? null };
console.log(JSON.stringify(report));
