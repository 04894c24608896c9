"""A slot: collects the file it is told to, says what it found, runs what it is told to, one file after another.

Session fixtures live as long as the slot; everything narrower ends with the file. Each result is one write to
a socket that outlives this process, so nothing that was reported is lost when a test ends the process.
"""
import atexit
import contextlib
import fcntl
import os
import sys
import time
import traceback
from pathlib import Path

import pytest

from _fleetest_results import collect_result, names_of, result_of
from _fleetest_units import is_named
from _fleetest_wire import Lines, cut, no_garbage, send

HIGH_FD = 210  # out of the way of tests that close "all" descriptors


class Boundary(pytest.Item):
    """The item after the last of a file: it shares nothing but the session with the others."""

    def runtest(self):
        raise AssertionError("never runs")


class Slot:
    """State of one slot process."""

    def __init__(self, zygote, order, fds):
        self.session = zygote.session
        self.config = zygote.session.config
        self.units = zygote.units
        self.commands, self.results, self.stdio = [high(fd) for fd in fds]
        self.lines = Lines(self.commands)
        self.start_dir = os.getcwd()
        self.forked = False
        self.reports = []  # of the running case
        self.collect_reports = []  # of the running collection
        self.kinds = {}  # exception types by identity of their report
        self.deselected = 0
        self.prefix = getattr(self.config.option, "junitprefix", None)
        settle_in(self, zygote.hello, order)
        self.boundary = Boundary.from_parent(self.session, name="fleetest-boundary")

    # Hooks.

    def pytest_runtest_logreport(self, report):
        if report.outcome != "passed" or not hasattr(report, "context"):
            self.reports.append(report)

    def pytest_collectreport(self, report):
        if report.outcome != "passed":
            self.collect_reports.append(report)

    def pytest_exception_interact(self, call, report):
        if call.excinfo is not None:
            self.kinds[id(report)] = call.excinfo.typename

    def pytest_deselected(self, items):
        self.deselected += len(items)

    # One order.

    def serve(self):
        while True:
            order = self.lines.next()
            if order is None or order["t"] == "end":
                return
            if order["t"] == "yield":  # came when nothing was left
                continue
            with contextlib.suppress(OSError):
                os.chdir(self.start_dir)
            cases, errors = self.collect(self.units.get(order["unit"]), order["unit"])
            send(self.commands, {
                "t": "collected",
                "cases": [nodeid for nodeid, _ in cases],
                "errors": errors,
                "deselected": self.deselected,
            })
            chosen = self.lines.next()
            if chosen is None:
                return
            picks = range(len(cases)) if chosen["pick"] is None else chosen["pick"]
            self.run_cases(cases, list(picks), order["careful"])
            self.session.items = []
            send(self.commands, {"t": "done"})

    # Collecting.

    def collect(self, unit, key):
        """The cases of a unit: first what could not be collected, then the items, each with a unique id."""
        self.collect_reports, self.kinds, self.deselected = [], {}, 0
        trouble = None
        items = []
        if unit is None:
            trouble = trouble_of("NotCollected", "the file is not part of what pytest collects here")
        else:
            try:
                items = self.collect_items(unit)
            except BaseException as error:
                self.leave_if_forked()
                trouble = trouble_from(error)
        # Two collectors of one file (doctests and tests) may fail alike: that is one case, as in JUnit.
        gravest = {}
        for report in sorted(self.collect_reports, key=lambda report: report.outcome == "skipped"):
            gravest.setdefault(report.nodeid, report)
        found = list(gravest.items())
        if trouble is not None:
            found.insert(0, (key, trouble))
        errors = sum(getattr(case, "outcome", "failed") != "skipped" for _, case in found)
        found += [(item.nodeid, item) for item in items]
        return unique(found), errors

    def collect_items(self, unit):
        self.collect_reports += unit.reports
        session, config = self.session, self.config
        session._collection_cache = {}

        def perform_collect(*_arguments, **_options):
            items = session.items = []
            for node in self.fresh_nodes(unit):
                if isinstance(node, pytest.Item):
                    node.ihook.pytest_itemcollected(item=node)
                    items.append(node)
                else:
                    items.extend(session.genitems(node))
            if unit.selectors is not None:
                items[:] = [item for item in items if is_named(item.nodeid, unit.selectors)]
                if not items and not self.collect_reports:
                    raise pytest.UsageError("not found: %s" % ", ".join(unit.selectors))
            config.hook.pytest_collection_modifyitems(session=session, config=config, items=items)
            config.hook.pytest_collection_finish(session=session)
            session.testscollected = len(items)
            return items

        session.perform_collect = perform_collect
        with no_garbage():  # nearly all of what collection makes lives on
            config.hook.pytest_collection(session=session)
        return session.items

    def fresh_nodes(self, unit):
        """The unit's collectors; new ones if they were used before, for a node registers its fixtures once."""
        if unit.collected:
            for place, node in enumerate(unit.nodes):
                if isinstance(node, pytest.File):
                    made = node.parent.ihook.pytest_collect_file(file_path=node.path, parent=node.parent)
                    twins = [new for new in made if type(new) is type(node) and new.name == node.name]
                    unit.nodes[place] = twins[0] if twins else node
        unit.collected = True
        return unit.nodes

    # Running.

    def run_cases(self, cases, picks, careful):
        for place, index in enumerate(picks):
            if careful or place == 0:
                send(self.results, {"next": index})
            if careful and self.lines.next() is None:
                return
            # Said before the last case runs, so that what its module shares is taken down under its name.
            yielding = not careful and place > 0 and self.lines.waiting()
            rest = [] if yielding else picks[place + 1:place + 2]
            follower = next((case for _, case in (cases[i] for i in rest)), None)
            if not isinstance(follower, pytest.Item):
                follower = self.boundary
            result = self.run_case(cases[index], follower)
            result["case"] = index
            if not careful and rest:
                result["next"] = rest[0]
            send(self.results, result)
            if yielding:
                return

    def run_case(self, case, follower):
        nodeid, what = case
        began = time.time()
        if isinstance(what, pytest.Item):
            result = self.run_item(what, follower)
        elif isinstance(what, dict):
            result = {"outcome": "errored", "duration_us": 0, "failure": what}
        else:
            result = collect_result(what, self.kinds)
            nodeid = what.nodeid
        result["class"], result["name"] = names_of(nodeid, self.prefix)
        result["started_ms"] = int(began * 1000)
        return result

    def run_item(self, item, follower):
        self.reports = reports = []
        self.kinds = {}
        trouble = None
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=follower)
        except BaseException as error:
            trouble = self.recover(error, follower)
        if self.forked:
            # A copy that a test made of this process and did not end: the original goes on.
            os._exit(1 if any(report.failed for report in reports) else 0)
        self.unstop()
        if any(report.failed for report in reports) and heal_capture(self):
            self.tear_down(follower)
        result = result_of(reports, self.kinds)
        if trouble is not None:
            result.update(outcome="errored", failure=trouble)
        elif not reports:
            result.update(outcome="errored", failure=trouble_of("NoReport", "no plugin reported on this case"))
        file, line, _ = reports[0].location if reports else item.location
        result["file"] = file
        if line is not None:
            result["line"] = line + 1
        return result

    def recover(self, error, follower):
        """What pytest would end the whole session for: an interrupt, `pytest.exit`, a broken hook."""
        self.leave_if_forked()
        self.tear_down(follower)
        return trouble_from(error)

    def tear_down(self, follower):
        """Does again what pytest could not do, so that the next case starts from where it should."""
        with contextlib.suppress(BaseException):
            self.session._setupstate.teardown_exact(follower)

    def unstop(self):
        """A plugin may ask to stop the session; whether to stop is the coordinator's decision."""
        session = self.session
        if session.shouldstop or session.shouldfail:
            for name in ("shouldstop", "shouldfail"):
                setattr(session, "_" + name if hasattr(session, "_" + name) else name, False)

    def leave_if_forked(self):
        if self.forked:
            os._exit(1)

    def finish(self):
        """Tears session fixtures down; there is no case left that could carry an error of theirs."""
        try:
            with contextlib.suppress(OSError):
                os.chdir(self.start_dir)
            self.session._setupstate.teardown_exact(None)
        except BaseException:
            self.leave_if_forked()
            send(self.commands, {"t": "note", "text": "session fixtures failed on teardown:\n" + traceback.format_exc()})


