"""Foreign text is shown as it is, and is nothing more than text, wherever it stands."""

import csv
import io
import re

import pytest
from markdown_it import MarkdownIt
from tabulate import tabulate

from genbench.errors import GenbenchError
from genbench.text import csv_cell, fenced, markdown, one_line, short, slug

NASTY = [
    "a|b",
    "a||b|",
    "a\\|b",
    "a\\",
    "\\",
    "a\nb",
    "a\r\nb\tc\x0bd\x85e\u2028f",
    "<script>alert(1)</script>",
    "<b>&amp;&lt;&#60;",
    "AT&T &copy",
    "$$x^2$$",
    "$x$",
    "`code`",
    "``a`b``",
    "*a* **b** a*b*c",
    "_a_ __b__ log_prob _",
    "~~gone~~ ~gone~ ~ 0.5",
    "[text](http://x)",
    "![alt](http://x)",
    "[a][b] [^1]",
    "[a]: http://x",
    "# title",
    "- item",
    "> quote",
    "1. one",
    "---",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\x1b[31mred\x1b[0m",
    "\x00\x07\x7f",
    "right\u202eleft\u200b",
    "\ud800 lone",
    "β-VAE (ours) 模型 👩\u200d🚀",
    "x" * 300,
    "1e5",
    "nan",
]
GFM = MarkdownIt("commonmark").enable(["table", "strikethrough"])


@pytest.mark.parametrize("text", NASTY)
def test_a_line_is_a_line_that_no_terminal_obeys(text):
    line = one_line(text)
    assert line.splitlines() == [line]
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff]", line)
    line.encode("utf-8")
    assert one_line(line) == line
    if text.isprintable() and text == " ".join(text.split()):
        assert line == text


def shown(html: str) -> list[list[str]]:
    """The cells of the one table in a page, as a reader sees them; no tags but the table's."""
    html = re.sub(r' style="[^"]*"', "", html)
    assert set(re.findall(r"<(\w+)", html)) <= {"table", "thead", "tbody", "tr", "th", "td"}, html
    rows = re.findall(r"<tr>(.*?)</tr>", html, re.DOTALL)
    cells = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    entities = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&amp;": "&"}
    return [[re.sub(r"&\w+;", lambda e: entities[e[0]], cell) for cell in row] for row in cells]


@pytest.mark.parametrize("text", NASTY)
def test_a_cell_of_markdown_shows_the_text_and_nothing_else(text):
    """Against a parser of CommonMark with the tables of GitHub."""
    page = tabulate([["a", markdown(text), "b"]], ["x", markdown(text), "y"], tablefmt="pipe", disable_numparse=True)
    line = one_line(text)
    assert shown(GFM.render(page)) == [["x", line, "y"], ["a", line, "b"]]


@pytest.mark.parametrize("text", NASTY)
def test_a_footnote_shows_the_text_and_nothing_else(text):
    html = GFM.render(f"- [1] {markdown(text)}\n- [2] next")
    assert html.startswith("<ul>\n<li>[1] ")
    assert html.endswith("</li>\n<li>[2] next</li>\n</ul>\n")
    assert html.count("<") == 6


@pytest.mark.parametrize("text", NASTY)
def test_dollars_are_escaped_for_those_who_read_mathematics(text):
    assert not re.search(r"(?<!\\)\$", markdown(text))


@pytest.mark.parametrize(
    "text", ["fd[digits-cnn] (bits/dim) ↓", "a -> b", "~ 0.5 ±0.1 [1]", "real test data", "x_1y, 5 %"]
)
def test_what_is_harmless_stays_as_it_is(text):
    assert markdown(text) == one_line(text) == csv_cell(text) == text


@pytest.mark.parametrize("text", NASTY)
def test_a_cell_of_csv_is_text_and_no_formula(text):
    out = io.StringIO()
    csv.writer(out).writerow([csv_cell(text), csv_cell(-0.5), csv_cell(None)])
    [row] = csv.reader(io.StringIO(out.getvalue()))
    assert row[0].lstrip("'") == one_line(text).lstrip("'")
    assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r", "\n", " "))
    assert row[1:] == ["-0.5", ""]


@pytest.mark.parametrize("first", "=+-@＝＋－＠﹢")  # noqa: RUF001
def test_forms_of_the_four_signs_begin_no_cell(first):
    assert csv_cell(f"{first}1") == f"'{first}1"
    assert csv_cell(f" \n{first}1") == f"'{first}1"


@pytest.mark.parametrize("text", ["```", "a\n````\nb", "`", "", "~~~"])
def test_a_block_ends_where_its_text_does(text):
    html = GFM.render(fenced(text))
    assert html.startswith('<pre><code class="language-text">')
    assert html.count("<") == 4
    assert html.split(">", 2)[2].removesuffix("\n</code></pre>\n") == text


def test_names_of_files_are_short_plain_and_apart():
    files = {
        name: slug(name) for name in {*NASTY, "my model", "my-model", "x" * 301, "", ".", "..", "../x", "a/b", "CON "}
    }
    assert len(set(files.values())) == len(files)
    for name, file in files.items():
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", file)
        assert not file.startswith((".", "-"))
        assert file == name or re.search(r"-[0-9a-f]{8}$", file)
    assert [slug(name) for name in ("vae", "gated-pixelcnn", "v1.0_b")] == ["vae", "gated-pixelcnn", "v1.0_b"]


def test_a_short_text_says_that_it_was_longer():
    assert (short("abcde", 5), short("abcdef", 5), short("a\nb", 5)) == ("abcde", "abcd…", "a b")


@pytest.mark.parametrize("text", NASTY)
def test_an_error_has_two_lines(text):
    assert len(str(GenbenchError(f"no {text} here", f"Leave out {text}.")).splitlines()) == 2
