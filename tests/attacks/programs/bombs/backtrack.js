// tries: burn the processor in one call that cannot be interrupted.
// judged by: the outcome, and the house's health.
// expect: outcome in TIMED_OUT
// limits: wall_ms=1200
/^(a+)+$/.test('a'.repeat(60) + '!');
