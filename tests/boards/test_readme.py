"""The board that README.md opens with is the one in leaderboards/."""

from markdown_it import MarkdownIt
from readme import README, excerpt, parts


def test_the_readme_opens_with_the_board_as_it_is():
    assert parts()[1] == excerpt(), "python tests/readme.py"


def test_it_is_a_table_of_models_whose_links_lead_somewhere():
    page = MarkdownIt("commonmark").enable("table").render(parts()[1])
    assert page.count("<tr>") > 8
    for link in {part.partition('"')[0] for part in page.split('href="leaderboards/digits.md#')[1:]}:
        name = next(line for line in page.splitlines() if f"digits.md#{link}" in line)
        heading = name.partition("</a>")[0].rpartition(">")[2]
        assert f"### {heading}\n" in (README.parent / "leaderboards/digits.md").read_text()
    assert (README.parent / page.partition('src="')[2].partition('"')[0]).is_file()
