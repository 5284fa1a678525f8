"""The first screen of the board of digits as README.md has it: `python tests/readme.py` writes it there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README, PAGE = ROOT / "README.md", "leaderboards/digits.md"
BEGIN, END = f"<!-- the first screen of {PAGE} -->\n", "<!-- by tests/readme.py -->\n"
PLOT = "digits-likelihood-fidelity.svg"


def excerpt() -> str:
    """Sentences, open rows of the lead table and the first plot of the page, its links from the root, no footnotes."""
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    _, _, sentences, table = page.split("\n\n", 4)[:4]
    plot = re.search(rf"!\[[^\]]*\]\([^)]*{re.escape(PLOT)}\)", page).group()
    text = re.sub(r"\]\(#", f"]({PAGE}#", f"{sentences}\n\n{table}\n")
    text = re.sub(r" \[\d+\]", "", text)
    return f"{text}\n[{plot.replace('](', '](leaderboards/')}]({PAGE})\n"


def parts() -> tuple[str, str, str]:
    """README.md before the excerpt, the excerpt, and after it."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    inside, _, after = rest.partition(END)
    return before, inside, after


if __name__ == "__main__":
    before, _, after = parts()
    README.write_text(before + BEGIN + excerpt() + END + after, encoding="utf-8")
