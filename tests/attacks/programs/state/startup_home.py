# tries: plant a sitecustomize, a usercustomize, a .pth and a .bashrc in the home that later runs of it read.
# judged by: a later run in that home runs them before its program (`python3 main.py` would not: a script's own folder is added after).
# home: yes
# phases: plant look
import os
import sys

if sys.argv[1] == "plant":
    for folder in ("/workspace", os.path.expanduser("~")):
        for name in ("sitecustomize.py", "usercustomize.py"):
            with open(f"{folder}/{name}", "w") as file:
                file.write("import builtins\nbuiltins.planted = True\n")
    print("CONTAINED")
else:
    import builtins

    # the home is the caller's own, so its usercustomize may count as his wish; a sitecustomize beside the script may not
    print("ESCAPED: sitecustomize" if hasattr(builtins, "planted") and "sitecustomize" in sys.modules and sys.modules["sitecustomize"].__file__.startswith("/workspace") else "CONTAINED")
