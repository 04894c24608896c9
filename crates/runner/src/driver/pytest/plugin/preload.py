"""Imports, once and before the forks, what test files import first.

Plain pytest has imported every test file before the first test runs, so a test may use a module that only
another file imports. A slot imports just the files it leases; what those files import at their very top is
therefore loaded here, where it also costs one import instead of one per slot. Test files themselves are
never imported.

Only imports above any other statement count, and a package that any file imports after other statements is
left alone, unless a conftest has loaded it: those statements may set up what the import depends on.
"""
import ast
import os
import re
import sys
import time

BUDGET_S = 2.0
TOP_LEVEL_IMPORT = re.compile(r"^(?:import|from)[ \t]+([A-Za-z_][\w.]*)", re.MULTILINE)
FIRST_OTHER = re.compile(r"^(?!import[ \t]|from[ \t]|#|[ \t)\r\n]|$)", re.MULTILINE)
DOCSTRING = re.compile(r"""\s*(?:\#[^\n]*\n\s*)*[rR]?(\"\"\"|''')(?:.|\n)*?\1""")


def preload(paths):
    """Imports for these test files, in their order, within the budget."""
    sources = [source for source in map(read, paths) if source is not None]
    heads = [split(source) for source in sources]
    late = set().union(*[late_names(rest) for _, rest in heads])
    hidden = local_names(paths) | {name for name in late if name not in sys.modules}
    until = time.monotonic() + BUDGET_S
    done = set()
    for head, _ in heads:
        for statement in imports_of(head):
            text = ast.dump(statement)
            if text in done or roots_of(statement) & hidden:
                continue
            done.add(text)
            if time.monotonic() > until:
                return
            run(statement)


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return None


def split(source):
    """The imports at the top, and the rest."""
    docstring = DOCSTRING.match(source)
    start = docstring.end() if docstring else 0
    other = FIRST_OTHER.search(source, source.find("\n", start) + 1 if docstring else 0)
    end = other.start() if other else len(source)
    return source[start:end], source[end:]


def late_names(rest):
    """Packages imported below other statements; a whole file is parsed only if it looks as if it had some."""
    if not TOP_LEVEL_IMPORT.search(rest):
        return set()
    return set().union(*[roots_of(statement) for statement in imports_of(rest)])


def imports_of(head):
    try:
        tree = ast.parse(head)
    except (SyntaxError, ValueError):
        return
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield ast.Import(names=[ast.alias(name=alias.name, asname=None)])
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module != "__future__":
            if all(alias.name != "*" for alias in node.names):
                names = [ast.alias(name=alias.name, asname=None) for alias in node.names]
                yield ast.ImportFrom(module=node.module, names=names, level=0)


def roots_of(statement):
    if isinstance(statement, ast.ImportFrom):
        return {statement.module.split(".")[0]}
    return {alias.name.split(".")[0] for alias in statement.names}


def local_names(paths):
    """Names that mean something else once the test files' own directories are on the path."""
    names = set()
    for folder in {base_of(os.path.dirname(path)) for path in paths} - set(sys.path):
        try:
            names.update(entry.split(".")[0] for entry in os.listdir(folder))
        except OSError:
            pass
    return names


def base_of(folder):
    """The directory above the outermost package, which pytest puts on the path."""
    while os.path.exists(os.path.join(folder, "__init__.py")) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return folder


def run(statement):
    """A statement that fails here will fail, and be reported, where the file is collected."""
    module = ast.fix_missing_locations(ast.Module(body=[statement], type_ignores=[]))
    try:
        exec(compile(module, "<fleetest preload>", "exec"), {"__name__": "_fleetest_preload"})
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
