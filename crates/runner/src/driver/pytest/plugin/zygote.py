"""The warm process: pytest configured as the project wants it, the units listed, slots forked on request.

It imports conftests and plugins but no test module, keeps no threads and runs no test itself.
"""
import atexit
import contextlib
import gc
import os
import select
import signal
import socket
import sys
import traceback
import warnings

import pytest

import _fleetest_slot as slot
from _fleetest_units import Discovery, DiscoveryFailed
from _fleetest_wire import send

# Options that would distribute, stop, reorder by memory, or write files of their own. Slots, retries and
# reports are the runner's work.
NEUTRAL = (
    ("numprocesses", "-n", None),
    ("maxprocesses", "--maxprocesses", None),
    ("dist", "--dist", "no"),
    ("distload", "-d", False),
    ("tx", "--tx", []),
    ("looponfail", "-f", False),
    ("xmlpath", "--junitxml", None),
    ("maxfail", "-x/--maxfail", 0),
    ("lf", "--lf", False),
    ("failedfirst", "--ff", False),
    ("newfirst", "--nf", False),
    ("stepwise", "--stepwise", False),
    ("stepwise_skip", "--stepwise-skip", False),
    ("usepdb", "--pdb", False),
    ("trace", "--trace", False),
    ("cov_source", "--cov", []),
    ("cov_fail_under", "--cov-fail-under", None),
    ("no_cov", "--cov", True),
)
# Plugins that write memory of this run into the project's cache when the session ends.
MEMORIES = ("lfplugin", "nfplugin", "stepwiseplugin")
# What the terminal would print is not read by anyone; its set-up stays, because plugins look for it.
TERMINAL_HOOKS = (
    "pytest_runtest_logstart",
    "pytest_runtest_logreport",
    "pytest_runtest_logfinish",
    "pytest_collection",
    "pytest_collectreport",
    "pytest_collection_finish",
    "pytest_deselected",
    "pytest_warning_recorded",
    "pytest_sessionfinish",
)

# When garbage is looked for, unless the project has set that: what newer Pythons (from 3.13) do, in older ones. Between
# the two lies a tenth of the time of a suite that makes many objects.
OLD_THRESHOLD = (700, 10, 10)
NEW_THRESHOLD = (2000, 10, 10)


def neutralise(options, notes):
    """Sets the options that would get in the runner's way, and notes those that the project had set."""
    for name, flag, neutral in NEUTRAL:
        if hasattr(options, name):
            value = getattr(options, name)
            if value and value != neutral:
                notes.setdefault(flag, "`%s` of the project's pytest options is ignored here" % flag)
            setattr(options, name, neutral)


class Options:
    """Neutralises options as early as plugins read them, and again once everything is parsed."""

    def __init__(self):
        self.notes = {}

    @pytest.hookimpl(hookwrapper=True)
    def pytest_load_initial_conftests(self, early_config):
        neutralise(early_config.known_args_namespace, self.notes)
        yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_cmdline_main(self, config):
        neutralise(config.option, self.notes)
        yield


