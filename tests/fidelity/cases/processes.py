"""Signals, processes and threads."""

from tests.fidelity.case import Case

_SPAWN = """\
import multiprocessing as mp
def double(x):
    return 2 * x
if __name__ == "__main__":
    mp.set_start_method("{method}")
    with mp.Pool(2) as pool:
        print(pool.map(double, range(5)))
    queue = mp.Queue()
    worker = mp.Process(target=queue.put, args=("from a child",), name="w")
    worker.start()
    print(queue.get())
    worker.join()
    print(worker.exitcode, mp.get_start_method(), mp.current_process().name)
"""
_MANAGER = """\
import multiprocessing as mp
def add(d, i):
    d[i] = i * i
if __name__ == "__main__":
    with mp.Manager() as manager:
        d = manager.dict()
        ps = [mp.Process(target=add, args=(d, i)) for i in range(3)]
        for p in ps: p.start()
        for p in ps: p.join()
        print(dict(sorted(d.items())))
    value = mp.Value("i", 3)
    with value.get_lock():
        value.value += 1
    print(value.value)
    r, w = mp.Pipe()
    w.send([1, "two"])
    print(r.recv())
"""
_SHARED = """\
from multiprocessing import shared_memory, resource_tracker
s = shared_memory.SharedMemory(create=True, size=16)
s.buf[:3] = b"abc"
t = shared_memory.SharedMemory(name=s.name)
print(bytes(t.buf[:3]))
t.close()
s.close()
s.unlink()
"""
_FAILING_WORKER = """\
import multiprocessing as mp
def fail():
    raise ValueError("in a worker")
if __name__ == "__main__":
    p = mp.Process(target=fail, name="worker")
    p.start()
    p.join()
    print(p.exitcode)
"""
_EXECUTOR = """\
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
def f(x):
    return x + 1
if __name__ == "__main__":
    for kind in (ThreadPoolExecutor, ProcessPoolExecutor):
        with kind(2) as e:
            print(list(e.map(f, range(4))))
"""
_ASYNCIO = """\
import asyncio, sys
async def main():
    p = await asyncio.create_subprocess_exec(sys.executable, "-c", "import sys; print(sys.stdin.read()[::-1]); sys.exit(3)", stdin=-1, stdout=-1)
    out, _ = await p.communicate(b"abc")
    print(out, p.returncode)
    p = await asyncio.create_subprocess_shell("echo shell; kill -9 $$", stdout=-1)
    print((await p.communicate())[0], p.returncode)
    async with asyncio.TaskGroup() as group:
        t = group.create_task(asyncio.sleep(0.01, "slept"))
    print(t.result())
    print(await asyncio.to_thread(lambda: "thread"))
    server = await asyncio.start_server(lambda r, w: (w.write(b"hi"), w.close()), "127.0.0.1", 0)
    r, w = await asyncio.open_connection(*server.sockets[0].getsockname())
    print(await r.read())
asyncio.run(main())
"""


def _own(signal: str) -> Case:
    return Case(f"own {signal}", f"import os, signal\nprint('before')\nos.kill(os.getpid(), signal.{signal})\nprint('after')")


