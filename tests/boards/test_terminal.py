"""A terminal: no line is wider than it, and nothing of the page is lost."""

import random
import re
from dataclasses import replace

import pytest

from genbench.boards.columns import boards
from genbench.boards.tables import Notes, legend, table
from genbench.boards.terminal import NARROWEST, in_lines, terminal


def read(text):
    """{(model, column): cell} of all tables, their headers joined from their lines."""
    found, tables = {}, [part for part in text.split("\n\n") if re.search(r"^-+(  -+)+$", part, re.M)]
    for part in tables:
        lines = part.splitlines()
        rule = next(i for i, line in enumerate(lines) if set(line) == {"-", " "})
        ends, start = [], 0
        for dashes in lines[rule].split("  "):
            ends.append((start, start + len(dashes)))
            start += len(dashes) + 2

        def cut(line, ends=ends):
            return [line[a:b].strip() for a, b in ends]

        headers = [squeezed("".join(piece)) for piece in zip(*map(cut, lines[:rule]), strict=True)]
        for line in lines[rule + 1 :]:
            name, *cells = cut(line)
            for header, cell in zip(headers[1:], cells, strict=True):
                assert (name, header) not in found, "each column once"
                found[name, header] = cell
    return found


def first_columns(text):
    """What the tables have on their left, in one line."""
    found = ""
    for part in text.split("\n\n"):
        rule = re.search(r"^(-+)(  -+)+$", part, re.M)
        found += squeezed("".join(line[: len(rule[1])] for line in part.splitlines())) if rule else ""
    return found


def squeezed(text):
    return re.sub(r"\s+", "", text)


@pytest.fixture
def many(record, missing):
    """Twelve models by eighteen metrics, some for one family alone and one for none, with notes and long names."""
    rng = random.Random(0)
    metrics = ["nll", "classes-kl[digits-cnn]", "fd[digits-cnn]", "ppl", *(f"metric-{i:02}[pixels]" for i in range(12))]
    models = ["real-test-data", "a", *(f"model-with-a-long-name-{i}" for i in range(10))]
    records = [
        record(m, metric, rng.uniform(-9, 999), 0.5, warnings=["the bound is loose " * 9])
        for m in models
        for metric in metrics
    ]
    records += [record("a", "special", 1.0), *(missing(m, "never", why="needs a decoder") for m in models)]
    return boards(records)


@pytest.mark.parametrize("width", [10, 40, 60, 80, 120, 200, 1000])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(many, width):
    text = terminal(many, width, "fd")
    assert max(map(len, text.splitlines())) <= max(width, NARROWEST)
    assert all(line == line.rstrip() for line in text.splitlines())
    (board,) = many
    if width >= 80:  # names in one line
        found = read(text)
        headers, rows = table(board.parts()[0], Notes())
        for column in board.columns:
            if column.name not in ("never", "special"):
                for model in board.models:
                    assert re.sub(r"\[\d+\]", "", found[model, squeezed(column.title)]).strip().startswith("= ")
        for row in rows:
            assert found[row[0], "family"] == row[headers.index("family")]
            assert found[row[0], "parameters"] == row[headers.index("parameters")]
    for said in (*legend(board), "the bound is loose " * 9, "No model has never (bits/dim) ↓:", "needs a decoder"):
        assert squeezed(said) in squeezed(text)
    for name in board.models:
        assert name in first_columns(text)


@pytest.mark.parametrize("width", [80, 120])
def test_the_metric_that_ranks_stands_first_and_the_others_follow_in_the_order_of_the_page(many, width):
    for sort in ("metric-05[pixels]", "metric-05", "nll", None):
        order = list(dict.fromkeys(header for _, header in read(terminal(many, width, sort))))
        names = [
            name for name in (header.partition("(")[0] for header in order) if name not in ("family", "parameters")
        ]
        page = [c.name for c in many[0].columns if c.name not in ("never", "special")]
        first = "metric-05[pixels]" if sort and sort.startswith("metric") else "nll"
        assert names == [first, *(name for name in page if name != first), "special"]


def test_a_wide_board_is_narrowed_too(record):
    found = boards(
        [record(m, f"metric-{i:02}[digits-cnn]", 1.0) for m in ("model-one", "model-two") for i in range(30)]
    )
    assert found[0].wide
    text = terminal(found, 40)
    assert max(map(len, text.splitlines())) <= 40
    assert text.count("= 1.000 ±0.020") == 60
    assert text.count("1,234") == 2
    assert text.count("model-one") == text.count("model-two") == 1


def test_a_name_of_any_length_is_broken_into_lines(record):
    name = "x" * 300
    text = terminal(boards([record(name), record("b")]), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert name in first_columns(text)


def test_a_path_in_a_footnote_stays_whole(record):
    path = "/folder" * 20
    assert path in terminal(boards([record(warnings=[f"weights of {path} are old"])]), 80)


@pytest.mark.parametrize(
    ("header", "width", "lines"),
    [
        ("nll (bits/dim) ↓", 20, ["nll (bits/dim) ↓"]),
        ("nll (bits/dim) ↓", 14, ["nll", "(bits/dim) ↓"]),
        ("fd[digits-cnn] ↓", 14, ["fd", "[digits-cnn] ↓"]),
        ("fd[digits-cnn] ↓", 1, ["fd", "[digits-cnn] ↓"]),  # an arrow is not torn off
        ("nll (bits/dim) ↓ k=50 seed=1", 12, ["nll", "(bits/dim) ↓", "k=50 seed=1"]),
        ("", 5, [""]),
    ],
)
def test_a_header_is_broken_at_its_parts(header, width, lines):
    assert in_lines(header, width) == lines
    assert squeezed("".join(lines)) == squeezed(header)


def test_a_table_is_drawn_like_this(record, missing):
    found = boards([record("real test data", family="reference"), record("b", value=-2.5), missing("c")])
    drawn = terminal(found, 80).split("\n\n")[1]
    assert (
        drawn
        == """\
                            nll
model              (bits/dim) ↓     family  parameters
--------------  ---------------  ---------  ----------
real test data   = 1.000 ±0.020  reference       1,234
b               = -2.500 ±0.020       flow       1,234
c                       n/a [1]       flow       1,234"""
    )


def test_a_column_that_no_row_fills_is_not_drawn(record):
    nameless = [replace(r, model={**r.model, "parameters": None}) for r in map(record, "ab")]
    assert "family" in terminal(boards(nameless), 80)
    assert "parameters" not in terminal(boards(nameless), 80)
    assert "parameters" in terminal(boards([*nameless, record("c")]), 80)
