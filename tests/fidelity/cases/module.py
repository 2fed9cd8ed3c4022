"""What a program sees of itself: its module, its arguments, the interpreter."""

from tests.fidelity.case import Case

CASES = (
    Case("name and file", "print(__name__, __file__)"),
    Case("names of a new module", "print(sorted(globals()))\nprint(dir())"),
    Case("spec, loader, package", "print(__spec__, type(__loader__).__name__, __package__, __doc__)\nprint(__loader__.name, __loader__.path)"),
    Case("builtins are the module", "print(type(__builtins__).__name__, __builtins__.__name__, __builtins__ is __import__('builtins'))"),
    Case("docstring", '"""What it does."""\nprint(__doc__)'),
    Case("annotations", "x: int = 1\nprint(__annotations__)"),
    Case("main is in sys.modules", "import sys\nm = sys.modules['__main__']\nprint(m.__dict__ is globals(), repr(m))"),
    Case("import of main", "import __main__\nx = 5\nprint(__main__.x, __main__.__name__)"),
    Case("arguments", "import sys\nprint(sys.argv)", args=("a", "b c", "", "é", "--flag", "-x", "*", "'q'")),
    Case("arguments as of the command line", "import sys\nprint(sys.orig_argv[1:])", args=("-v", "x")),
    Case("path", "import sys\nprint(sys.path[0])\nprint(sys.path)"),
    Case(
        "names move between folders",
        "import os\nos.makedirs('a/b')\nopen('a/b/f', 'w').write('x')\nos.rename('a/b/f', 'g')\nos.link('g', 'a/h')\nos.rename('a', 'c')\n"
        "print(open('c/h').read(), sorted(os.listdir('c')))",
    ),
    Case("working directory", "import os\nprint(os.getcwd())"),
    Case("flags", "import sys\nprint(sys.flags)\nprint(sys.warnoptions, sys._xoptions, sys.dont_write_bytecode, sys.pycache_prefix)"),
    Case("recursion limit", "import sys\nprint(sys.getrecursionlimit(), sys.getswitchinterval())"),
    Case(
        "version and implementation",
        "import sys\nprint(sys.version, sys.implementation.cache_tag, sys.prefix, sys.exec_prefix, sys.base_prefix, sys.platlibdir)",
    ),
    Case("executable", "import sys\nprint(sys.executable)"),
    Case("interactive hooks", "import sys\nprint(hasattr(sys, 'ps1'), sys.displayhook is sys.__displayhook__, sys.excepthook is sys.__excepthook__)"),
    Case("last exception is not set", "import sys\nprint([n for n in dir(sys) if n.startswith('last')])"),
    Case(
        "frames",
        "import sys, inspect, traceback\n"
        "print(sys._getframe().f_back, len(inspect.stack()))\n"
        "traceback.print_stack()\n"
        "print(traceback.format_stack())",
    ),
    Case("caller's frame", "import inspect\ndef f():\n    return [(i.function, i.lineno, i.code_context) for i in inspect.stack()]\nprint(f())"),
    Case("code object", "import sys\nc = sys._getframe().f_code\nprint(c.co_name, c.co_filename, c.co_firstlineno, c.co_flags, c.co_argcount)"),
    Case("globals are locals", "print(globals() is locals(), vars() is globals())"),
    Case("future statement does not leak", "print((lambda x: x).__annotations__)\ndef f(a: 1 + 1): ...\nprint(f.__annotations__)"),
    Case("assert works", "assert False, 'no'"),
    Case("debug", "print(__debug__)"),
    Case("help on a function of main", "def f(x):\n    'Says.'\nhelp(f)"),
    Case(
        "site builtins",
        "print(exit, quit, copyright.__class__, sorted(n for n in dir(__builtins__) if n in ('exit', 'quit', 'license', 'credits', 'help', '_')))",
    ),
    Case("displayhook", "import sys\nsys.displayhook('x')\nprint(_)"),
    Case("meta path", "import sys\nprint(sys.meta_path, sys.path_hooks)"),
    Case("collector", "import gc\nprint(gc.isenabled(), gc.get_threshold(), gc.callbacks, gc.garbage)"),
    Case("warning filters", "import warnings\nprint(warnings.filters)"),
    Case(
        "locale and encodings",
        "import sys, locale\n"
        "print(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors(), locale.getpreferredencoding(), "
        "locale.setlocale(locale.LC_ALL), sys.getdefaultencoding())",
    ),
    Case(
        "environment",
        "import os\n"
        "print(sorted(set(os.environ) - {'PWD', 'OLDPWD', 'SHLVL', '_'}))\n"
        "print(os.environ['A'], os.environ['PATH'], os.environ.get('HOME'), os.environ.get('LANG'))",
        env={"A": "é b"},
    ),
    Case(
        "identity",
        "import os, getpass\n"
        "print(os.getuid(), os.geteuid(), os.getgid(), os.getgroups(), os.umask(0o22), os.getlogin() if 0 else "
        "'', getpass.getuser())",
        on_host=False,
    ),
    Case("limits", "import resource\nprint([resource.getrlimit(i) for i in range(16)])", on_host=False),
    Case(
        "loaded modules of the program's own choice",
        "import sys\nprint([n for n in ('json', 'random', 'threading', 'asyncio', 'socket', 'subprocess', 'tempfile', 'numpy') if n in sys.modules])",
    ),
    Case(
        "stdio objects",
        "import sys\n"
        "for s in (sys.stdin, sys.stdout, sys.stderr):\n"
        "    print(s.name, s.mode, s.encoding, s.errors, s.line_buffering, s.write_through, s.isatty(), "
        "s.fileno(), type(s.buffer).__name__, s.newlines, repr(s))\n"
        "print(sys.stdout is sys.__stdout__)",
    ),
    Case(
        "scheduling and nice",
        "import os\nprint(os.nice(0), os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0), len(os.sched_getaffinity(0)))",
    ),
    Case(
        "controlling terminal and session",
        "import os\ntry:\n    open('/dev/tty')\nexcept OSError as e:\n    print(e)\nprint(os.isatty(0), os.getpgrp() == os.getsid(0))",
    ),
    Case(
        "signal dispositions",
        "import signal\n"
        "print({s.name: repr(signal.getsignal(s)) for s in signal.valid_signals() if isinstance(s, signal.Signals)})\n"
        "print(signal.pthread_sigmask(signal.SIG_BLOCK, []))\n"
        "print(signal.set_wakeup_fd(-1))",
    ),
    Case("open descriptors", "import os\nprint(sorted(int(n) for n in os.listdir('/proc/self/fd'))[:3], len(os.listdir('/proc/self/fd')))"),
    Case(
        "command line of the process",
        "print(open('/proc/self/cmdline').read().split('\\0')[1:], open('/proc/self/comm').read())",
        args=("x",),
        differs="process title",
    ),
    Case(
        "process title by ps",
        "import subprocess, os\nprint(subprocess.run(['ps', '-o', 'comm=', '-p', str(os.getpid())], capture_output=True, text=True).stdout)",
        differs="process title",
    ),
)
