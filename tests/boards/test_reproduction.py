"""Published figures beside ours: one unit on both sides, and a verdict only where an interval allows one."""

import math

import pytest

from genbench.boards.publishing import all_pages, publish
from genbench.boards.reproduction import Figure, figures_of, in_unit, verdict
from genbench.errors import GenbenchError
from genbench.files import content_key
from genbench.run.records import Run

FIGURE = Figure("theirs", "Somebody, 1999, table 1", 2.0, "bits/dim", "other data", "page", "a")


def test_nats_are_those_of_a_whole_example(record):
    one = record(value=1.5, half=0.1)  # 64 dimensions
    assert in_unit(one, "nats") == pytest.approx((1.5 * 64 * math.log(2), 0.1 * 64 * math.log(2)))
    assert in_unit(one, "bits/dim") == pytest.approx((1.5, 0.1))


@pytest.mark.parametrize(("ours", "asked"), [("nats", "bits/dim"), ("share", "nats"), ("bits/char", "bits/dim")])
def test_other_units_are_refused(record, ours, asked):
    with pytest.raises(GenbenchError, match=f"a figure in {asked} is held against nll in {ours}"):
        in_unit(record(card={"unit": ours}), asked)


@pytest.mark.parametrize("direction", ["lower", "higher"])
@pytest.mark.parametrize(
    ("value", "half", "expected"),
    [(1.9, 0.05, "lower"), (1.9, 0.2, "level"), (2.1, 0.2, "level"), (2.1, 0.05, "higher"), (1.9, None, "not decided")],
)
def test_the_verdict_is_that_of_the_interval(record, direction, value, half, expected):
    ours = record(value=value, half=half or 0.0, card={"direction": direction})
    if half is None:
        ours.ci95 = None
    words = {direction: "better", "lower" if direction == "higher" else "higher": "worse"}
    assert verdict(FIGURE, ours) == words.get(expected, expected)


def test_nothing_measured_is_said(record):
    assert verdict(FIGURE, None) == "not measured"
    assert verdict(FIGURE, record(value=None)) == "not measured"


FILE = """
[ours]
page = "our data"

[[figure]]
what = "a|b"
source = "Somebody, 1999"
published = 60.0
unit = "nats"
bound = true
data = "other data"
board = "page"
model = "a"

[[figure]]
what = "missing"
source = "Somebody, 1999"
published = 2
unit = "bits/dim"
data = "other data"
board = "page"
model = "nobody"
"""


def board(tmp_path, record):
    """One board `page` with the model `a`, which has a value over all test examples and a better one over fewer."""
    run = Run(tmp_path / "run")
    cells = {}
    for name, value, complete in (("whole", 1.25, True), ("part", 0.5, False)):
        made = record(value=value, complete=complete, kind="upper_bound", cell_id=content_key(name))
        made.model.update(key=content_key("a"))
        del made.model["name"]
        run.put(made)
        cells[made.cell_id] = "nll"
    run.write_manifest({"run_id": "run", "rows": {content_key("row"): {
        "name": "a", "model": content_key("a"), "planned": "2026-01-01", "cells": cells,
    }}})  # fmt: skip
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "README.md").write_text("# Leaderboards\n")
    (tmp_path / "boards" / "reproduction.toml").write_text(FILE)
    publish([run], tmp_path / "boards" / "page")
    return tmp_path / "boards"


def test_the_page_is_written_and_checked_with_the_others(tmp_path, record):
    root = board(tmp_path, record)
    page = all_pages(root)[root / "reproduction.md"]
    assert (root / "reproduction.md").read_bytes() == page
    lines = page.decode().splitlines()
    (first,) = [line for line in lines if line.startswith(r"| a\|b")]
    nats = 1.25 * 64 * math.log(2)
    assert [cell.strip() for cell in first.replace(r"\|", "").split("|")[2:-1]] == [
        "≤ 60 nats", f"≤ {nats:.2f} ±0.89", f"{nats - 60:+.3g}", "better", "[1]",
    ]  # fmt: skip
    (second,) = [line for line in lines if line.startswith("| missing")]
    assert "not measured" in second


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("published = 60.0", 'published = "60"'), r"figure\[0\].published"),
        (('board = "page"', 'board = "other"'), "nothing says on which data 'other' is measured"),
        (('what = "a|b"', 'whta = "a|b"'), "what is|whta"),
        (("[[figure]]", "[[figure]"), "is not TOML"),
    ],
)
def test_a_file_that_says_something_else_is_refused(tmp_path, change, message):
    (tmp_path / "reproduction.toml").write_text(FILE.replace(*change, 1))
    with pytest.raises(GenbenchError, match=message):
        figures_of(tmp_path / "reproduction.toml")