def trouble_from(error):
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return trouble_of(type(error).__name__, text)


def trouble_of(kind, text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return {"kind": kind, "message": (lines or ["no message"])[-1][:1000], "detail": cut(text)}


def unique(cases):
    """Ids as keys: a collector that gives two items one id gets a number for the second."""
    seen = {}
    named = []
    for nodeid, case in cases:
        count = seen[nodeid] = seen.get(nodeid, 0) + 1
        named.append((nodeid if count == 1 else "%s#%d" % (nodeid, count), case))
    return named


# Settling in after the fork.


def high(fd):
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH_FD)
    os.close(fd)
    return moved


def settle_in(slot, hello, order):
    """Gives the process everything that must not be shared with its siblings."""
    config = slot.config
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    name = "gw%d" % (order["slot"] - 1)
    os.environ["PYTEST_XDIST_WORKER"] = name
    os.environ["PYTEST_XDIST_WORKER_COUNT"] = str(hello["slots"])
    os.environ["PYTEST_XDIST_TESTRUNUID"] = hello["run_uid"]
    config.workerinput = {
        "workerid": name,
        "workercount": hello["slots"],
        "testrunuid": hello["run_uid"],
        "mainargv": list(sys.argv),
    }
    config.workeroutput = {}
    own_streams(slot, config)
    own_temporary_directory(config, hello["scratch"], name, order["generation"])
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:  # Python's own generator is reseeded by the interpreter
        numpy_random.seed()
    if order["t"] == "fork":
        atexit._clear()  # what was registered before the fork belongs to the parent
    watch_forks(slot)
    config.pluginmanager.register(slot, "fleetest-slot")


