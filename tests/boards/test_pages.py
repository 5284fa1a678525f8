"""Pages: every format holds what the records say, and nothing that they do not."""

import csv
import io
import json

import pytest

from genbench.boards.columns import boards
from genbench.boards.markdown import markdown
from genbench.boards.pages import FORMATS, as_csv, as_json
from genbench.boards.web import html

ROW = {
    "dataset": "digits",
    "model": "b",
    "family": "flow",
    "metric": "fd[pixels]",
    "differs": "",
    "unit": "share",
    "status": "ok",
    "kind": "estimate",
    "value": 12.5,
    "stderr": 1.5,
    "ci95_low": 9.5,
    "ci95_high": 15.25,
    "reason": None,
    "warnings": ["odd", "=2+2"],
    "cell_id": "abc",
}


@pytest.fixture
def three(record, missing):
    """The records of two models, of which the last by name is a reference: it stands on top."""
    card = {"unit": "share"}
    said = {"cell_id": "abc", "warnings": ["odd", "=2+2"]}
    fd = record("b", "fd[pixels]", 12.5, card=card, kind="estimate", stderr=1.5, ci95=(9.5, 15.25), **said)
    return boards([fd, record("b", value=2.0, ci95=None), missing("z", family="reference", cell_id="def")])


def test_json_and_csv_hold_every_record_in_the_order_of_the_board(three):
    rows = json.loads(as_json(three))
    assert [(r["model"], r["metric"]) for r in rows] == [("z", "nll"), ("b", "nll"), ("b", "fd[pixels]")]
    assert rows[2] == ROW
    skipped = {"status": "skipped", "cell_id": "def", "family": "reference", "unit": "bits/dim", "warnings": []}
    skipped["reason"] = "needs log_prob"
    empty = dict.fromkeys(("kind", "value", "stderr", "ci95_low", "ci95_high"))
    assert rows[0] == ROW | empty | skipped | {"model": "z", "metric": "nll"}
    assert (rows[1]["value"], rows[1]["ci95_low"], rows[1]["ci95_high"]) == (2.0, None, None)
    read = csv.DictReader(io.StringIO(as_csv(three)))
    assert read.fieldnames == list(ROW)
    rows = [{**row, "warnings": "; ".join(row["warnings"])} for row in rows]
    assert list(read) == [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows]
    assert "\r" not in as_csv(three)


def test_no_records_make_empty_pages():
    assert (as_csv([]), as_json([])) == ("", "[]\n")


def test_json_tells_two_protocols_of_one_metric_apart(record):
    rows = json.loads(as_json(boards([record("a"), record("b", protocol={"seed": 1})])))
    assert [(r["model"], r["differs"]) for r in rows] == [("a", "seed=0"), ("b", "seed=1")]


def test_every_format_shows_the_same_number(record):
    found = boards([record("a", value=1.25), record("b", value=2.5)])
    for make in (markdown, html, *FORMATS.values()):
        assert "1.25" in make(found), make
