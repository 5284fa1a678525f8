"""Which tests: those that run the changed code, found by one run of the unchanged tests under coverage."""

import ast
import math
import os
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BUDGET = 120.0  # seconds of tests for one mutant, the quickest first

Reached = dict[str, dict[int, set[str]]]  # the tests by module and line


def enter_copy(room: str) -> None:
    """Gives a worker process a copy of the repository, in which it may change files."""
    copy = Path(tempfile.mkdtemp(dir=room)) / REPOSITORY.name
    shutil.copytree(REPOSITORY, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "runs"))
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    os.environ["PYTHONPATH"] = str(copy)  # for the processes that the worker and its tests start


class Contexts:
    """A pytest plugin that tells coverage which test is running, and keeps how long each takes.

    What a fixture of many tests runs, all of them reach, not only the first.
    """

    def __init__(self, meter: coverage.Coverage) -> None:
        self.meter, self.now = meter, ""
        self.items: list[pytest.Item] = []
        self.tests: dict[str, set[str]] = {}  # by context
        self.seconds: Counter[str] = Counter()

    def enter(self, context: str, tests: set[str]) -> None:
        self.now = context
        self.tests.setdefault(context, tests)
        self.meter.switch_context(context)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = session.items

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.enter(nodeid, {nodeid})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef) -> Iterator[None]:
        outer, name, place = self.now, fixturedef.argname, fixturedef.baseid
        if fixturedef.scope != "function":
            users = (i for i in self.items if name in getattr(i, "fixturenames", ()) and i.nodeid.startswith(place))
            self.enter(f"fixture {name} of {place}", {item.nodeid for item in users})
        try:
            return (yield)
        finally:
            self.enter(outer, set())


def measure(files: list[str]) -> tuple[Reached, Counter[str]]:
    """Runs test files: the tests that reach each line of each module, and the seconds that each test takes."""
    meter = coverage.Coverage(data_file=None, source=["genbench"], config_file=False)
    contexts = Contexts(meter)
    meter.start()
    code = pytest.main([*files, "-qq", "-p", "no:cacheprovider"], plugins=[contexts])
    meter.stop()
    if code:
        raise RuntimeError("the tests fail on the unchanged code")
    data = meter.get_data()
    reached: Reached = {}
    for file in data.measured_files():
        by_line = reached[Path(file).relative_to(Path.cwd()).as_posix()] = {}
        for line, names in data.contexts_by_lineno(file).items():
            by_line[line] = {test for name in names for test in contexts.tests.get(name, ())}
    return reached, contexts.seconds


def merge(parts: list[Reached]) -> Reached:
    """What the tests of several measurements reach."""
    merged: Reached = defaultdict(lambda: defaultdict(set))
    for part in parts:
        for file, by_line in part.items():
            for line, tests in by_line.items():
                merged[file][line] |= tests
    return merged


def lines_of(tree: ast.Module, line: int) -> set[int]:
    """The lines of which a test runs some if it runs the code at `line`: those of its statement.

    What runs at import is reached by whoever uses what it makes: of a function's head, its body; else all functions.
    """

    def first(node: ast.stmt) -> int:
        return min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])

    around = [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and first(n) <= line <= (n.end_lineno or 0)]
    inner = around[-1]  # walked by depth
    if isinstance(inner, ast.FunctionDef):
        return lines_in(inner)
    if not any(isinstance(n, ast.FunctionDef) for n in around):
        return {at for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) for at in lines_in(n)}
    body = getattr(inner, "body", None)  # of an `if` or a `for`, it is the head that runs
    return {line, *range(inner.lineno, body[0].lineno if body else (inner.end_lineno or 0) + 1)}


def lines_in(function: ast.FunctionDef) -> set[int]:
    return set(range(function.body[0].lineno, (function.end_lineno or 0) + 1))


def pick(tests: set[str], seconds: Counter[str]) -> list[str]:
    """The tests for a mutant within BUDGET: the quickest first, those of one file and one order of magnitude together.

    Together, since a fixture of a file is made again whenever the tests return to it.
    """
    left, picked = BUDGET, []
    for test in sorted(tests, key=lambda test: (math.ceil(math.log10(seconds[test] + 0.01)), test)):
        left -= seconds[test]
        if left >= 0:
            picked.append(test)
    return picked
