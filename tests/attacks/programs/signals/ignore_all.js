// tries: outlive its time by catching every signal that node can catch, and by never giving the loop a turn.
// judged by: the clock ends it.
// expect: outcome in TIMED_OUT
// limits: wall_ms=1000
for (const name of ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGUSR2', 'SIGPIPE', 'SIGALRM', 'SIGXCPU']) { try { process.on(name, () => {}); } catch {} }
for (;;);
