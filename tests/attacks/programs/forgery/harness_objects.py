# tries: find the house's own objects in the interpreter: frames, open files, sockets, modules, closures.
# judged by: one is reached.
import gc
import io
import os
import socket
import sys

import probe

found = []
frame = sys._getframe()
while frame := frame.f_back:
    found.append(f"frame {frame.f_code.co_filename}:{frame.f_code.co_name}")
for thing in gc.get_objects():
    if isinstance(thing, socket.socket):
        found.append(f"socket {thing}")
    elif isinstance(thing, (io.FileIO, io.BufferedIOBase)) and not thing.closed:
        try:
            if thing.fileno() > 2:
                found.append(f"file {thing}")
        except (OSError, ValueError):
            pass
found += [f"module {name}" for name in sys.modules if "sandql" in name or name.startswith(("cell", "zygote", "supervisor"))]
main = sys.modules["__main__"].__dict__
found += [f"name {name}" for name in main if name not in ("__name__", "__doc__", "__package__", "__loader__", "__spec__", "__file__", "__builtins__", "__cached__", "__annotations__", "gc", "io", "os", "socket", "sys", "probe", "found", "frame", "thing", "main", "name", "__annotate__")]
if os.environ.keys() & {"SANDQL_STATE_DIR", "NOTIFY_SOCKET", "LISTEN_FDS"}:
    found.append("environment of the server")
probe.verdict(*found[:10])
