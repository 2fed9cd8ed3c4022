// apollo-upload-client: a file goes up as a multipart request.
import { ApolloClient, InMemoryCache, gql } from '@apollo/client';
import UploadHttpLink from 'apollo-upload-client/UploadHttpLink.mjs';
import { answer, READ } from './documents.mjs';

const [, , httpUrl] = process.argv;
// Node 18 makes a File of a Blob in a form, and warns that its File is experimental.
process.removeAllListeners('warning');
process.on('warning', (warning) => /buffer\.File/.test(warning.message) || console.error(warning));
const UPLOAD = gql('mutation ($path: String!, $file: Upload!) { uploadFile(path: $path, file: $file) }');
const requests = [];

async function recorded(url, init) {
  requests.push(init.body instanceof FormData ? 'multipart' : 'json');
  return fetch(url, init);
}

const apollo = (headers) =>
  new ApolloClient({ link: new UploadHttpLink({ uri: httpUrl, fetch: recorded, headers }), cache: new InMemoryCache() });
const file = new Blob(['sent as a file: héllo\n'], { type: 'text/plain' }); // a File would do too, but node 18 has none

const client = apollo({ 'apollo-require-preflight': 'true' });
const uploaded = await client.mutate({ mutation: UPLOAD, variables: { path: 'up/hello.txt', file } });
const read = await client.query({ query: gql(READ), variables: { path: 'up/hello.txt' } });

// Without a header that a foreign page cannot send, the same request may be a forged one.
const forged = await apollo({})
  .mutate({ mutation: UPLOAD, variables: { path: 'up/forged.txt', file } })
  .then(() => 'accepted', (error) => error.errors?.[0]?.extensions?.code ?? String(error));
const after = await client.query({ query: gql(READ), variables: { path: 'up/forged.txt' }, errorPolicy: 'all' });

answer({
  uploaded: uploaded.data.uploadFile,
  content: read.data.readFile.content,
  requests,
  forged,
  forgedContent: after.data?.readFile?.content ?? null,
});
