"""Importing what was put in, and libraries that look at `__main__`."""

from tests.fidelity.case import Case

_PACKAGE = {
    "pkg/__init__.py": "from .a import x\nprint('pkg', __name__, __path__)\n",
    "pkg/a.py": "from . import b\nfrom .sub.c import y\nx = b.z + y\n",
    "pkg/b.py": "z = 1\n",
    "pkg/sub/__init__.py": "",
    "pkg/sub/c.py": "from ..b import z\ny = z + 1\n",
}

CASES = (
    Case("module beside", "import helper\nprint(helper.x, helper.__file__, helper.__name__, helper.__spec__.origin)", files={"helper.py": "x = 1\n"}),
    Case("package with relative imports", "import pkg\nprint(pkg.x, pkg.sub.c.y)", files=_PACKAGE),
    Case("relative import of main", "from . import helper", files={"helper.py": ""}),
    Case("namespace package", "import space.mod\nprint(space.mod.x, type(space.__path__).__name__)", files={"space/mod.py": "x = 3\n"}),
    Case(
        "module imports main",
        "import helper\nx = 1\nif __name__ == '__main__': print('main', helper.main is __import__('__main__'), helper.again.__name__)",
        files={"helper.py": "import __main__ as main\nimport main as again\n"},
    ),
    Case("bytecode is written", "import helper, os\nprint(sorted(os.listdir('__pycache__')), helper.__cached__)", files={"helper.py": ""}),
    Case("own name hides a library", "import random\nprint(random.mine)", files={"random.py": "mine = 'hidden'\n"}),
    Case("own json hides the library", "import json\nprint(json.mine)", files={"json.py": "mine = 'hidden'\n"}),
    Case(
        "own threading hides the library",
        "import threading\nprint(threading.mine)",
        files={"threading.py": "mine = 'hidden'\n"},
        differs="hints at a module that hides another",
    ),
    Case("own typing hides the library", "import typing\nprint(typing.mine)", files={"typing.py": "mine = 'hidden'\n"}),
    Case("own traceback hides the library", "1 / 0", files={"traceback.py": "print('mine')\n"}),
    Case("own socket hides the library", "import socket\nprint(socket.mine)", files={"socket.py": "mine = 'hidden'\n"}),
    Case("own os does not", "import os\nprint(hasattr(os, 'mine'))", files={"os.py": "mine = 1\n"}),
    Case(
        "own sitecustomize is not run",
        "print('main')",
        files={"sitecustomize.py": "print('site')\n", "usercustomize.py": "print('user')\n", "x.pth": "import sys; print('pth')\n"},
    ),
    Case(
        "runpy of a path",
        "import runpy\nprint(runpy.run_path('other.py', run_name='__main__')['x'])",
        files={"other.py": "print(__name__, __file__)\nx = 2\n"},
    ),
    Case(
        "runpy of a module",
        "import runpy\nrunpy.run_module('other', run_name='__main__', alter_sys=True)",
        files={"other.py": "import sys\nprint(__name__, __spec__.name, sys.argv[0])\n"},
    ),
    Case(
        "module with a main",
        "import subprocess, sys\nprint(subprocess.run([sys.executable, '-m', 'pkg'], capture_output=True, text=True).stdout)",
        files={"pkg/__main__.py": "print('as a module', __package__)\n", "pkg/__init__.py": ""},
    ),
    Case(
        "pickle of main's classes",
        "import pickle\n"
        "class A:\n"
        "    def __init__(self): self.x = 1\n"
        "    def __eq__(self, o): return self.x == o.x\n"
        "d = pickle.dumps(A())\n"
        "print(d, pickle.loads(d) == A())",
    ),
    Case(
        "pickle of a lambda fails",
        "import pickle\ntry:\n    pickle.dumps(lambda: 0)\nexcept Exception as e:\n    print(type(e).__name__, str(e).split(' at 0x')[0])",
    ),
    Case(
        "dataclass in main",
        "from dataclasses import dataclass, asdict\n"
        "@dataclass(slots=True)\n"
        "class P:\n"
        "    x: int\n"
        "    y: 'list[int]'\n"
        "print(P(1, [2]), asdict(P(1, [])), P.__module__)",
    ),
    Case("enum in main", "import enum\nclass C(enum.Flag):\n    A = enum.auto()\n    B = enum.auto()\nprint(C.A | C.B, repr(C.B), C)"),
    Case("named tuple in main", "from collections import namedtuple\nP = namedtuple('P', 'a b')\nprint(P(1, 2), P.__module__)"),
    Case("type hints of strings", "import typing\nclass A: ...\ndef f(a: 'A') -> 'list[A]': ...\nprint(typing.get_type_hints(f))"),
    Case(
        "source of a function",
        "import inspect\ndef f():\n    return 1  # here\nprint(inspect.getsource(f), inspect.getfile(f), inspect.getmodule(f).__name__)",
    ),
    Case("source of a class", "import inspect\nclass A:\n    x = 1\nprint(inspect.getsource(A))"),
    Case("doctest", "def f(x):\n    '''\n    >>> f(1)\n    3\n    '''\n    return x + 1\nimport doctest\nprint(doctest.testmod())"),
    Case(
        "unittest",
        "import unittest\n"
        "class T(unittest.TestCase):\n"
        "    def test_a(self): self.assertEqual(1, 1)\n"
        "    def test_b(self): self.assertEqual(1, 2)\n"
        "import sys, io\n"
        "sys.stderr = e = io.StringIO()\n"
        "try:\n"
        "    unittest.main()\n"
        "finally:\n"
        "    import re\n"
        "    print(re.sub(r'in [0-9.]+s', '', e.getvalue()))",
    ),
    Case("argparse help", "import argparse\np = argparse.ArgumentParser()\np.add_argument('x', type=int)\np.parse_args()", args=("--help",)),
    Case("argparse error", "import argparse\np = argparse.ArgumentParser()\np.add_argument('x', type=int)\np.parse_args()", args=("abc",)),
    Case("logging of main", "import logging\nlogging.warning('w')\nlogging.getLogger(__name__).error('e')"),
    Case(
        "trace function",
        "import sys\n"
        "lines = []\n"
        "sys.settrace(lambda f, e, a: (lines.append((e, f.f_code.co_name)), None)[1])\n"
        "def f(): pass\n"
        "f()\n"
        "sys.settrace(None)\n"
        "print(lines)",
    ),
    Case("profile", "import cProfile, pstats, io\np = cProfile.Profile()\np.runcall(sum, [1])\nprint(len(p.getstats()) > 0)"),
    Case("profile hook sees the end", "import sys\nsys.setprofile(lambda f, e, a: None)\nprint('x')"),
    Case(
        "tracemalloc",
        "import tracemalloc\n"
        "print(tracemalloc.is_tracing())\n"
        "tracemalloc.start()\n"
        "x = [0] * 1000\n"
        "print(tracemalloc.get_traced_memory()[0] > 0, tracemalloc.get_object_traceback(x)[0].filename)",
    ),
    Case(
        "import hook",
        "import sys, importlib.abc, importlib.machinery\n"
        "class F(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, n, p, t=None): print('find', n)\n"
        "sys.meta_path.insert(0, F())\n"
        "try:\n"
        "    import nope_nope\n"
        "except ImportError as e:\n"
        "    print(e)",
    ),
    Case(
        "reload",
        "import importlib, helper\n"
        "print(helper.x)\n"
        "open('helper.py', 'w').write('x = 22222\\n')\n"
        "importlib.invalidate_caches()\n"
        "print(importlib.reload(helper).x)",
        files={"helper.py": "x = 1\n"},
    ),
    Case(
        "zip import",
        "import zipfile, sys\n"
        "with zipfile.ZipFile('m.zip', 'w') as z: z.writestr('inside.py', 'x = 4')\n"
        "sys.path.insert(0, 'm.zip')\n"
        "import inside\n"
        "print(inside.x, inside.__file__)",
    ),
    Case(
        "resources of a package",
        "import importlib.resources as r\nprint(r.files('pkg').joinpath('d.txt').read_text())",
        files={"pkg/__init__.py": "", "pkg/d.txt": "data"},
    ),
    Case(
        "sqlite and locks",
        "import sqlite3\n"
        "c = sqlite3.connect('d.db')\n"
        "c.execute('create table t (x)')\n"
        "c.execute('insert into t values (1)')\n"
        "c.commit()\n"
        "print(c.execute('select * from t').fetchall())",
    ),
    Case("file locks", "import fcntl\nf = open('l', 'w')\nfcntl.flock(f, fcntl.LOCK_EX)\nfcntl.lockf(f, fcntl.LOCK_EX)\nprint('locked')"),
    Case(
        "temporary files",
        "import tempfile, os\n"
        "with tempfile.NamedTemporaryFile('w+') as f:\n"
        "    f.write('x')\n"
        "    f.flush()\n"
        "    print(os.path.getsize(f.name), tempfile.gettempdir())",
    ),
    Case(
        "memory map",
        "import mmap\n"
        "open('m', 'wb').write(b'abc')\n"
        "with open('m', 'r+b') as f:\n"
        "    m = mmap.mmap(f.fileno(), 0)\n"
        "    m[0] = 65\n"
        "    m.close()\n"
        "print(open('m').read())",
    ),
    Case(
        "decimal, fractions and time",
        "import decimal, fractions, datetime\nprint(decimal.getcontext(), fractions.Fraction(1, 3), datetime.datetime.fromtimestamp(0))",
    ),
    Case("pseudo-random numbers by seed", "import random\nrandom.seed(1)\nprint(random.random(), random.sample(range(100), 5))"),
    Case("ctypes", "import ctypes\nl = ctypes.CDLL(None)\nprint(l.abs(-5), ctypes.util.find_library('c') if hasattr(ctypes, 'util') else '')"),
    Case(
        "turtles need a display",
        "import tkinter",
    ),
    Case("curses without a terminal", "import curses\ntry:\n    curses.setupterm()\nexcept Exception as e:\n    print(type(e).__name__, e)"),
    Case("this", "import this"),
    Case("antigravity of braces", "import __future__\nprint(__future__.all_feature_names)"),
)
