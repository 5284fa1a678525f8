"""LaTeX: every row has the cells that its columns need, and text of somebody else is text."""

import re

import pytest

from genbench.boards.columns import boards
from genbench.boards.latex import SPECIAL, escaped, latex
from genbench.boards.ranks import rank


def cells(line):
    """How many columns a row fills."""
    line = re.sub(r"\\[&%$#_{}]", "", line.removesuffix(r" \\"))
    wide = [int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
    return line.count("&") + 1 + sum(wide)


def rows(text):
    """{model: row} of all tables."""
    found = [line for line in text.splitlines() if line.endswith(r" \\") and not line.startswith("model &")]
    return {line.partition(" & ")[0]: line for line in found}


@pytest.fixture
def mixed(record, missing):
    """Kinds, sizes and gaps of all sorts: in a column of seven metrics, in two tables."""
    estimate = dict(kind="estimate", card={"unit": "share", "direction": "higher"})
    return [
        record("real", family="reference", value=0.5),
        record("a", value=1.0),
        record("b_1", value=0.9, kind="upper_bound"),
        missing("c", why="needs log_prob"),
        record("a", "tiny", 1.234e-12, 3.4e-14, **estimate),
        record("c", "tiny", 2e-12, 3.4e-14, **estimate),
        record("a", "huge", 3.25e6, 8.1e5, **estimate, details={"flagged": True}),
        record("b_1", "huge", None, **estimate),
        record("a", "alone", 8.0, **estimate, ci95=None),
        *(record("a", f"more-{i}", 0.5, 0.01, **estimate) for i in range(3)),
        record("a", "sideless", 1.0, 0.1, "estimate", {"direction": "none"}),
    ]


def test_every_row_fills_the_columns_of_its_table(mixed):
    tables = latex(boards(mixed)).split("\\begin{table}")[1:]
    assert len(tables) == 2
    for table in tables:
        columns = re.search(r"\\begin\{tabular\}\{(.*)\}", table)[1]
        n = len(re.findall("[lr]", columns.replace("@{ }", "")))
        lines = [line for line in table.splitlines() if line.endswith(r" \\")]
        assert {cells(line) for line in lines} == {n}
        for open_, close in ("{}", ("\\(", "\\)")):
            assert table.count(open_) == table.count(close)
        assert [table.count(f"\\{rule}rule") for rule in ("top", "bottom")] == [1, 1]


def test_values_have_sign_number_and_interval_below_each_other(mixed):
    found = latex(boards(mixed))
    first = rows(found.split("\\begin{table}")[1])
    assert first["a"].startswith(r"a & \(=\) & \(1.000\) & \(\pm 0.020\) &")
    assert first[r"b\_1"].startswith(r"b\_1 & \(\le\) & \(\mathbf{0.900}\) & \(\pm 0.020\) &")
    assert r"\multicolumn{3}{c}{--}" in rows(found)["c"]
    assert r"& & \((1.234\) & \(\pm 0.034)\times 10^{-12}\)" in found, "one power of ten for both"
    assert r"& & \(\mathbf{3{,}250{,}000}\) & \(\pm 810{,}000^\dagger\)" in found
    assert r"& & \multicolumn{2}{l}{not finite}" in found
    assert r"& & \(\mathbf{8}\) &" in found


def test_the_best_is_bold_the_reference_never_and_no_side_has_none(mixed):
    found = rows(latex(boards(mixed)))
    assert r"\mathbf" not in found["real"]
    sideless = [record for record in mixed if record.metric["name"] == "sideless"]
    assert r"\mathbf" not in latex(boards(sideless))
    ties = [mixed[1], *(type(mixed[1])(**{**vars(mixed[1]), "model": {**mixed[1].model, "name": "twin"}}) for _ in "1")]
    assert latex(boards(ties)).count(r"\mathbf") == 2


def test_where_there_are_ranks_all_that_may_be_the_best_are_bold(record):
    """Standard errors of 0.02 tell 2 from 1, and not 1.01."""
    found = boards([record(m, value=v, stderr=0.02) for m, v in {"a": 1.0, "b": 1.01, "c": 2.0}.items()])
    assert "even where others cannot be told from it" in latex(found)
    rank(found, [])
    page = latex(found)
    assert "bold: those that may be the best" in page
    assert ["mathbf" in rows(page)[m] for m in "abc"] == [True, True, False]


def test_real_data_stand_above_a_rule(mixed):
    lines = latex(boards(mixed)).splitlines()
    at = [lines[i - 1].split(" & ")[0] for i, line in enumerate(lines) if line == r"\midrule"]
    assert at == ["real"]


def test_estimates_alone_need_no_sign(record):
    alone = [record("a", "fd", 1.0, kind="estimate"), record("b", "fd", 2.0, kind="estimate")]
    assert r"\(\sim\) &" not in latex(boards(alone))
    assert r"\(\sim\) &" in latex(boards([*alone, record("c", "fd", 3.0)]))


@pytest.mark.parametrize("name", ["100% & $x_1^2$ #~", "\\input{secret}", "a{b}c", "line\nbreak", "\\\\ \\hline"])
def test_a_name_is_text(record, name):
    """No character keeps a meaning of LaTeX's: each stands as its escape, and nothing else has a backslash."""
    text = escaped(name)
    for escape in sorted(SPECIAL.values(), key=len, reverse=True):
        text = text.replace(escape, "")
    assert not set(text) & set("\\&%$#_{}~^\n")
    table = latex(boards([record(name)]))
    assert escaped(name) in table
    assert {cells(line) for line in table.splitlines() if line.endswith(r" \\")} == {4}


def test_nothing_measured_makes_no_table(missing):
    assert latex(boards([missing("a")])) == ""
