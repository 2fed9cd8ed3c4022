# tries: poison the interpreter for the next run: builtins, sys, os, imported modules, hooks, environment.
# judged by: the next run sees any of it.
# phases: plant look
import builtins
import os
import sys

if sys.argv[1] == "plant":
    import atexit
    import gc
    import json
    import random

    say = print
    builtins.poison = "here"
    builtins.print = lambda *args, **kwargs: sys.stdout.write("ESCAPED: print\n")
    sys.modules["poisoned"] = sys.modules["os"]
    sys.path.insert(0, "/tmp/evil")
    sys.meta_path.insert(0, object())
    os.environ["POISON"] = "here"
    os.getpid = lambda: 666
    json.dumps = lambda *args, **kwargs: "poison"
    random.seed(0)
    sys.setrecursionlimit(77)
    os.umask(0)
    sys.excepthook = lambda *args: None
    gc.disable()
    atexit.register(lambda: say("CONTAINED"))
else:
    import gc
    import json
    import warnings

    found = [
        what
        for what, bad in {
            "builtin": hasattr(builtins, "poison"), "module": "poisoned" in sys.modules, "path": "/tmp/evil" in sys.path, "environment": "POISON" in os.environ,
            "os": os.getpid() == 666, "json": json.dumps(1) != "1", "recursion": sys.getrecursionlimit() != 1000, "umask": os.umask(0o22) == 0,
            "excepthook": sys.excepthook is not sys.__excepthook__, "gc": not gc.isenabled(), "meta path": any(type(finder) is object for finder in sys.meta_path), "warnings": warnings is None,
        }.items()
        if bad
    ]  # fmt: skip
    sys.stdout.write("ESCAPED: " + "; ".join(found) + "\n" if found else "CONTAINED\n")