class Zygote:
    """Takes the place of pytest's own main loop."""

    def __init__(self, control, hello, options, look_again):
        self.control = control
        self.hello = hello
        self.options = options
        self.children = set()
        self.answered = False
        self.look_again = look_again

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config):
        session = pytest.Session.from_config(config)
        session.exitstatus = pytest.ExitCode.OK
        config._do_configure()
        config.hook.pytest_sessionstart(session=session)
        quieten(config)
        try:
            units = Discovery(session, self.hello["preload"]).run()
        except DiscoveryFailed as error:
            self.answer({"t": "broken", "code": "discovery", "message": "", "detail": str(error)})
            return pytest.ExitCode.INTERRUPTED
        self.units = {unit.key: unit for unit in units}
        self.session = session
        self.answer({
            "t": "ready",
            "units": list(self.units),
            "notes": list(self.options.notes.values()),
            "pytest": pytest.__version__,
            "python": sys.version.split()[0],
        })
        self.serve()
        finish(session)
        return pytest.ExitCode.OK

    def answer(self, message):
        self.answered = True
        send(self.control, message)

    # The loop.

    def serve(self):
        """Waits for orders and for the ends of slots until the runner hangs up."""
        gc.freeze()  # what is warm stays shared: collections in slots do not touch, and copy, these pages
        self.look_again()
        if gc.get_threshold() == OLD_THRESHOLD:
            gc.set_threshold(*NEW_THRESHOLD)
        self.orders = socket.socket(fileno=self.control)
        with wake_on_child() as wake:
            poller = select.poll()
            poller.register(self.control, select.POLLIN)
            poller.register(wake, select.POLLIN)
            while True:
                ready = [fd for fd, _ in poller.poll()]
                if wake in ready:
                    drain(wake)
                    self.reap()
                if self.control in ready and not self.obey():
                    break
        self.orders.detach()
        for pid in self.children:
            kill_group(pid)

    def obey(self):
        """Carries out one order; False at the end."""
        order, fds = receive(self.orders)
        if order is None or order["t"] == "end":
            return False
        if order["t"] == "become":
            slot.run(self, order, fds)
            return False
        try:
            pid = fork()
        except OSError as error:
            send(self.control, {"t": "fork_failed", "message": str(error)})
        else:
            if pid == 0:
                self.child(order, fds)
            with contextlib.suppress(OSError):
                os.setpgid(pid, pid)
            self.children.add(pid)
            send(self.control, {"t": "forked", "pid": pid})
        for fd in fds:
            os.close(fd)
        return True

    def child(self, order, fds):
        """Never returns: the frames below belong to the parent."""
        code = 71
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, self.previous_handler or signal.SIG_DFL)
            os.close(self.control)
            self.orders.detach()
            slot.run(self, order, fds)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def reap(self):
        """Reports slots that ended, and ends what they left behind while their process id is still theirs."""
        for pid in list(self.children):
            if hasattr(os, "waitid"):
                if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                    continue
                kill_group(pid)
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                self.children.discard(pid)
                signalled = os.WIFSIGNALED(status)
                number = os.WTERMSIG(status) if signalled else os.WEXITSTATUS(status)
                send(self.control, {"t": "exit", "pid": pid, "signalled": signalled, "number": number})


Zygote.previous_handler = None


@contextlib.contextmanager
def wake_on_child():
    """A descriptor that becomes readable when a child ends."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    Zygote.previous_handler = signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    try:
        yield read_end
    finally:
        signal.set_wakeup_fd(-1)
        os.close(read_end)
        os.close(write_end)


def drain(fd):
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 4096):
            pass


def kill_group(pid):
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def fork():
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # A plugin's own thread does not follow into the slot; Python warns of that in every fork.
        warnings.simplefilter("ignore")
        return os.fork()


def receive(orders):
    """One order and the descriptors that came with it."""
    import array
    import json

    fds = array.array("i")
    space = socket.CMSG_LEN(8 * fds.itemsize)
    raw, ancillary, _, _ = orders.recvmsg(4096, space)
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    while raw and not raw.endswith(b"\n"):
        more = orders.recv(4096)
        raw = raw + more if more else b""
    return (json.loads(raw) if raw else None), list(fds)


def quieten(config):
    """Takes out what would only cost time or leave traces in the project."""
    manager = config.pluginmanager
    for name in MEMORIES:
        plugin = manager.get_plugin(name)
        if plugin is not None:
            manager.unregister(plugin)
    reporter = manager.get_plugin("terminalreporter")
    for name in TERMINAL_HOOKS:
        with contextlib.suppress(AttributeError, ValueError):
            getattr(manager.hook, name)._remove_plugin(reporter)


def finish(session):
    """The project's own end of session, once, when no slot is left."""
    try:
        os.chdir(session.startpath)
        session.config.hook.pytest_sessionfinish(session=session, exitstatus=session.exitstatus)
        session.config._ensure_unconfigure()
    except Exception:
        traceback.print_exc()


def main(control, hello, look_again):
    options = Options()
    zygote = Zygote(control, hello, options, look_again)
    arguments = hello["args"]
    sys.argv = ["pytest"] + arguments
    status = None
    trouble = ""
    try:
        status = pytest.main(arguments, plugins=[options, zygote])
    except BaseException:
        trouble = traceback.format_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    if not zygote.answered:
        message = "" if status is None else "pytest ended with status %d" % int(status)
        zygote.answer({"t": "broken", "code": "setup", "message": message, "detail": trouble})
    # Taking a whole interpreter apart costs more than a small run: only what was asked for is done.
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)
