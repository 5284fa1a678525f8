"""Values without their intervals: the same, known as what they are, and never in the place of one that has its own."""

from dataclasses import replace

import pytest

from genbench import catalog, datasets
from genbench import evaluate as from_python
from genbench.boards.columns import boards
from genbench.boards.compare import compare, table
from genbench.boards.latex import latex
from genbench.boards.markdown import markdown
from genbench.boards.publishing import publish
from genbench.boards.ranks import rank
from genbench.boards.seeds import of_seeds
from genbench.boards.tables import compact
from genbench.boards.terminal import terminal
from genbench.boards.web import html
from genbench.errors import GenbenchError
from genbench.files import sha256_file
from genbench.metrics import NOT_ASKED
from genbench.models.adapters import parse
from genbench.numerics.points import Points
from genbench.run.evaluate import evaluate
from genbench.run.plan import Plan, plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import Run, in_rows
from genbench.studies.verification import SAME, verify
from pointsets import METRICS, gaussians, measured

SPARING = [name for name, entry in catalog.entries("metrics").items() if entry.spares]
ASKED = ("fd", "precision", "copies")


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def planned(digits, checkpoint, intervals: bool) -> Plan:
    suite = Suite("digits", ASKED, "digits-cnn", protocol=Protocol(n_samples=60, block_size=20))
    return plan(suite, digits, [parse(f"a={checkpoint}", digits)], intervals=intervals)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, digits, pixels_checkpoint) -> dict[str, Run]:
    """One model, measured with intervals, without, and first without and then with them."""
    found = {}
    for name, calls in {"with": (True,), "without": (False,), "both": (False, True)}.items():
        found[name] = Run(tmp_path_factory.mktemp(name))
        for intervals in calls:
            outcome = evaluate(planned(digits, pixels_checkpoint, intervals), found[name], "cpu", pictures=False)
            assert outcome.failed == 0
            again = name == "both" and intervals
            assert (outcome.measured, outcome.kept) == ((2, 1) if again else (3, 0)), "what has none to spare is kept"
    return found


@pytest.mark.parametrize("name", [name for name in METRICS if name in SPARING])
def test_the_value_is_the_same_and_stands_alone(name):
    whole, alone = measured(name, gaussians()), measured(name, gaussians(), intervals=False)
    assert whole.keys() == alone.keys()
    for output, found in alone.items():
        assert found.value == pytest.approx(whole[output].value, rel=1e-13 if name == "vendi" else 0, abs=0)
        assert (found.stderr, found.ci95, found.shared) == (None, None, ())
        assert found.ci_method.startswith(NOT_ASKED)
        assert whole[output].ci95 is not None


@pytest.mark.parametrize("name", ["precision-recall", "density-coverage", "clipped-density-coverage"])
def test_no_groups_and_no_halves_are_made(name):
    def parted(intervals: bool) -> int:
        asked = catalog.find("metrics", name).constants["NEEDS"]
        x, y = (Points(gaussians()[need]) for need in ("sample_features", "train_features"))
        catalog.load("metrics", name).compute(**dict(zip(asked, (x, y), strict=True)), intervals=intervals)
        return sum(key[0] == "pieces" for key in x._own if isinstance(key, tuple))

    assert parted(True) > 0
    assert parted(False) == 0


def test_a_record_says_so_and_has_another_identity(runs, digits, pixels_checkpoint):
    todo = {intervals: planned(digits, pixels_checkpoint, intervals) for intervals in (True, False)}
    cells = {key: {cell.output: cell.id for cell in one.cells(one.sources[0])} for key, one in todo.items()}
    assert cells[True]["copies"] == cells[False]["copies"]
    assert cells[True]["fd"] != cells[False]["fd"]
    records = {r.metric["name"]: r for r in runs["without"].records()}
    for name in ("fd[digits-cnn]", "precision[digits-cnn]"):
        record = records[name]
        assert record.metric["intervals"] is False
        assert record.alone
        assert (record.stderr, record.ci95, record.ci_method) == (None, None, NOT_ASKED)
        assert record.half_width is None
    assert "intervals" not in records["copies"].metric
    assert records["copies"].ci95 is not None


