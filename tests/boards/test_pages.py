"""Pages: every format holds what the records say, and nothing that they do not."""

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest

from genbench.boards.columns import boards
from genbench.boards.markdown import markdown
from genbench.boards.pages import FORMATS, as_csv, as_html, as_json
from genbench.boards.tables import Notes, table


@pytest.fixture
def small(record):
    """Two models, two metrics, and one footnote that two cells share."""
    records = [
        record("a", value=2.0, details={"flagged": True, "flag": "copies"}),
        record("b", value=1.0, warnings=["loose"]),
        record("a", "fd[pixels]", 12.0, 3.0, "estimate", {"unit": "share"}, warnings=["loose", "few"]),
    ]
    return boards(records)


# --- Other formats


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
    "cell_id": "abc",
}


@pytest.fixture
def three(record, missing):
    """The records of two models, of which the last by name is a reference: it stands on top."""
    card = {"unit": "share"}
    fd = record("b", "fd[pixels]", 12.5, card=card, kind="estimate", stderr=1.5, ci95=(9.5, 15.25), cell_id="abc")
    return boards([fd, record("b", value=2.0, ci95=None), missing("z", family="reference", cell_id="def")])


def test_json_and_csv_hold_every_record_in_the_order_of_the_board(three):
    rows = json.loads(as_json(three))
    assert [(r["model"], r["metric"]) for r in rows] == [("z", "nll"), ("b", "nll"), ("b", "fd[pixels]")]
    assert rows[2] == ROW
    skipped = {"status": "skipped", "cell_id": "def", "family": "reference", "unit": "bits/dim"}
    empty = dict.fromkeys(("kind", "value", "stderr", "ci95_low", "ci95_high"))
    assert rows[0] == ROW | empty | skipped | {"model": "z", "metric": "nll"}
    assert (rows[1]["value"], rows[1]["ci95_low"], rows[1]["ci95_high"]) == (2.0, None, None)
    read = csv.DictReader(io.StringIO(as_csv(three)))
    assert read.fieldnames == list(ROW)
    assert list(read) == [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows]
    assert "\r" not in as_csv(three)


def test_no_records_make_empty_pages():
    assert (as_csv([]), as_json([])) == ("", "[]\n")


class Read(HTMLParser):
    """The rows of all tables, the paragraphs, and the tags."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.paragraphs, self.tags = [], [], set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag in ("p", "h1"):
            self.paragraphs.append("")
        self.at = tag

    def handle_data(self, data):
        if self.at in ("td", "th"):
            self.rows[-1][-1] += data.strip()
        elif self.at in ("p", "h1"):
            self.paragraphs[-1] += data.strip()


def test_html_holds_the_cells_and_the_words_of_the_markdown(small, record):
    for found in (small, boards([record(m, f"metric-{i}") for m in "ab" for i in range(9)])):
        read = Read(as_html(found))
        headers, rows = table(found[0], Notes())
        assert read.rows == [headers, *rows]
        page = markdown(found)
        assert read.paragraphs[0] == "digits"
        notes = {re.sub(r"^(- )?\[\d+\] ", "", text) for text in read.paragraphs[1:]}
        assert notes == {
            re.sub(r"^- \[\d+\] ", "", t) for t in page.splitlines() if t.startswith(("- [", "`=`", "Data:"))
        }


def test_html_splits_tables_as_the_markdown_does(record):
    found = boards([record(f"m{j}", f"metric-{i:02}") for i in range(20) for j in range(12)])
    assert [len(row) for row in Read(as_html(found)).rows] == [13] * 26


def test_html_runs_nothing_that_it_is_given(record, missing):
    evil = "<script>alert(1)</script>"
    data = {"name": evil, "split": "test", "sha256": "f" * 64, "n": 5, "space": None}
    known = record(evil, evil, family=evil, dataset=data, warnings=[evil])
    page = as_html(boards([known, missing("b", evil, why=evil, dataset=data)]))
    assert not Read(page).tags & {"script"}
    assert page.count("&lt;script&gt;") >= 6


def test_json_tells_two_protocols_of_one_metric_apart(record):
    rows = json.loads(as_json(boards([record("a"), record("b", protocol={"seed": 1})])))
    assert [(r["model"], r["differs"]) for r in rows] == [("a", "seed=0"), ("b", "seed=1")]


def test_every_format_shows_the_same_number(record):
    found = boards([record("a", value=1.25), record("b", value=2.5)])
    for make in (markdown, *FORMATS.values()):
        assert "1.25" in make(found), make
