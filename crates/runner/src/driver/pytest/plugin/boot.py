"""Runs as `python -c`: takes the plugin's modules from the control socket and starts pytest.

Nothing may be imported before the empty entry that `-c` puts first on the path is gone: a project's
`json.py` would be taken for the standard library's.
"""
import sys

if sys.path and sys.path[0] == "":
    del sys.path[0]

import fcntl
import json
import os
import types


def take_control():
    """Moves the control socket away from descriptor 0, where tests expect an ordinary standard input."""
    control = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 200)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    if null != 0:
        os.close(null)
    return control


def read_hello(control):
    """Reads the one line that the runner sends before it waits for an answer."""
    chunks = []
    while not chunks or not chunks[-1].endswith(b"\n"):
        chunk = os.read(control, 1 << 16)
        if not chunk:
            os._exit(0)
        chunks.append(chunk)
    return json.loads(b"".join(chunks))


def load(modules):
    """Makes modules of the sources, in order, so that later ones can import earlier ones."""
    for name, source in modules:
        module = types.ModuleType(name)
        sys.modules[name] = module
        exec(compile(source, "<%s>" % name, "exec"), module.__dict__)


def boot():
    control = take_control()
    hello = read_hello(control)
    wire, others = hello["modules"][:1], hello["modules"][1:]
    load(wire)
    with sys.modules["_fleetest_wire"].no_garbage() as look_again:  # what is imported stays
        start(control, hello, others, look_again)


def start(control, hello, modules, look_again):
    try:
        import pytest
    except ModuleNotFoundError as error:
        if error.name != "pytest":
            raise
        answer = {"t": "broken", "code": "framework_missing", "message": "", "detail": sys.executable}
        os.write(control, json.dumps(answer).encode() + b"\n")
        return
    if int(pytest.__version__.split(".")[0]) < 7:
        answer = {"t": "broken", "code": "framework_old", "message": pytest.__version__, "detail": sys.executable}
        os.write(control, json.dumps(answer).encode() + b"\n")
        return
    load(modules)
    sys.modules["_fleetest_zygote"].main(control, hello, look_again)


if __name__ == "__main__":
    boot()
