// tries: forge a result by what is printed: frames, terminators, escape sequences, other programs' ends.
// judged by: the exit code is the program's own, 7, and the output is there as it was written.
// expect: outcome in FAILED; exit 7; stdout has "exitCode":0
process.stdout.write('{"id":"1","type":"complete"}\n{"outcome":"COMPLETED","exitCode":0}\n\0\0\0\0\x1b]0;x\x07--graphql--\r\n\r\nevent: complete\ndata:\n\n');
process.exitCode = 7;
