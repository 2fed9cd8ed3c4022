"""Input and output: buffering, encodings, closed ends, and what is lost when a program is killed."""

from tests.fidelity.case import Case

CASES = (
    Case("order of both streams", "import sys\nprint('1')\nprint('2', file=sys.stderr)\nprint('3')"),
    Case("input", "print(repr(input('name? ')), repr(input()))", stdin=b"ann\nb c\n"),
    Case("input at the end", "print(input())\ninput()", stdin=b"one\n"),
    Case("input without a newline", "print(repr(input()))", stdin=b"no newline"),
    Case("input of carriage returns", "import sys\nprint(repr(sys.stdin.read()))", stdin=b"a\r\nb\rc\n"),
    Case("input not utf-8", "print(ascii(input()))", stdin=b"caf\xe9\n"),
    Case("input with a null", "print(repr(input()))", stdin=b"a\0b\n"),
    Case("input with a mark", "print(ascii(input()))", stdin=b"\xef\xbb\xbfx\n"),
    Case("binary input", "import sys\nprint(sys.stdin.buffer.read())", stdin=bytes(range(256))),
    Case("input by descriptor", "import os\nprint(os.read(0, 5), os.read(0, 100))", stdin=b"hello world"),
    Case(
        "large input",
        "import sys, hashlib\nd = sys.stdin.buffer.read()\nprint(len(d), hashlib.sha256(d).hexdigest())",
        stdin=b"0123456789abcde\n" * 262_144,
    ),
    Case("large input unread", "print('done')", stdin=b"x" * 2_000_000),
    Case("large input half read", "import sys\nprint(len(sys.stdin.readline()))", stdin=b"x" * 100 + b"\n" + b"y" * 2_000_000),
    Case("lines of input", "import sys\nfor i, line in enumerate(sys.stdin): print(i, line, end='')", stdin=b"a\n\nb"),
    Case("fileinput", "import fileinput\nfor line in fileinput.input(): print(fileinput.lineno(), line, end='')", stdin=b"a\nb\n"),
    Case("input read by a child", "import subprocess, sys\nprint(sys.stdin.readline())\nsubprocess.run(['cat'])", stdin=b"first\nsecond\n"),
    Case(
        "input is inherited unbuffered", "import os, subprocess\nprint(os.read(0, 6), flush=True)\nsubprocess.run(['cat'])", stdin=b"first\nsecond\n"
    ),
    Case("no input", "import sys\nprint(repr(sys.stdin.read()), sys.stdin.isatty())"),
    Case(
        "stdin can be selected",
        "import select, sys, os, stat\nprint(select.select([0], [], [], 5)[0], stat.S_ISFIFO(os.fstat(0).st_mode))",
        stdin=b"x",
    ),
    Case(
        "seek on stdin",
        "import sys\ntry:\n    sys.stdin.seek(0)\nexcept OSError as e:\n    print(repr(e))\nprint(sys.stdin.seekable(), sys.stdout.seekable())",
    ),
    Case("unicode output", "print('é 日本 😀 \\x00 \\x1b[31m')"),
    Case("surrogate output", "print('\\udce9')"),
    Case("surrogate error output", "import sys\nprint('\\udce9', file=sys.stderr)"),
    Case("binary output", "import sys\nsys.stdout.buffer.write(bytes(range(256)))"),
    Case("mixed layers", "import sys, os\nprint('text')\nsys.stdout.buffer.write(b'buffer\\n')\nos.write(1, b'descriptor\\n')"),
    Case("large output", "for i in range(60000): print(i)"),
    Case("one long line", "print('x' * 900_000, end='')"),
    Case("flush", "import os, time\nprint('kept', flush=True)\nprint('lost')\nos.kill(os.getpid(), 9)"),
    Case("buffer when killed", "import os\nprint('x' * 100)\nos.kill(os.getpid(), 9)"),
    Case("full buffers when killed", "import os, sys\nfor i in range(5000): print(i)\nos.kill(os.getpid(), 9)"),
    Case("stderr when killed", "import os, sys\nsys.stderr.write('partial')\nos.kill(os.getpid(), 9)"),
    Case("buffer when the clock ends it", "print('lost')\nwhile True: pass", wall_ms=1500),
    Case("flushed when the clock ends it", "import sys, time\nprint('kept', flush=True)\nsys.stderr.write('err\\n')\ntime.sleep(60)", wall_ms=1500),
    Case("unbuffered by the environment", "import os\nprint('kept')\nos.kill(os.getpid(), 9)", env={"PYTHONUNBUFFERED": "1"}),
    Case("encoding by the environment", "import sys\nprint(sys.stdout.encoding, 'é')", env={"PYTHONIOENCODING": "latin-1:replace"}),
    Case("hash seed by the environment", "print(hash('x'), list({'a', 'b', 'c', 'd'}))", env={"PYTHONHASHSEED": "7"}),
    Case("optimized by the environment", "print(__debug__)\nassert False", env={"PYTHONOPTIMIZE": "1"}),
    Case("time zone by the environment", "import time\nprint(time.tzname, time.localtime(0).tm_hour)", env={"TZ": "Asia/Tokyo"}),
    Case(
        "language by the environment",
        "import sys, locale\nprint(sys.stdout.encoding, sys.getfilesystemencoding(), locale.getlocale())",
        env={"LC_ALL": "C"},
    ),
    Case("posix locale by the environment", "import sys\nprint(sys.stdout.encoding, sys.stdout.errors, sys.flags.utf8_mode)", env={"LANG": "POSIX"}),
    Case("profile of imports by the environment", "print('x')", env={"PYTHONNOUSERSITE": "1"}),
    Case(
        "path by the environment",
        "import extra\nprint(extra.x, __import__('sys').path[:2])",
        env={"PYTHONPATH": "/workspace/lib"},
        files={"lib/extra.py": "x = 5\n"},
    ),
    Case("home by the environment", "import os\nprint(os.path.expanduser('~/x'))", env={"HOME": "/tmp"}),
    Case("inspect by the environment", "x = 1\nprint(x)", env={"PYTHONINSPECT": "1"}, stdin=b"print(x + 1)\n"),
    Case("reconfigure", "import sys\nsys.stdout.reconfigure(line_buffering=True, newline='\\r\\n', errors='replace')\nprint('a')\nprint('\\ud800')"),
    Case(
        "closed reader",
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'for i in range(200000): print(i)'], "
        "stdout=subprocess.Popen(['head', '-2'], stdin=subprocess.PIPE).stdin)",
    ),
    Case("broken pipe of its own", "import os\nr, w = os.pipe()\nos.close(r)\nos.dup2(w, 1)\nprint('x')"),
    Case("broken pipe caught", "import os\nr, w = os.pipe()\nos.close(r)\ntry:\n    os.write(w, b'x')\nexcept BrokenPipeError as e:\n    print(e)"),
    Case("sigpipe by default", "import os, signal\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\nr, w = os.pipe()\nos.close(r)\nos.write(w, b'x')"),
    Case(
        "print to a replaced stdout",
        "import io, contextlib\nb = io.StringIO()\nwith contextlib.redirect_stdout(b): print('x')\nprint(repr(b.getvalue()))",
    ),
    Case(
        "default buffer size",
        "import io, sys\nprint(io.DEFAULT_BUFFER_SIZE, sys.stdout._CHUNK_SIZE)\nsys.stdout.write('x' * 8191)\nsys.stdout.flush()",
    ),
    Case("pretty print", "import pprint\npprint.pprint({i: 'x' * 30 for i in range(5)})"),
    Case(
        "terminal size", "import shutil, os\nprint(shutil.get_terminal_size())\ntry:\n    os.get_terminal_size()\nexcept OSError as e:\n    print(e)"
    ),
    Case(
        "getpass without a terminal", "import getpass, warnings\nwarnings.simplefilter('ignore')\nprint(getpass.getpass('word: '))", stdin=b"secret\n"
    ),
    Case("breakpoint with input", "x = 1\nbreakpoint()\nprint('end')", stdin=b"p x\nc\n"),
    Case("pdb at the end of input", "breakpoint()\nprint('end')"),
    Case("interactive console", "import code\ncode.interact(local={'y': 2}, banner='b', exitmsg='e')", stdin=b"y + 1\n1/0\n"),
)