CASES = (
    *(
        _own(name)
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGPIPE", "SIGALRM", "SIGXCPU", "SIGQUIT", "SIGSEGV", "SIGCHLD", "SIGXFSZ")
    ),
    Case("raise_signal", "import signal\nsignal.raise_signal(signal.SIGTERM)\nprint('after')"),
    Case(
        "interrupt with a handler",
        "import os, signal\n"
        "signal.signal(signal.SIGINT, lambda n, f: print('got', n, f.f_lineno))\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "print('after')",
    ),
    Case("interrupt caught", "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept KeyboardInterrupt:\n    print('caught')"),
    Case(
        "interrupt in a sleep",
        "import os, signal, threading, time\nthreading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()\ntime.sleep(30)",
    ),
    Case(
        "termination with a handler",
        "import os, signal, sys\nsignal.signal(signal.SIGTERM, lambda *a: sys.exit(4))\nos.kill(os.getpid(), signal.SIGTERM)",
    ),
    Case(
        "alarm",
        "import signal, time\n"
        "signal.signal(signal.SIGALRM, lambda *a: print('alarm'))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.05)\n"
        "time.sleep(0.2)\n"
        "print('end')",
    ),
    Case("alarm by default", "import signal, time\nprint('x', flush=True)\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\ntime.sleep(5)"),
    Case(
        "sigwait",
        "import os, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
        "print(signal.sigwait([signal.SIGUSR1]))",
    ),
    Case("abort", "import os\nprint('lost')\nos.abort()"),
    Case("fault", "import ctypes\nprint('x', flush=True)\nctypes.string_at(0)"),
    Case("fault with the handler", "import faulthandler, ctypes\nfaulthandler.enable()\ndef f(): ctypes.string_at(0)\nf()", differs="faulthandler"),
    Case("fault handler by the environment", "import ctypes\nctypes.string_at(0)", env={"PYTHONFAULTHANDLER": "1"}),
    Case("traceback dumped later", "import faulthandler, sys\nfaulthandler.dump_traceback(file=sys.stderr)", differs="faulthandler"),
    Case("faulthandler is off", "import faulthandler\nprint(faulthandler.is_enabled())"),
    Case(
        "fork",
        "import os\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    print('child', os.getppid() > 0)\n"
        "    raise SystemExit(5)\n"
        "print('parent', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))",
    ),
    Case("fork duplicates buffers", "import os\nprint('buffered')\nif os.fork() == 0:\n    raise SystemExit\nos.wait()"),
    Case("fork and exception in the child", "import os\nif os.fork() == 0:\n    raise ValueError('child')\nprint(os.wait()[1])"),
    Case("fork and atexit", "import atexit, os\natexit.register(print, 'atexit')\nif os.fork() == 0:\n    raise SystemExit\nos.wait()"),
    Case(
        "fork hooks",
        "import os\n"
        "os.register_at_fork(before=lambda: print('b', flush=True), after_in_child=lambda: print('c', flush=True))\n"
        "if os.fork() == 0:\n"
        "    os._exit(0)\n"
        "os.wait()\n",
    ),
    Case("exec", "import os\nos.execvp('python3', ['python3', '-c', 'print(6 * 7)'])"),
    Case(
        "exec itself",
        "import os, sys\nprint(sys.argv, flush=True)\nif len(sys.argv) < 3:\n    os.execv(sys.executable, [sys.executable] + sys.argv + ['again'])",
        args=("a",),
    ),
    Case("wait without children", "import os\ntry:\n    os.wait()\nexcept ChildProcessError as e:\n    print(e)"),
    Case("system and popen", "import os\nprint(os.system('exit 3'), os.popen('echo x').read())"),
    Case(
        "subprocess of the interpreter",
        "import subprocess, sys\n"
        "print(subprocess.run([sys.executable, '-c', 'import sys; print(sys.argv, sys.path[0]); sys.exit(2)', "
        "'a'], capture_output=True, text=True))",
    ),
    Case(
        "subprocess of itself",
        "import subprocess, sys\n"
        "if len(sys.argv) == 1:\n"
        "    print(subprocess.run([sys.executable, __file__, 'again'], capture_output=True, text=True).stdout)\n"
        "else:\n"
        "    print('again', sys.argv[1:], __name__)",
    ),
    Case("subprocess that is not there", "import subprocess\nsubprocess.run(['no-such-program'])"),
    Case("subprocess killed", "import subprocess\np = subprocess.Popen(['sleep', '60'])\np.kill()\nprint(p.wait())"),
    Case(
        "subprocess with a timeout",
        "import subprocess\n"
        "try:\n"
        "    subprocess.run(['sleep', '60'], timeout=0.1)\n"
        "except subprocess.TimeoutExpired as e:\n"
        "    print(e.cmd, e.output)",
    ),
    Case("subprocess left running", "import subprocess\np = subprocess.Popen(['sleep', '0.2'])\nprint('end')"),
    Case(
        "signals of a child",
        "import subprocess\n"
        "print(open('/proc/self/status').read().split('SigIgn:')[1].split()[0])\n"
        "print(subprocess.run(['grep', 'Sig[IB]', '/proc/self/status'], capture_output=True, text=True).stdout)",
    ),
    Case("multiprocessing by fork", _SPAWN.format(method="fork")),
    Case("multiprocessing by spawn", _SPAWN.format(method="spawn")),
    Case("multiprocessing by forkserver", _SPAWN.format(method="forkserver")),
    Case("multiprocessing manager", _MANAGER),
    Case("shared memory", _SHARED),
    Case("worker that fails", _FAILING_WORKER),
    Case(
        "spawn without a guard",
        "import multiprocessing as mp\nmp.set_start_method('spawn')\np = mp.Process(target=print)\np.start()\np.join()\nprint(p.exitcode)",
    ),
    Case("executors", _EXECUTOR),
    Case("asyncio", _ASYNCIO),
    Case("asyncio left pending", "import asyncio\nasync def f():\n    asyncio.create_task(asyncio.sleep(60))\n    print('end')\nasyncio.run(f())"),
    Case(
        "asyncio interrupted",
        "import asyncio, os, signal\n"
        "async def f():\n"
        "    asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGINT)\n"
        "    try:\n"
        "        await asyncio.sleep(30)\n"
        "    finally:\n"
        "        print('cleaned')\n"
        "asyncio.run(f())",
    ),
    Case(
        "asyncio exception never retrieved",
        "import asyncio\n"
        "async def bad(): 1 / 0\n"
        "async def f():\n"
        "    t = asyncio.create_task(bad())\n"
        "    await asyncio.sleep(0)\n"
        "    del t\n"
        "asyncio.run(f())",
    ),
    Case(
        "threads are waited for", "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()\nprint('main')"
    ),
    Case(
        "daemon threads are not",
        "import threading, time\nthreading.Thread(target=lambda: (time.sleep(5), print('no')), daemon=True).start()\nprint('main')",
    ),
    Case(
        "daemon thread that prints for ever",
        "import threading, time\n"
        "threading.Thread(target=lambda: [time.sleep(0.001) for _ in iter(int, 1)], daemon=True).start()\n"
        "time.sleep(0.05)\n"
        "print('main')",
    ),
    Case("thread that fails", "import threading\ndef f(): 1 / 0\nt = threading.Thread(target=f, name='bad')\nt.start()\nt.join()\nprint('on')"),
    Case(
        "thread hook",
        "import threading\n"
        "threading.excepthook = lambda a: print('hook', a.exc_type.__name__, a.thread.name)\n"
        "t = threading.Thread(target=lambda: 1 / 0, name='n')\n"
        "t.start()\n"
        "t.join()",
    ),
    Case(
        "thread that fails after main has ended",
        "import threading, time\n"
        "def f():\n"
        "    time.sleep(0.1)\n"
        "    raise ValueError('late')\n"
        "threading.Thread(target=f, name='late').start()\n"
        "print('main')",
    ),
    Case(
        "main fails while a thread runs", "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()\n1 / 0"
    ),
    Case(
        "main thread's name",
        "import threading\n"
        "print(threading.current_thread().name, threading.main_thread() is threading.current_thread(), "
        "threading.active_count(), threading.current_thread().ident == threading.get_ident(), "
        "threading.get_native_id() == __import__('os').getpid())",
    ),
    Case("thread at exit", "import threading\nthreading._register_atexit(print, 'threads end')\nprint('main')"),
    Case("thread exits the process", "import threading, os\nthreading.Thread(target=lambda: os._exit(9)).start()\n__import__('time').sleep(30)"),
    Case(
        "main waits and a thread is interrupted",
        "import threading, os, signal, time\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('ends', flush=True))).start()\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.1)\n"
        "signal.signal(signal.SIGALRM, lambda *a: print('alarm', flush=True))",
    ),
    Case(
        "interrupt while threads are waited for",
        "import threading, os, signal, time\n"
        "def f():\n"
        "    time.sleep(0.1)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(0.2)\n"
        "threading.Thread(target=f).start()",
    ),
    Case(
        "thread locals and del",
        "import threading\n"
        "class A:\n"
        "    def __del__(self): print('del')\n"
        "l = threading.local()\n"
        "l.a = A()\n"
        "t = threading.Thread(target=lambda: setattr(l, 'a', A()))\n"
        "t.start()\n"
        "t.join()\n"
        "print('end')",
    ),
    Case(
        "queue and workers",
        "import queue, threading\n"
        "q = queue.Queue()\n"
        "def w():\n"
        "    while (x := q.get()) is not None: print(x)\n"
        "t = threading.Thread(target=w)\n"
        "t.start()\n"
        "for i in range(3): q.put(i)\n"
        "q.put(None)\n"
        "t.join()",
    ),
    Case(
        "subinterpreter-free contextvars",
        "import contextvars\nv = contextvars.ContextVar('v', default=1)\nprint(v.get(), list(contextvars.copy_context()))",
    ),
    Case("parent", "import os\nprint(os.getppid() >= 0, os.getpid() > 0, os.getpid() == os.getpgid(0))"),
    Case(
        "times of a new process",
        "import time, os, resource\nprint(time.process_time() < 2, os.times().children_user, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime)",
    ),
    Case(
        "sockets on loopback",
        "import socket, threading\n"
        "s = socket.create_server(('127.0.0.1', 0))\n"
        "threading.Thread(target=lambda: s.accept()[0].send(b'hi')).start()\n"
        "print(socket.create_connection(s.getsockname()).recv(9), socket.gethostbyname('localhost'))",
    ),
    Case(
        "http server and client",
        "import http.server, threading, urllib.request\n"
        "s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), type('H', (http.server.BaseHTTPRequestHandler,), "
        "{'do_GET': lambda h: (h.send_response(200), h.end_headers(), h.wfile.write(b'ok')), 'log_message': lambda *a: None}))\n"
        "threading.Thread(target=s.serve_forever, daemon=True).start()\n"
        "print(urllib.request.urlopen('http://127.0.0.1:%d/' % s.server_port).read())",
    ),
    Case(
        "no network",
        "import socket\ntry:\n    socket.create_connection(('169.254.169.254', 80), 1)\nexcept OSError as e:\n    print(e)",
        on_host=False,
    ),
)
