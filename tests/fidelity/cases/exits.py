"""Ways to end, and what is said then."""

from tests.fidelity.case import Case

CASES = (
    Case("exit 3", "import sys\nprint('out')\nsys.exit(3)"),
    Case("exit 0", "import sys\nsys.exit()"),
    Case("exit none", "raise SystemExit(None)"),
    Case("exit text", "import sys\nsys.exit('text é')"),
    Case("exit empty text", "raise SystemExit('')"),
    Case("exit tuple", "raise SystemExit(1, 'two')"),
    Case("exit list", "raise SystemExit([1])"),
    Case("exit true", "raise SystemExit(True)"),
    Case("exit float", "raise SystemExit(2.5)"),
    Case("exit 256", "raise SystemExit(256)"),
    Case("exit 257", "raise SystemExit(257)"),
    Case("exit -1", "raise SystemExit(-1)"),
    Case("exit huge", "raise SystemExit(1 << 80)"),
    Case("exit 2**32 + 5", "raise SystemExit((1 << 32) + 5)"),
    Case("exit -2**31 - 1", "raise SystemExit(-(1 << 31) - 1)"),
    Case("exit by subclass", "class E(SystemExit):\n    code = 5\nraise E"),
    Case("exit with an object whose str fails", "class O:\n    def __str__(self): 1 / 0\nraise SystemExit(O())"),
    Case("exit with an int subclass", "class I(int): pass\nraise SystemExit(I(6))"),
    Case(
        "exit with text to a replaced stderr",
        "import sys, io\nsys.stderr = io.StringIO()\nimport atexit\natexit.register(lambda: print(sys.stderr.getvalue()))\nsys.exit('said')",
    ),
    Case("exit with surrogates", "import sys\nsys.exit('\\udcff')"),
    Case("exit builtin", "print(1)\nexit(4)"),
    Case("quit builtin closes stdin", "import atexit, sys\natexit.register(lambda: print(sys.stdin.closed))\nquit()"),
    Case("os._exit flushes nothing", "import os\nprint('lost')\nos._exit(6)"),
    Case("os._exit above 255", "import os\nos._exit(300)"),
    Case("exit in a function with finally", "def f():\n    try:\n        raise SystemExit(2)\n    finally:\n        print('finally')\nf()"),
    Case("exit while handling", "try:\n    1 / 0\nexcept Exception:\n    raise SystemExit('because')"),
    Case("exit in a thread", "import threading\nt = threading.Thread(target=lambda: exit(3))\nt.start()\nt.join()\nprint('still')"),
    Case("exit in an import", "import helper\nprint('not here')", files={"helper.py": "raise SystemExit(8)\n"}),
    Case("atexit order", "import atexit\nfor i in range(3): atexit.register(print, i)\nprint('end')"),
    Case("atexit after an exception", "import atexit\natexit.register(print, 'bye')\n1 / 0"),
    Case("atexit that raises", "import atexit\natexit.register(print, 'first')\natexit.register(lambda: 1 / 0)\natexit.register(print, 'last')"),
    Case("atexit that exits", "import atexit, sys\natexit.register(print, 'other')\natexit.register(lambda: sys.exit(7))"),
    Case("atexit that registers", "import atexit\natexit.register(lambda: atexit.register(print, 'inner'))"),
    Case("atexit that prints an error", "import atexit, sys\natexit.register(lambda: print('e', file=sys.stderr))"),
    Case("atexit that imports", "import atexit\ndef f():\n    import json\n    print(json.dumps([1]))\natexit.register(f)"),
    Case(
        "atexit that starts a thread",
        "import atexit, threading\n"
        "def f():\n"
        "    try:\n"
        "        t = threading.Thread(target=print, args=('t',))\n"
        "        t.start()\n"
        "        t.join()\n"
        "    except RuntimeError as e:\n"
        "        print(e)\n"
        "atexit.register(f)",
    ),
    Case("atexit is not run by _exit", "import atexit, os\natexit.register(print, 'no')\nos._exit(0)"),
    Case("atexit and exec", "import atexit, os, sys\natexit.register(print, 'no')\nprint('buffered')\nos.execvp('echo', ['echo', 'other'])"),
    Case("finalizer at the end", "import weakref\nclass A: pass\na = A()\nweakref.finalize(a, print, 'finalized')\nprint('end')"),
    Case("del at the end", "class A:\n    def __del__(self): print('del', self.n)\na = A()\na.n = 1\nb = A()\nb.n = 2\nprint('end')"),
    Case("del of a cycle at the end", "class A:\n    def __del__(self): print('del')\na = A()\na.me = a\nprint('end')"),
    Case("del uses globals", "import os\nx = 'global'\nclass A:\n    def __del__(self): print(x, os is not None)\na = A()"),
    Case("del after an exception", "class A:\n    def __del__(self): print('del')\ndef f():\n    a = A()\n    1 / 0\nf()"),
    Case(
        "del in a helper module",
        "import helper\nprint('end')",
        files={"helper.py": "class A:\n    def __del__(self): print('helper del')\na = A()\n"},
    ),
    Case(
        "modules removed by hand",
        "import sys\nclass A:\n    def __del__(self): print('del')\na = A()\nfor n in list(sys.modules):\n"
        "    if n not in ('sys', 'builtins', '__main__'): del sys.modules[n]\nprint('end')",
    ),
    Case("module known by two names", "import sys, os\nsys.modules['other'] = os\nimport other\nprint(other is os)"),
    Case(
        "anything in sys.modules",
        "import sys\nsys.modules['a'] = None\nsys.modules['b'] = 5\nsys.modules['c'] = type('T', (), {'x': 1})\nprint('end')",
    ),
    Case("del sees a builtin replaced", "import builtins\nbuiltins.print = lambda *a: sys.stdout.write('mine\\n')\nimport sys\nprint(1)"),
    Case("del raises at the end", "class A:\n    def __del__(self): 1 / 0\na = A()", differs="source lines in a late traceback"),
    Case(
        "del order of underscored names",
        "class A:\n    def __init__(self, n): self.n = n\n    def __del__(self): print(self.n)\n_a = A('_a')\nb = A('b')\n_c = A('_c')\nd = A('d')",
    ),
    Case(
        "del of class and function attributes",
        "class D:\n"
        "    def __init__(self, n): self.n = n\n"
        "    def __del__(self): print('del', self.n)\n"
        "class K:\n"
        "    x = D('class attribute')\n"
        "def f(a=D('default')): ...\n"
        "lst = [D('in list')]\n"
        "print('end')",
    ),
    Case("del in sys", "import sys\nclass A:\n    def __del__(self): print('del in sys')\nsys.mine = A()"),
    Case("del in builtins", "import builtins\nclass A:\n    def __del__(self): print('del in builtins')\nbuiltins.mine = A()"),
    Case("del that revives", "keep = []\nclass A:\n    def __del__(self):\n        print('del')\n        keep.append(self)\na = A()"),
    Case(
        "del of a local of a running generator",
        "class A:\n"
        "    def __del__(self): print('del')\n"
        "def g():\n"
        "    a = A()\n"
        "    try:\n"
        "        yield 1\n"
        "    finally:\n"
        "        print('closed')\n"
        "x = g()\n"
        "next(x)",
    ),
    Case("weak reference callback", "import weakref\nclass A: pass\na = A()\nr = weakref.ref(a, lambda r: print('gone'))"),
    Case("unclosed temporary folder", "import tempfile\nt = tempfile.TemporaryDirectory(dir='/tmp', prefix='fixed')\nprint('end')"),
    Case("print at the end with a replaced stdout", "import sys, io\nsys.stdout = io.StringIO()\nprint('lost')"),
    Case(
        "stdout whose flush fails",
        "import sys\nclass S:\n    def write(self, s): return len(s)\n    def flush(self): 1 / 0\nsys.stdout = S()\nprint('x')",
    ),
    Case("stdout closed by hand", "import sys\nprint('x')\nsys.stdout.close()"),
    Case("print after closing", "import sys\nsys.stdout.close()\nprint('x')"),
    Case("descriptor 1 closed by hand", "import os\nprint('x')\nos.close(1)"),
    Case("descriptor 2 closed by hand", "import os\nos.close(2)\n1 / 0"),
    Case("stdout is none", "import sys\nsys.stdout = None\nprint('x')"),
    Case("stdout deleted", "import sys\ndel sys.stdout\nprint('x')"),
    Case(
        "stdout full",
        "import sys, os\nsys.stdout = open('/dev/full', 'w')\nprint('x')",
        differs="a stdout of the program's own that fails twice",
    ),
    Case("descriptor full", "import os\nfd = os.open('/dev/full', os.O_WRONLY)\nos.dup2(fd, 1)\nprint('x')"),
)
