"""Discovery: the collection tree down to its files, without importing a test module."""
import os

import pytest


class Unit:
    """One file (or directory that could not be collected) and what collection knows of it so far."""

    def __init__(self, key):
        self.key = key
        self.nodes = []  # collectors still to be asked, in order
        self.items = None  # the items, where everything had to be collected at once
        self.reports = []  # collection reports that are not "passed"
        self.deselected = 0
        self.selectors = None  # node ids asked for by name, or None for the whole file
        self.collected = False


class DiscoveryFailed(Exception):
    """Something below the start directories could not be collected; its text is pytest's."""


class QuietHooks:
    """The hook relay without the hooks that expect a list of items, for as long as `quiet` is set.

    Nodes keep a reference to the relay, so it must go on working after discovery.
    """

    silent = ("pytest_collection_modifyitems", "pytest_collection_finish")

    def __init__(self, hooks):
        self._hooks = hooks
        self.quiet = True

    def __getattr__(self, name):
        if name in QuietHooks.silent and self.quiet:
            return lambda **_arguments: None
        return getattr(self._hooks, name)


class Discovery:
    """Walks the tree once, through the project's own hooks."""

    def __init__(self, session):
        self.session = session
        self.config = session.config
        self.units = {}
        self.reports = []
        self.deselected = []

    # Hooks: registered as a plugin while it walks.

    def pytest_collectreport(self, report):
        if not report.passed:
            self.reports.append(report)

    def pytest_deselected(self, items):
        self.deselected.extend(item.nodeid for item in items)

    def run(self):
        """Fills `units` in pytest's own order."""
        lazy = hasattr(pytest, "Directory") and hasattr(self.session, "_collect_one_node")
        named = [arg for arg in self.config.args if "::" in arg]
        if named and self.config.option.pyargs:
            lazy = False  # only a full collection can resolve names inside module arguments
        self.config.pluginmanager.register(self, "fleetest-discovery")
        try:
            if lazy:
                self._walk(named)
            else:
                self._collect_everything()
        finally:
            self.config.pluginmanager.unregister(self)
        return list(self.units.values())

    def unit(self, key):
        return self.units.setdefault(key, Unit(key))

    def _walk(self, named):
        session, config = self.session, self.config
        original, arguments = config.hook, config.args
        config.hook = hooks = QuietHooks(original)
        config.args = list(dict.fromkeys(path_part(arg) for arg in arguments))
        session.genitems = self._files
        try:
            config.hook.pytest_collection(session=session)
        finally:
            del session.genitems
            config.hook, config.args = original, arguments
            hooks.quiet = False
            session.items = []
        self._sort_reports(fatal=True)
        if named:
            self._apply_names(named, [arg for arg in arguments if "::" not in arg])

    def _files(self, node):
        if isinstance(node, (pytest.Item, pytest.File)):
            self._add(node)
            return
        report, duplicate = self.session._collect_one_node(node, True)
        if report.passed:
            for child in report.result:
                yield from self._files(child)
        if not duplicate:
            node.ihook.pytest_collectreport(report=report)

    def _add(self, node):
        unit = self.unit(node.nodeid.partition("::")[0])
        # A file named twice on the command line still has only one set of case ids.
        twin = (type(node), node.name)
        if all((type(other), other.name) != twin for other in unit.nodes):
            unit.nodes.append(node)

    def _sort_reports(self, fatal):
        failed = [report for report in self.reports if report.failed]
        if failed and fatal:
            raise DiscoveryFailed("\n\n".join("%s:\n%s" % (r.nodeid, r.longrepr) for r in failed))
        for report in self.reports:
            self.unit(report.nodeid.partition("::")[0]).reports.append(report)

    def _apply_names(self, named, plain):
        """Restricts units to the node ids asked for, unless another argument covers the whole file."""
        start = str(self.config.invocation_params.dir)
        whole = [os.path.abspath(os.path.join(start, arg)) for arg in plain]
        wanted = {}
        for arg in named:
            path, _, names = arg.partition("::")
            wanted.setdefault(os.path.abspath(os.path.join(start, path)), []).append(names)
        for unit in self.units.values():
            path = str(unit.nodes[0].path) if unit.nodes else None
            covered = any(path == top or str(path).startswith(top.rstrip(os.sep) + os.sep) for top in whole)
            if path in wanted and not covered:
                unit.selectors = ["%s::%s" % (unit.key, names) for names in wanted[path]]

    def _collect_everything(self):
        """pytest 7 imports a package's modules while it walks: then the items are taken as they are."""
        self.config.hook.pytest_collection(session=self.session)
        self._sort_reports(fatal=False)
        for item in self.session.items:
            unit = self.unit(item.nodeid.partition("::")[0])
            unit.items = (unit.items or []) + [item]
        for nodeid in self.deselected:
            key = nodeid.partition("::")[0]
            if key in self.units:
                self.units[key].deselected += 1


def path_part(argument):
    return argument.partition("::")[0] if "::" in argument else argument


def is_named(nodeid, selectors):
    """Whether a node id, or a class or function that it belongs to, was asked for."""
    return any(
        nodeid == name or nodeid.startswith(name + "::") or ("[" not in name and nodeid.startswith(name + "["))
        for name in selectors
    )
