# tries: change how the run is ended from within: replace os._exit, exit hooks, the excepthook, flush.
# judged by: the exit code is the one that the kernel was given, 7.
# expect: outcome in FAILED; exit 7
import os
import sys

real = os._exit
os._exit = lambda code: real(7)
sys.exit = lambda code=0: real(7)
sys.excepthook = lambda *args: real(7)
sys.stdout.flush = lambda: None
import builtins

builtins.SystemExit = KeyboardInterrupt
real(7)
