# tries: replace modules that the house's own code in the process might import after the program has begun.
# judged by: the run ends as it says, with its output; the planted module is asked by nobody but this program.
# files: evil_module.py:os.py evil_module.py:json.py evil_module.py:struct.py evil_module.py:signal.py evil_module.py:socket.py evil_module.py:traceback.py evil_module.py:linecache.py evil_module.py:atexit.py
import sys

for name in list(sys.modules):
    if name not in ("sys", "builtins", "__main__"):
        sys.modules.pop(name, None)
sys.stdout.write("CONTAINED\n")
