'use strict'
// A parked node waits here for its job: a length and JSON on standard input, behind which the program's own input follows.
const fs = require('fs')
const path = require('path')
const Module = require('module')

function read(size) {
  const buffer = Buffer.allocUnsafe(size)
  let have = 0
  while (have < size) {
    const count = fs.readSync(0, buffer, have, size - have, null)
    if (count === 0) process.reallyExit(0) // the server is gone or has no use for this cell
    have += count
  }
  return buffer
}

const job = JSON.parse(read(read(4).readUInt32LE(0)).toString())
for (const [name, content] of job.files) {
  fs.mkdirSync(path.dirname(name), { recursive: true })
  fs.writeFileSync(name, Buffer.from(content, 'base64'))
}
fs.writeFileSync(job.file, Buffer.from(job.code, 'base64'))
Object.assign(process.env, job.env)
const main = path.resolve(job.file)
process.argv.splice(1, process.argv.length, main, ...job.args)
delete require.cache[__filename]
Module.runMain(main)
