"""Whatever names, warnings and errors hold, every page keeps its form: rows, cells, footnotes and no tags of theirs."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from genbench import datasets
from genbench.boards.columns import boards
from genbench.boards.compare import Difference
from genbench.boards.compare import table as comparison
from genbench.boards.markdown import gallery, markdown
from genbench.boards.pages import as_csv, as_json
from genbench.boards.terminal import terminal
from genbench.boards.web import html as as_html
from genbench.text import one_line, slug

NASTY = [
    "a|b",
    "a\nb",
    "<script>x</script>",
    "$$x$$",
    "`a`*b*",
    "[a](http://b)",
    "=1+1",
    "\x1b[31m",
    "back\\",
    "\ud800",
]
GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@pytest.fixture
def nasty(record, missing):
    """Makes boards of two models in which every text is the same one, behind a letter that tells them apart."""

    def make(text: str) -> list:
        data = {"name": text, "split": "test", "sha256": "f" * 64, "n": 5, "space": {"levels": 17}}
        env, flagged = {"device": text, "threads": 2}, {"flagged": True, "flag": f"f{text}", "note": f"n{text}"}
        shared = {"dataset": data, "env": env, "family": f"y{text}", "card": {"unit": f"u{text}"}}
        return boards(
            [
                record(f"m{text}", f"o{text}", warnings=[f"w{text}"] * 5, details=flagged, **shared),
                missing(f"p{text}", f"o{text}", status="error", why=f"e{text}", kind="Error", **shared),
                record(f"p{text}", "nll", **shared),
            ]
        )

    return make


@pytest.mark.parametrize("text", NASTY)
def test_a_page_of_markdown_has_the_rows_and_notes_of_its_records(text, nasty):
    plain = GFM.render(markdown(nasty("q" * len(one_line(text)))))  # as wide: a table is split by its width
    html = GFM.render(markdown(nasty(text)))
    tags = re.findall(r"<[^>]*>", html)
    assert tags == re.findall(r"<[^>]*>", plain)  # the same paragraphs, rows, cells and list


@pytest.mark.parametrize("text", NASTY)
def test_a_page_of_html_has_the_tags_of_a_plain_one(text, nasty):
    tags = [re.findall(r"<[^>]*>", as_html(nasty(one))) for one in (text, "plain")]
    assert tags[0] == tags[1]


@pytest.mark.parametrize("text", NASTY)
def test_csv_has_a_line_for_each_record_and_no_formula(text, nasty):
    page = as_csv(nasty(text))
    header, *rows = csv.reader(io.StringIO(page))
    assert len(page.splitlines()) == 4
    assert {len(row) for row in rows} == {len(header)}
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    assert {float(row[header.index("value")]) for row in rows if row[header.index("value")]} == {1.0}
    page.encode()


def test_a_negative_number_in_csv_is_a_number(record):
    [row] = csv.DictReader(io.StringIO(as_csv(boards([record("-1", value=-2.5)]))))
    assert (row["model"], row["value"], row["ci95_low"]) == ("'-1", "-2.5", "-2.52")


@pytest.mark.parametrize("text", NASTY)
def test_json_holds_the_names_as_they_are(text, nasty):
    page = as_json(nasty(text))
    assert {row["model"] for row in json.loads(page)} == {f"m{text}", f"p{text}"}
    page.encode()


@pytest.mark.parametrize("text", NASTY)
def test_a_terminal_is_given_nothing_that_it_obeys(text, nasty):
    page = terminal(nasty(text), 200)
    assert "".join(page.split("\n")).isprintable()
    assert len(page.splitlines()) == len(terminal(nasty("q" * len(one_line(text))), 200).splitlines())


@pytest.mark.parametrize("text", NASTY)
def test_a_comparison_has_a_row_for_each_difference(text):
    one = Difference(text, text, text, "lower", ("exact", "exact"), 1.0, 2.0, 1.0, (0.5, 1.5), text, text)
    html = GFM.render(comparison([one, one]))
    assert (html.count("<tr>"), html.count("<th"), html.count("<td")) == (3, 6 + 1, 12)
    assert set(re.findall(r"<(\w+)", html)) == {"table", "thead", "tbody", "tr", "th", "td", "p", "ul", "li"}
    assert html.count("<li>") == 1  # how they were compared, which is the same of both


def test_a_gallery_links_to_files_in_any_folder_and_its_texts_end_where_they_do(record, tmp_path):
    pictures = tmp_path / "my (run) | 1" / "pictures"
    pictures.mkdir(parents=True)
    (pictures / f"{slug('a|b')}.png").touch()
    (pictures / f"{slug('1e5')}.png").touch()
    (pictures / f"{slug('c')}.txt").write_text("To be\n```\n# or")
    parts = gallery(boards([record("a|b"), record("1e5"), record("c")])[0], pictures, tmp_path)
    html = GFM.render("\n\n".join(parts))
    assert f'src="my%20%28run%29%20%7C%201/pictures/{slug("a|b")}.png"' in html
    assert "<h3>a|b</h3>" in html
    assert "<h3>1e5</h3>" in html
    assert html.endswith(
        '<h3>c</h3>\n<p>flow, 1,234 parameters</p>\n<pre><code class="language-text">To be\n```\n# or\n</code></pre>\n'
    )


def test_names_go_through_all_commands(cli, tmp_path):
    """The longest and the oddest names of models give rows, pictures of their own, and pages in every format."""
    names = ["my model", "my-model", "a|b<i>$$`", "=1+1", "x" * 300, "two\nlines"]
    for i in range(len(names)):
        np.save(f"{i}.npy", datasets.load("digits").train[i : i + 30])
    common = ("--metrics", "copies", "--samples", "20", "-o", "run")
    code, out, err = cli("evaluate", *(f"{name}=samples:{i}.npy" for i, name in enumerate(names)), *common)
    assert code == 0, err
    assert len(list((tmp_path / "run" / "pictures").glob("*.png"))) == 2 * (len(names) + 1)
    assert all(line.isprintable() for line in (out + err).splitlines())
    for form, count in (("md", r"^\| (?!model|by |:)"), ("html", '<tr><th scope="row"'), ("csv", "^digits,")):
        code, page, err = cli("leaderboard", "run", "--format", form)
        assert code == 0, err
        first = page.partition("<details>")[0] if form == "md" else page
        assert len(re.findall(count, re.sub(r"<tr>\s*<td", "<tr><td", first), re.MULTILINE)) == len(names) + 1, form
    code, page, _ = cli("leaderboard", "run", "--format", "json")
    assert {row["model"] for row in json.loads(page)} == {*names, "real test data"}
    code, out, err = cli("status", "run")
    assert code == 0
    assert len(out.splitlines()) == len(names) + 3
    code, out, err = cli("compare", "run:a|b<i>$$`", "run:my model")
    assert code == 0, err
    assert len([line for line in out.splitlines() if line.startswith("|")]) == 3


def test_the_name_of_a_file_says_its_format(cli):
    np.save("a.npy", datasets.load("digits").train[:30])
    assert cli("evaluate", "a=samples:a.npy", "--metrics", "copies", "--samples", "20", "-o", "run")[0] == 0
    begins = {
        "md": "# digits",
        "html": "<!doctype html>",
        "csv": "dataset,model",
        "json": "[",
        "tex": "% ",
        "txt": "# digits",
    }
    for suffix, start in begins.items():
        assert cli("leaderboard", "run", "-o", f"page.{suffix}")[0] == 0
        assert Path(f"page.{suffix}").read_text().lower().startswith(start), suffix
        assert cli("leaderboard", "run", "-o", f"page.{suffix}", "--check")[0] == 0
    assert cli("leaderboard", "run", "-o", "page.html", "--format", "csv")[0] == 0  # what is asked for comes first
    assert Path("page.html").read_text() == cli("leaderboard", "run", "--format", "csv")[1]
