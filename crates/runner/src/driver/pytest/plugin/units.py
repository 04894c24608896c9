"""Discovery: the collection tree down to its files, without importing a test module."""
import contextlib
import importlib.util
import os

import pytest
from _pytest.runner import collect_one_node

from _fleetest_preload import preload


class Unit:
    """One file (or directory that could not be collected) and what collection knows of it so far."""

    def __init__(self, key):
        self.key = key
        self.nodes = []  # collectors still to be asked, in order
        self.reports = []  # collection reports that are not "passed"
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

    def __init__(self, session, warm):
        self.session = session
        self.config = session.config
        self.warm = warm  # whether to import what the files import
        self.units = {}
        self.reports = []

    # A hook: registered as a plugin while it walks.

    def pytest_collectreport(self, report):
        if not report.passed:
            self.reports.append(report)

    def run(self):
        """Fills `units` in pytest's own order."""
        named = [arg for arg in self.config.args if "::" in arg]
        self.config.pluginmanager.register(self, "fleetest-discovery")
        try:
            self._walk(named)
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
        collect = session.perform_collect

        def perform_collect(*arguments, **options):
            items = collect(*arguments, **options)
            if self.warm:  # under the warning filters that hold while files are collected
                nodes = [node for unit in self.units.values() for node in unit.nodes]
                preload([str(node.path) for node in nodes if isinstance(node, pytest.Module)])
            return items

        session.perform_collect = perform_collect
        try:
            config.hook.pytest_collection(session=session)
        finally:
            del session.genitems, session.perform_collect
            config.hook, config.args = original, arguments
            hooks.quiet = False
            session.items = []
        self._sort_reports()
        if named:
            self._apply_names(named, [arg for arg in arguments if "::" not in arg])

    def _files(self, node):
        # Before pytest 8 a package was a kind of file.
        if isinstance(node, (pytest.Item, pytest.File)) and not isinstance(node, pytest.Package):
            self._add(node)
            return
        report, duplicate = self._collect_one(node)
        if report.passed:
            for child in report.result:
                yield from self._files(child)
        if not duplicate:
            node.ihook.pytest_collectreport(report=report)

    def _collect_one(self, node):
        if hasattr(self.session, "_collect_one_node"):
            return self.session._collect_one_node(node, True)
        return collect_one_node(node), False

    def _add(self, node):
        unit = self.unit(node.nodeid.partition("::")[0])
        # A file named twice on the command line still has only one set of case ids.
        twin = (type(node), node.name)
        if all((type(other), other.name) != twin for other in unit.nodes):
            unit.nodes.append(node)

    def _sort_reports(self):
        failed = [report for report in self.reports if report.failed]
        if failed:
            raise DiscoveryFailed("\n\n".join("%s:\n%s" % (r.nodeid or "the start", r.longrepr) for r in failed))
        for report in self.reports:
            self.unit(report.nodeid.partition("::")[0]).reports.append(report)

    def _apply_names(self, named, plain):
        """Restricts units to the node ids asked for, unless another argument covers the whole file."""
        whole = [self._place(arg) for arg in plain]
        wanted = {}
        for arg in named:
            path, _, names = arg.partition("::")
            wanted.setdefault(self._place(path), []).append(names)
        for unit in self.units.values():
            path = str(unit.nodes[0].path) if unit.nodes else None
            covered = any(path == top or str(path).startswith(top.rstrip(os.sep) + os.sep) for top in whole)
            if path in wanted and not covered:
                unit.selectors = ["%s::%s" % (unit.key, names) for names in wanted[path]]

    def _place(self, argument):
        """The absolute path that an argument means; with `--pyargs` it may be a module's name."""
        if self.config.option.pyargs:
            with contextlib.suppress(ImportError, AttributeError, ValueError):
                spec = importlib.util.find_spec(argument)
                if spec is not None and spec.origin is not None:
                    folder = os.path.dirname(spec.origin)
                    return folder if spec.submodule_search_locations else spec.origin
        return os.path.abspath(os.path.join(str(self.config.invocation_params.dir), argument))


def path_part(argument):
    return argument.partition("::")[0] if "::" in argument else argument


def is_named(nodeid, selectors):
    """Whether a node id, or a class or function that it belongs to, was asked for."""
    return any(
        nodeid == name or nodeid.startswith(name + "::") or ("[" not in name and nodeid.startswith(name + "["))
        for name in selectors
    )
