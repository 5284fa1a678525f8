"""Text of somebody else, made harmless for each place it is shown in: a line, a markdown page, a CSV cell, a file name.

Names of models, messages of errors and warnings can hold anything: line breaks, pipes, HTML, formulas of a spreadsheet.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

JOINERS = "\u200c\u200d"  # invisible, and part of letters and of emoji
NEIGHBOURS, COMPLETIONS, PLACES, TRANSLATIONS = "-neighbours", "-completions", "-places", "-translations"
CODES, INTERPOLATION, TRAVERSAL = "-codes", "-interpolation", "-traversal"
PICTURED = {  # what the name of a picture has behind that of a model, and what the picture shows
    "": "samples",
    NEIGHBOURS: "samples above their nearest training examples",
    COMPLETIONS: "test images, their upper halves, four completions of these, and the likeliest",
    PLACES: "perplexity by place in a window",
    TRANSLATIONS: "test examples above their translations",
    CODES: "test examples above the training examples of the nearest codes",
    INTERPOLATION: "from one test example to another, through their codes",
    TRAVERSAL: "along the coordinates of the code that spread most, one in each row",
}
LONGEST = 80  # characters of a file's name, without what is put behind it


def one_line(text: object) -> str:
    """The text in one line: white space is single spaces, and what a terminal would obey stands as its escape.

    Example:
        >>> one_line(" a\\n b\\x1b[31m ")
        'a b\\\\x1b[31m'
    """
    joined = " ".join(str(text).split())
    return "".join(c if c.isprintable() or c in JOINERS else c.encode("unicode_escape").decode() for c in joined)


def short(text: object, longest: int = LONGEST) -> str:
    """The text in one line of at most so many characters."""
    line = one_line(text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def said(error: object) -> str:
    """What an error or a warning says, also of one whose `__str__` raises."""
    try:
        return str(error)
    except Exception as broken:
        return f"<{type(error).__name__}, whose text cannot be made: {type(broken).__name__}>"


def capped(text: str, longest: int) -> str:
    """The text, of one that is longer its beginning and its end, with the number of characters between them."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} [... {len(text) - 2 * half:,} characters ...] {text[-half:]}"


# What markdown reads as more than a character: an escape, a column, code, emphasis, mathematics; an underscore only at
# the edge of a word, a tilde only before one, a bracket only before an address, an ampersand only before an entity.
MARKDOWN = re.compile(r"[\\|`*$]|(?<![^\W_])_|_(?![^\W_])|~(?=\S)|\](?=[(\[:])")
ENTITIES = {"<": "&lt;", "&": "&amp;"}


def markdown(text: object) -> str:
    """The text as markdown shows it in a line or in a cell.

    Example:
        >>> markdown("a|b <i> $x$ fd[digits-cnn] log_prob")
        'a\\\\|b &lt;i> \\\\$x\\\\$ fd[digits-cnn] log_prob'
    """
    escaped = MARKDOWN.sub(r"\\\g<0>", one_line(text))
    return re.sub(r"<|&(?=#?\w+;)", lambda found: ENTITIES[found[0]], escaped)


def fenced(text: str) -> str:
    """A block that shows the text as it is, whatever backticks it holds."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def csv_cell(value: object) -> object:
    """Text that no spreadsheet takes for a formula; what is no text, a number above all, as it is.

    References:
        CSV injection (OWASP): a cell is a formula if it begins with =, +, - or @.
    """
    if not isinstance(value, str):
        return value
    line = one_line(value)
    first = unicodedata.normalize("NFKC", line[:1])  # wide forms of the four count too
    return f"'{line}" if first in tuple("=+-@") else line


def slug(name: str) -> str:
    """A name for files: its letters, digits, `.`, `_` and `-`, at most 80; where that is not all, a hash of all of it.

    So is a name that ends as those of further pictures do, beside which it would stand for two things.

    Example:
        >>> slug("my-model"), slug("my model")
        ('my-model', 'my-model-76eeb051')
    """
    kept = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")[:LONGEST]
    if kept and kept == name and not name.endswith(tuple(filter(None, PICTURED))):
        return kept
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{kept or 'model'}-{digest}"
