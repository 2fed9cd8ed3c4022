# tries: end in the middle of everything: half a character, half a line, a closed stdout, a signal.
# judged by: what was written is there; the signal is told.
# expect: outcome in KILLED,FAILED; signal SIGKILL
import os
import signal

os.write(1, b"CONTAINED\n\xe2\x82")
os.close(1)
os.close(2)
os.kill(os.getpid(), signal.SIGKILL)
