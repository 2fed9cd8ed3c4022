'use strict'
// A parked node waits here for its job: a length and JSON on standard input, behind which the program's own input follows.
const fs = require('fs')
const path = require('path')
const Module = require('module')

// What node loads and compiles when a program first prints or is loaded takes longer than most programs: it is done before there is one.
const warm = path.join(__dirname, 'warm.cjs')
require(warm)
delete require.cache[warm]
process.stdout.write('')
process.stderr.write('')
const { Writable } = require('stream')
new console.Console(new Writable({ write (chunk, encoding, done) { done() } })).log('%s', 1, {}, [])

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

// Node frees all that it has when it ends, which takes longer than most programs. The program's own listeners are called as ever; then
// the process ends at once. After an exception that nobody caught it ends as ever: node says so only behind this event.
let failed = false
process.once('uncaughtExceptionMonitor', () => { failed = true })
process.once('exit', code => {
  if (failed) return
  process.emit('exit', code)
  process.reallyExit(process.exitCode ?? code)
})
Module.runMain(main)
