// tries: the same by what node reads: NODE_OPTIONS, NODE_PATH, NODE_REPL_HISTORY, NODE_DEBUG, OPENSSL_CONF.
// judged by: the planted module runs with more than the run has.
// env: NODE_OPTIONS=--require=/workspace/evil.js NODE_PATH=/workspace OPENSSL_CONF=/workspace/evil.cnf NODE_V8_COVERAGE=/workspace/cover
// files: evil.js
console.log('CONTAINED');