def test_asked_for_later_they_are_measured_and_stand_in_the_column(runs):
    assert len(runs["both"].records()) == len(runs["with"].records()) + 2
    shown = {r.metric["name"]: r for r in runs["with"].records()}
    (board,) = boards(list(in_rows([runs["both"]])))
    assert len(board.columns) == len(shown), "one column for both"
    for column in board.columns:
        record = column.records["a"]
        assert not record.alone
        assert (record.value, record.ci95) == (shown[column.name].value, shown[column.name].ci95)


def test_every_page_says_that_there_is_no_interval(runs):
    found = boards(list(in_rows([runs["without"]])))
    rank(found, [runs["without"]])
    for page in (markdown(found), terminal(found, 200), html(found, [runs["without"]]), latex(found)):
        assert page.count("no interval") >= 2
    (record,) = [r for r in in_rows([runs["without"]]) if r.metric["name"] == "fd[digits-cnn]"]
    assert compact(record).endswith(" (no interval)")
    assert "±" not in compact(record)
    assert all(column.standing is None for column in found[0].columns if column.any_record.alone)


def test_a_comparison_says_that_it_has_none(runs):
    found = compare(str(runs["with"].folder), str(runs["without"].folder))
    (fd,) = [d for d in found.differences if d.metric == "fd[digits-cnn]"]
    assert fd.difference == 0
    assert fd.ci95 is None
    assert fd.p is None
    assert "--no-intervals" in fd.method
    assert "(no interval)" in table(found.differences)


def test_a_board_takes_no_value_without_its_interval(runs, tmp_path):
    with pytest.raises(GenbenchError, match="2 values were measured with --no-intervals"):
        publish([runs["without"]], tmp_path / "page")
    assert not (tmp_path / "page").exists()
    publish([runs["both"]], tmp_path / "page")
    assert not any(record.alone for record in Run(tmp_path / "page").records())


def test_a_row_of_several_seeds_has_no_interval_where_one_of_its_values_has_none(runs):
    (fd,) = [r for r in in_rows([runs["with"]]) if r.metric["name"] == "fd[digits-cnn]"]
    whole = [replace(fd, value=float(i), arrays={}) for i in range(3)]
    alone = replace(whole[0], stderr=None, ci95=None, metric={**fd.metric, "intervals": False})
    row = of_seeds("s", ["k0", "k1", "k2"], [alone, *whole[1:]], [], (None, None))
    assert (row.value, row.stderr, row.ci95, row.alone) == (1.0, None, None, True)
    assert of_seeds("s", ["k0", "k1", "k2"], whole, [], (None, None)).ci95 is not None


def test_it_is_verified_as_it_was_measured(runs, digits, pixels_checkpoint, tmp_path):
    records = list(in_rows([runs["both"]]))
    known = {sha256_file(pixels_checkpoint): pixels_checkpoint}
    verdicts = list(verify(records, Run(tmp_path / "again"), digits, known))
    assert len(verdicts) == len(records) == 5
    assert {verdict.verdict for verdict in verdicts} == {SAME}, [verdict.why for verdict in verdicts]


def test_from_python_and_from_the_command_line(digits, pixels_checkpoint, cli, tmp_path):
    records = from_python(str(pixels_checkpoint), digits, ["fd"], samples=60, intervals=False)
    assert [record.alone for record in records] == [True]
    call = ["evaluate", str(pixels_checkpoint), "--metrics", "fd", "--samples", "60", "--start-method", "none", "-o"]
    code, out, _ = cli(*call, str(tmp_path / "run"), "--no-intervals")
    assert code == 0
    assert "(no interval)" in out
    code, out, _ = cli(*call, str(tmp_path / "run"))
    assert code == 0
    assert "(no interval)" not in out
