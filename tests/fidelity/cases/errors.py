"""Exceptions that nobody catches, byte for byte, and warnings."""

from tests.fidelity.case import Case

_CHAIN = """\
def f(x):
    return 1 / x
def g():
    try:
        f(0)
    except ZeroDivisionError as e:
        raise ValueError("bad") from e
g()
"""

CASES = (
    Case("uncaught", "print('before')\nraise RuntimeError('x')"),
    Case("uncaught in functions", "def f():\n    g()\ndef g():\n    return [][1]\nf()"),
    Case("chained", _CHAIN),
    Case("during handling", "try:\n    1 / 0\nexcept Exception:\n    undefined"),
    Case("suppressed context", "try:\n    1 / 0\nexcept Exception:\n    raise KeyError('k') from None"),
    Case("notes", "e = ValueError('v')\ne.add_note('a note\\nof two lines')\nraise e"),
    Case("group", "raise ExceptionGroup('g', [ValueError(1), TypeError('t'), ExceptionGroup('h', [KeyError(2)])])"),
    Case("carets", "d = {'a': [1]}\nprint(d['a'][0] + d['a'][5] * 2)"),
    Case("wide characters before a caret", "x = {'日本': 0}['日本'] + undefined"),
    Case("long line", "x = " + " + ".join(["1"] * 300) + " + undefined"),
    Case("repeated lines", "def f(): f()\nf()"),
    Case("deep mutual recursion", "def f(n): return g(n)\ndef g(n): return f(n)\nf(1)"),
    Case("own exception class of main", "class Mine(Exception): pass\nraise Mine('m')"),
    Case("nested class and module name", "class A:\n    class B(Exception): pass\nraise A.B"),
    Case("exception whose str fails", "class E(Exception):\n    def __str__(self): raise KeyError\nraise E"),
    Case("suggestion for a name", "printt(1)"),
    Case("suggestion for an attribute", "class A: blech = 1\nA().bleck"),
    Case("suggestion for an import", "from os import getpidd"),
    Case("missing module", "import nothing_of_this_name"),
    Case("surrogate in a message", "raise ValueError('\\udcff \\ud800')"),
    Case("null in a message", "raise ValueError('a\\0b')"),
    Case("base exception", "raise BaseException('b')"),
    Case("generator exit", "raise GeneratorExit"),
    Case("keyboard interrupt raised", "raise KeyboardInterrupt('k')"),
    Case(
        "excepthook replaced",
        "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__, a[1], a[2].tb_lineno, a[2].tb_next, file=sys.stderr)\n1 / 0",
    ),
    Case("excepthook that raises", "import sys\ndef hook(*a):\n    raise KeyError('in hook')\nsys.excepthook = hook\n1 / 0"),
    Case("excepthook that exits", "import sys\nsys.excepthook = lambda *a: sys.exit(9)\n1 / 0"),
    Case("excepthook deleted", "import sys\ndel sys.excepthook\n1 / 0"),
    Case("excepthook is none", "import sys\nsys.excepthook = None\n1 / 0"),
    Case("stderr is none", "import sys\nsys.stderr = None\n1 / 0"),
    Case(
        "stderr replaced",
        "import sys, io\nsys.stderr = io.StringIO()\nimport atexit\natexit.register(lambda: print(repr(sys.stderr.getvalue())))\n1 / 0",
    ),
    Case("unraisable", "class A:\n    def __del__(self): raise ValueError('in del')\na = A()\ndel a\nprint('after')"),
    Case(
        "unraisablehook",
        "import sys\nsys.unraisablehook = lambda u: print('unraisable', u.exc_type.__name__, u.err_msg)\nclass A:\n    def __del__(self): 1 / 0\nA()",
    ),
    Case(
        "last traceback is set for atexit",
        "import atexit, sys\natexit.register(lambda: print(sys.last_type, sys.last_value, sys.last_traceback.tb_lineno))\n\n1 / 0",
    ),
    Case("traceback of a helper file", "import helper\nhelper.fail()", files={"helper.py": "def fail():\n    raise OSError(2, 'gone', 'name')\n"}),
    Case("error while importing a helper", "import helper", files={"helper.py": "x = 1\n1 / 0\n"}),
    Case("syntax error in a helper", "import helper", files={"helper.py": "def f(:\n"}),
    Case("exec and eval", "exec('1 / 0')"),
    Case("eval of a string with a name", "exec(compile('def f():\\n    1 / 0\\nf()', 'named.py', 'exec'))"),
    Case("source changed while running", "open('main.py', 'w').write('# other\\n' * 5)\n\n1 / 0"),
    Case("source removed while running", "import os\nos.unlink('main.py')\n1 / 0"),
    Case("directory changed while running", "import os\nos.chdir('/tmp')\n1 / 0"),
    Case(
        "traceback printed by hand",
        "import traceback\ntry:\n    1 / 0\nexcept Exception:\n    traceback.print_exc()\n    print(traceback.format_exc())",
    ),
    Case(
        "logging an exception",
        "import logging\n"
        "logging.basicConfig(format='%(levelname)s %(filename)s %(lineno)d %(funcName)s %(message)s')\n"
        "try:\n"
        "    1 / 0\n"
        "except Exception:\n"
        "    logging.exception('it')",
    ),
    Case("tracebacklimit", "import sys\nsys.tracebacklimit = 1\ndef f(): g()\ndef g(): h()\ndef h(): 1 / 0\nf()"),
    Case("memory error", "x = b'x' * (1 << 60)"),
    Case("recursion in repr", "x = []\nfor _ in range(100000): x = [x]\ntry:\n    repr(x)\nexcept RecursionError as e:\n    print(e)"),
    Case(
        "deep recursion caught",
        "def f(n): return 1 + f(n + 1)\n"
        "try:\n"
        "    f(0)\n"
        "except RecursionError as e:\n"
        "    print(e)\n"
        "def d(n):\n"
        "    try:\n"
        "        return d(n + 1)\n"
        "    except RecursionError:\n"
        "        return n\n"
        "print(d(0))",
    ),
    Case("deeper recursion by a raised limit", "import sys\nsys.setrecursionlimit(20000)\ndef f(n): return n and 1 + f(n - 1)\nprint(f(15000))"),
    Case("syntax warning", "x = 1\nprint(x is 1)\n'\\d'"),
    Case("deprecation warning in main", "import warnings\nwarnings.warn('old', DeprecationWarning)\nwarnings.warn('user')"),
    Case(
        "deprecation warning of a helper",
        "import helper",
        files={"helper.py": "import warnings\nwarnings.warn('old', DeprecationWarning)\nwarnings.warn('user', UserWarning, stacklevel=2)\n"},
    ),
    Case("resource warning is off", "open('/dev/null')\nimport gc\ngc.collect()\nprint('quiet')"),
    Case("warnings once for a line", "import warnings\nfor _ in range(3): warnings.warn('again')\n"),
    Case("warnings as errors by the environment", "import warnings\nwarnings.warn('now')", env={"PYTHONWARNINGS": "error"}),
    Case("coroutine never awaited", "async def f(): ...\nf()"),
    Case("await outside", "await x"),
)
