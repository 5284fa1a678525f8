"""Boards -> a terminal: tables no wider than it is, those columns first that were asked for, and every column once."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from genbench.boards.columns import Board, matches
from genbench.boards.tables import Notes, left_out, legend, table
from genbench.text import one_line

NARROWEST = 40  # characters that a line is taken to have at least
GAP = "  "
Cell = list[str]  # its lines


def terminal(found: list[Board], width: int, sort: str | None = None) -> str:
    """For each dataset the tables of its page, in as many narrower ones as it takes, and what is said below them.

    Nothing is left out or cut: names, headers and footnotes are broken into lines. A word that is longer than a line
    stands out of a paragraph, so that a path can be copied.

    Arguments:
        width: characters in a line.
        sort: the metric whose columns come first; the others follow by their places, then family and parameters, once
            for every model.
    """
    width = max(width, NARROWEST)
    parts = []
    for b in found:
        notes, described = Notes(), set[str]()
        parts.append(f"# {one_line(b.dataset)}")
        wanted = replace(b, columns=sorted(b.columns, key=lambda c: not (sort and matches(c.name, sort))))
        for part in wanted.parts():
            headers, rows = table(part, notes)
            if not part.wide:  # model, family, parameters, metrics
                again = described.issuperset(part.models)
                said = [] if again else [1] if all(row[2] == "" for row in rows) else [1, 2]  # none knows its size
                headers, *rows = ([row[0], *row[3:], *(row[i] for i in said)] for row in (headers, *rows))
                described.update(part.models)
            parts += narrow(headers, rows, width)
        parts += [filled(line, width) for line in (*left_out(b, notes), *legend(b))]
        if notes.texts:
            parts.append("\n".join(filled(f"[{i}] {text}", width) for i, text in enumerate(notes.texts, 1)))
    return "\n\n".join(parts) + "\n"


def filled(text: str, width: int) -> str:
    """A paragraph in lines, those after the first indented."""
    return textwrap.fill(text, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def narrow(headers: list[str], rows: list[list[str]], width: int) -> list[str]:
    """The table as text, in as few parts as fit: columns in order, the first one in each, and at least one other."""
    first, *others = zip(headers, *rows, strict=True)
    names = [broken(text, width // 3) for text in first]
    room = width - widest(names) - len(GAP)
    parts: list[list[list[Cell]]] = []
    left = 0
    for header, *texts in others:
        cells = [broken(text, room) for text in texts]
        column = [in_lines(header, min(room, widest(cells))), *cells]
        if len(GAP) + widest(column) > left:
            parts.append([names])
            left = width - widest(names)
        parts[-1].append(column)
        left -= len(GAP) + widest(column)
    return [drawn(part) for part in parts]


def broken(text: str, width: int) -> Cell:
    """Its lines, none of them longer."""
    return textwrap.wrap(text, width) or [""]


def in_lines(header: str, width: int) -> Cell:
    """A header broken before `[` and at spaces, into lines no longer than `width` where its words allow it.

    Example:
        >>> in_lines("classes-kl[digits-cnn] (nats) ↓", 16)
        ['classes-kl', '[digits-cnn]', '(nats) ↓']
    """
    found = [""]
    for word in re.split(r"(?=\[)|(?<= )(?![↓↑])", header):
        if found[-1] and len((found[-1] + word).strip()) > width:
            found.append("")
        found[-1] += word
    return [line.strip() for line in found]


def widest(column: list[Cell]) -> int:
    return max(len(line) for cell in column for line in cell)


def drawn(columns: list[list[Cell]]) -> str:
    """The first column to the left and the others to the right, a rule below the headers, which end above it."""
    widths = [widest(column) for column in columns]
    sides = "<" + ">" * (len(columns) - 1)
    rule = GAP.join("-" * w for w in widths)
    headers, *rows = zip(*columns, strict=True)
    deepest = max(map(len, headers))
    lowered = [[""] * (deepest - len(cell)) + cell for cell in headers]

    def text(cells: Sequence[Cell]) -> list[str]:
        """The lines of a row."""
        across = zip_longest(*cells, fillvalue="")
        parts = (zip(part, sides, widths, strict=True) for part in across)
        return [GAP.join(f"{line:{side}{width}}" for line, side, width in part) for part in parts]

    found = [*text(lowered), rule, *(line for row in rows for line in text(row))]
    return "\n".join(line.rstrip() for line in found)
