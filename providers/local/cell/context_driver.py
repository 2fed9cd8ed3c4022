"""The main program of a Python context: it runs what it is told in one namespace, and says what came of it. It is sent to the cell as text.

    standard input  ── frames {"id", "code"} ──>  driver  ── {"id", "begun"}, {"id", "results", "exception", …} ──> the FIFO that is its argument

Everything that it says is taken for the program's own word: code that runs here can say it in its place.
"""

import ast
import asyncio
import base64
import builtins
import inspect
import io
import json
import linecache
import os
import signal
import sys
import traceback
import types

_MOST_DATA = 4 << 20  # characters of one representation
_MOST_RESULTS = 64
_MOST_TRACE = 64 << 10
_TEXT = "text/plain"
_METHODS = (
    ("_repr_html_", "text/html"),
    ("_repr_markdown_", "text/markdown"),
    ("_repr_svg_", "image/svg+xml"),
    ("_repr_png_", "image/png"),
    ("_repr_jpeg_", "image/jpeg"),
    ("_repr_latex_", "text/latex"),
    ("_repr_json_", "application/json"),
)


class Driver:
    """One context."""

    def __init__(self, answers):
        self.answers = answers
        self.requests = os.fdopen(os.dup(0), "rb")
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        self.module = types.ModuleType("__main__")
        self.module.__dict__["__builtins__"] = builtins
        sys.modules["__main__"] = self.module
        self.results = []
        self.running = False
        self.loop = None
        builtins.__dict__["display"] = self.display
        signal.signal(signal.SIGINT, self.interrupted)

    def interrupted(self, _number, _frame):
        """An interrupt reaches the code that runs, and nothing between two pieces of it."""
        if self.running:
            raise KeyboardInterrupt

    def serve(self):
        """Run what comes until there is no more, or the code leaves."""
        while head := self.requests.read(4):
            request = json.loads(self.requests.read(int.from_bytes(head, "little")))
            answer = self.run(request["id"], request["code"])
            self.say(answer)
            if answer["exit"] is not None:
                break

    def say(self, message):
        """Write a frame."""
        data = json.dumps(message).encode()
        _write(self.answers, len(data).to_bytes(4, "little") + data)

    def run(self, number, code):
        """Run one piece of code; what came of it."""
        self.results = []
        exception = left = None
        try:
            self.running = True
            try:
                self.say({"id": number, "begun": True})
                self.execute(number, code)
                self.show_figures()
            finally:
                self.running = False
        except SystemExit as error:
            left = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
            if left and not isinstance(error.code, int):
                sys.stderr.write(f"{error.code}\n")
        except BaseException as error:
            exception = _described(error)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                continue
        return {"id": number, "results": self.results[:_MOST_RESULTS], "exception": exception, "exit": left}

    def execute(self, number, code):
        """Run the statements, and show the value of a last expression."""
        name = f"<cell {number}>"
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        tree = ast.parse(code, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        if tree.body:
            self.evaluate(compile(tree, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True))
        if last is not None:
            value = self.evaluate(compile(ast.Expression(last.value), name, "eval", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True))
            if value is not None:
                self.module.__dict__["_"] = value
                self.display(value)

    def evaluate(self, code):
        """The value of compiled code, waited for where it awaits something."""
        value = eval(code, self.module.__dict__)
        if code.co_flags & inspect.CO_COROUTINE:
            if self.loop is None:
                self.loop = asyncio.new_event_loop()
                asyncio.set_event_loop(self.loop)
            return self.loop.run_until_complete(value)
        return value

    def display(self, *values, **_options):
        """Show values in all their representations."""
        for value in values:
            if len(self.results) < _MOST_RESULTS:
                self.results.append(_represented(value))

    def show_figures(self):
        """Show the figures of matplotlib that are open, and close them."""
        plt = sys.modules.get("matplotlib.pyplot")
        if plt is None:
            return
        for number in plt.get_fignums():
            picture = io.BytesIO()
            plt.figure(number).savefig(picture, format="png", bbox_inches="tight")
            self.results.append({"image/png": [base64.b64encode(picture.getvalue()).decode(), "BASE64"]})
        plt.close("all")


def _represented(value):
    """A value by its kinds of representation: texts, or BASE64 for what is bytes."""
    found = {}
    bundle = getattr(type(value), "_repr_mimebundle_", None)
    if bundle is not None:
        try:
            shown = value._repr_mimebundle_()
            for kind, data in (shown[0] if isinstance(shown, tuple) else shown or {}).items():
                _add(found, str(kind), data)
        except Exception:
            found = {}
    for method, kind in _METHODS:
        if kind not in found and getattr(type(value), method, None) is not None:
            try:
                _add(found, kind, getattr(value, method)())
            except Exception:
                continue
    if "application/json" not in found and type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "to_json"):
        _add(found, "application/json", value.to_json())
    figure = getattr(value, "savefig", None)
    if figure is not None and type(value).__module__.partition(".")[0] == "matplotlib":
        picture = io.BytesIO()
        figure(picture, format="png", bbox_inches="tight")
        _add(found, "image/png", picture.getvalue())
    if _TEXT not in found:
        text = repr(value)
        found[_TEXT] = [text[:_MOST_DATA], "UTF8"]
    return found


def _add(found, kind, data):
    if isinstance(data, tuple):
        data = data[0]
    if data is None:
        return
    if isinstance(data, bytes):
        data, encoding = base64.b64encode(data).decode(), "BASE64"
    else:
        data, encoding = data if isinstance(data, str) else json.dumps(data), "UTF8"
    if len(data) <= _MOST_DATA:
        found[kind] = [data, encoding]


def _described(error):
    """An exception as name, value and traceback, which is printed as well, without this file's own frames."""
    own = {__file__, ast.__file__} if isinstance(error, SyntaxError) else {__file__}
    try:
        told = traceback.TracebackException(type(error), error, error.__traceback__)
        told.stack = traceback.StackSummary.from_list([frame for frame in told.stack if frame.filename not in own])
        text = "".join(told.format())
    except BaseException:
        text = type(error).__name__ + "\n"
    try:
        sys.stderr.write(text)
    except Exception:
        pass
    try:
        value = str(error)
    except BaseException:
        value = "<unprintable>"
    return {"name": type(error).__name__, "value": value[:_MOST_TRACE], "traceback": text[:_MOST_TRACE]}


def _write(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def main():
    """Serve the context."""
    path = sys.argv[1]
    answers = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    os.unlink(path)
    del sys.argv[1:]
    sys.argv[0] = ""
    sys.path[0] = "/workspace"
    os.environ.setdefault("MPLBACKEND", "Agg")
    Driver(answers).serve()


main()
