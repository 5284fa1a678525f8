"""Pages: every format holds what the records say, and nothing that they do not."""

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest

from genbench.boards.columns import boards
from genbench.boards.pages import FORMATS, as_csv, as_html, as_json, gallery, markdown
from genbench.boards.tables import Notes, table
from genbench.text import slug

PAGE = """\
# digits

| model   | family   |   parameters |       nll (bits/dim) ↓ |          fd[pixels] ↓ |
|:--------|:---------|-------------:|-----------------------:|----------------------:|
| b       | flow     |        1,234 |     = 1.000 ±0.020 [1] |           n/a [2] |
| a       | flow     |        1,234 | = 2.000 ±0.020 ⚑ [3] | ~ 12.0 ±3.0 [1] [4] |

`=` exact, `≤` upper bound, `≥` lower bound, `~` estimate; ± is the wider half of the 95 % interval; \
↓ lower is better, ↑ higher is better; ⚑ flagged.

Data: digits, test split, 500 examples, sha256 ffffffffffffffff. Samples: none from each model, seed 0. \
Measured on cpu, 2 threads.

- [1] loose
- [2] not measured in these runs
- [3] copies
- [4] few
"""


@pytest.fixture
def small(record):
    """Two models, two metrics, and one footnote that two cells share."""
    records = [
        record("a", value=2.0, details={"flagged": True, "flag": "copies"}),
        record("b", value=1.0, warnings=["loose"]),
        record("a", "fd[pixels]", 12.0, 3.0, "estimate", {"unit": "share"}, warnings=["loose", "few"]),
    ]
    return boards(records)


def squeezed(page):
    """Without what aligns columns."""
    return re.sub(r" +", " ", re.sub(r"-{3,}", "---", page))


def test_a_page_is_its_tables_what_they_mean_and_its_footnotes(small):
    assert squeezed(markdown(small)) == squeezed(PAGE)


def test_columns_of_text_stand_left_and_columns_of_numbers_right(small, record):
    def align(found):
        rule = next(line for line in markdown(found).splitlines() if line.startswith("|:"))
        return [c[0] + c[-1] for c in rule.strip("|").split("|")]

    assert align(small) == [":-", ":-", "-:", "-:", "-:"]
    assert align(boards([record("a", f"metric-{i}") for i in range(9)])) == [":-", "-:"]


def test_footnotes_are_counted_through_the_tables_of_a_dataset_and_anew_in_the_next(record):
    """30 metrics of 12 models in 3 tables, in 2 datasets; the cells of two metrics share a warning."""
    other = {"name": "ring8", "split": "test", "sha256": "e", "n": 5, "space": None}
    names = [f"m{i:02}" for i in range(12)]
    records = [
        record(m, f"metric-{i:02}", warnings=[f"{word} {i // 2}"], **changes)
        for m in names
        for i in range(30)
        for word, changes in (("digits", {}), ("ring8", {"dataset": other}))
    ]
    pages = markdown(boards(records)).split("# ")[1:]
    for word, page in zip(("digits", "ring8"), pages, strict=True):
        assert page.startswith(f"{word}\n")
        assert page.count("| model ") == 3
        assert re.findall(r"^- \[(\d+)\] (.*)$", page, re.M) == [(str(i + 1), f"{word} {i}") for i in range(15)]
        first = next(line for line in page.splitlines() if line.startswith("| m00"))
        assert re.findall(r"\[(\d+)\]", first) == [str(i // 2 + 1) for i in range(10)]
        assert set(re.findall(r"±0\.020 \[(\d+)\]", page)) == {str(i + 1) for i in range(15)}


def test_a_page_without_footnotes_has_none(record):
    assert "[1]" not in markdown(boards([record()]))


# --- Pictures


REAL = slug("real test data")


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "runs" / "run" / "pictures"
    folder.mkdir(parents=True)
    for name in (f"{REAL}.png", "b.png", "b-neighbours.png", "nobody.png"):
        (folder / name).touch()
    (folder / "c.txt").write_text("To be, or\n\n")
    return folder


def test_samples_are_shown_of_the_models_that_have_pictures(record, pictures, tmp_path):
    board = boards([record(m, value=v) for m, v in {"real test data": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}.items()])[0]
    title, shown, text = gallery(board, pictures, tmp_path / "pages")
    assert title == "## Samples"
    path = "../runs/run/pictures"
    headers, _, *rows = ([c.strip() for c in line.strip("|").split("|")] for line in shown.splitlines())
    assert headers == ["model", "samples", "samples above their nearest training examples"]
    assert rows == [
        ["real test data", f"![{REAL}]({path}/{REAL}.png)", ""],
        ["b", f"![b]({path}/b.png)", f"![b-neighbours]({path}/b-neighbours.png)"],
    ]
    assert text == "### c\n\n```text\nTo be, or\n```"
    page = markdown([board], pictures, tmp_path / "pages")
    assert page.endswith("\n\n".join([title, shown, text]) + "\n")


def test_a_gallery_without_neighbours_has_no_column_for_them(record, pictures, tmp_path):
    shown = gallery(boards([record("real test data")])[0], pictures, tmp_path)[1]
    assert shown.splitlines()[0].strip("| ").split("|")[-1].strip() == "samples"


def test_there_is_no_gallery_without_pictures_or_a_place_for_the_page(record, pictures, tmp_path):
    board = boards([record("b")])[0]
    assert gallery(board, None, tmp_path) == gallery(board, pictures, None) == []
    assert gallery(boards([record("d")])[0], pictures, tmp_path) == []
    assert "Samples\n" not in markdown([board])


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
        for text in read.paragraphs[1:]:
            assert re.sub(r"^\[", "- [", text) in page.splitlines()
        assert len(read.paragraphs) == 3 + len(re.findall(r"^- \[", page, re.M))


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
