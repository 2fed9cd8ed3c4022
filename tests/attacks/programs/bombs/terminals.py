# tries: open terminals for ever, which the whole machine shares.
# judged by: the outcome, and the house's health.
# expect: outcome in FAILED,KILLED,TIMED_OUT,OUT_OF_MEMORY
# limits: wall_ms=3000 open_files=256
import pty

held = []
while True:
    held.append(pty.openpty())