def own_streams(slot, config):
    """Output outside of captures goes to the runner; captures get files of their own."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.stop_global_capturing()
    os.dup2(slot.stdio, 1)
    os.dup2(slot.stdio, 2)
    faulthandler = sys.modules.get("faulthandler")
    if faulthandler is not None and faulthandler.is_enabled():
        faulthandler.enable(file=slot.stdio)
    if capture is not None:
        capture.start_global_capturing()
        capture.suspend_global_capture()


def own_temporary_directory(config, scratch, name, generation):
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is None:
        return
    base = scratch
    if config.option.basetemp is not None:
        base = os.path.abspath(str(config.option.basetemp))
        os.makedirs(base, exist_ok=True)
    directory = Path(base, name if generation == 0 else "%s-%d" % (name, generation))
    config.option.basetemp = directory
    factory._given_basetemp = directory
    factory._basetemp = None


def watch_forks(slot):
    """A copy of this process must not speak in its name."""
    if not hasattr(os, "register_at_fork"):
        return

    def in_child():
        if not slot.forked:
            slot.forked = True
            for fd in (slot.commands, slot.results):
                with contextlib.suppress(OSError):
                    os.close(fd)

    os.register_at_fork(after_in_child=in_child)


def heal_capture(slot):
    """A test that closes the captured streams would break every later one. True if that was so."""
    capture = slot.config.pluginmanager.getplugin("capturemanager")
    streams = getattr(capture, "_global_capturing", None)
    parts = [getattr(streams, name, None) for name in ("in_", "out", "err")]
    files = [file for part in parts for file in [getattr(part, "tmpfile", None)] if file is not None]
    if all(is_open(file) for file in files):
        return False
    for file in files:  # before their descriptors have new owners
        with contextlib.suppress(OSError, ValueError):
            file.close()
    capture._global_capturing = None
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__
    os.dup2(slot.stdio, 1)
    os.dup2(slot.stdio, 2)
    capture.start_global_capturing()
    capture.suspend_global_capture()
    return True


def is_open(file):
    """Whether a captured stream still has its file; streams in memory have no descriptor to lose."""
    if getattr(file, "closed", False):
        return False
    try:
        os.fstat(file.fileno())
    except OSError as error:
        return error.errno is None
    except ValueError:
        return True
    return True


def run(zygote, order, fds):
    """Works until the runner hangs up."""
    slot = Slot(zygote, order, fds)
    slot.serve()
    slot.finish()
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()
