"""Boards -> LaTeX tables for a paper: booktabs, each value in three aligned parts, the best set of a column in bold.

A value is its sign, its number and the half-width of its interval, in columns of their own, so that signs, numbers and
intervals stand below each other. The page needs `\\usepackage{booktabs}` and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import replace

from genbench.boards.columns import Board, Column, order_by
from genbench.boards.tables import NO_INTERVAL, compact
from genbench.run.records import Record
from genbench.text import one_line

WIDEST = 5  # metrics in one table: about the width of a page
SIGNS = {"=": "=", "≤": r"\le", "≥": r"\ge", "~": r"\sim"}
SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "↓": r"\(\downarrow\)", "↑": r"\(\uparrow\)", "<": r"\textless{}", ">": r"\textgreater{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
}  # fmt: skip


def latex(found: list[Board]) -> str:
    """For each dataset as many tables as its metrics need, each with the models that have one of them."""
    return "\n".join(table(part, number) for b in found for number, part in enumerate(parts(b), 1))


def parts(b: Board) -> list[Board]:
    """The columns that a model has a value in, in order, `WIDEST` at most together, with the models that have one."""
    shown = [c for c in b.columns if any(r.status == "ok" for r in c.records.values())]
    count = -(-len(shown) // WIDEST)
    found = []
    for i in range(count):
        columns = shown[i * len(shown) // count : (i + 1) * len(shown) // count]
        models = [m for m in b.models if any((r := c.records.get(m)) and r.status == "ok" for c in columns)]
        found.append(replace(b, models=models, columns=columns))
    return found


def table(b: Board, number: int) -> str:
    """One table, with its caption: which data, what the signs mean, what is bold."""
    references = [m for m in b.models if b.info[m]["family"] == "reference"]
    others = [m for m in b.models if m not in references]
    leaders = [best(column, others) for column in b.columns]

    def row(model: str) -> str:
        columns = zip(b.columns, leaders, strict=True)
        cells = [parted(b.record(model, c), model in first, c.signed) for c, first in columns]
        return " & ".join([escaped(model), *cells]) + r" \\"

    headers = " & ".join(["model", *(rf"\multicolumn{{3}}{{c}}{{{escaped(c.title)}}}" for c in b.columns)])
    rules = " ".join(rf"\cmidrule(lr){{{2 + 3 * i}-{4 + 3 * i}}}" for i in range(len(b.columns)))
    body = [row(m) for m in references] + [r"\midrule"] * bool(references and others) + [row(m) for m in others]
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption(b)}}}",
            rf"\label{{tab:{re.sub('[^a-z0-9]+', '-', b.dataset.lower()).strip('-')}-{number}}}",
            rf"\begin{{tabular}}{{l{'r@{ }r@{ }l' * len(b.columns)}}}",
            r"\toprule",
            rf"{headers} \\",
            rules,
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    ) + "\n"  # fmt: skip


def caption(b: Board) -> str:
    """What a reader needs beside the numbers."""
    records = [r for c in b.columns for r in c.records.values()]
    examples = sorted({r.dataset["n"] for r in records} - {None})
    samples = sorted({r.protocol["n_samples"] for r in records if "n_samples" in r.protocol})
    counts = [f"{', '.join(map(str, n))} {what}" for n, what in ((examples, "examples"), (samples, "samples")) if n]
    kinds = [("exact", "= exact"), ("upper_bound", r"\(\le\) upper bound"), ("lower_bound", r"\(\ge\) lower bound")]
    kinds += [("estimate", r"\(\sim\) or no sign: estimate")]
    used = {r.kind for r in records if r.status == "ok"}
    said = ", ".join(words for kind, words in kinds if kind in used)
    bold = "those that may be the best, with 95\\,\\% confidence for all models of a column at once"
    if not any(c.standing for c in b.columns):
        bold = "the best value of a column, even where others cannot be told from it"
    flagged = r" \(^\dagger\)\,flagged." if any(flag(r) for r in records) else ""
    return (
        f"{escaped(b.dataset)}, test split ({'; '.join(counts)}). {said}; \\(\\pm\\) the wider half of the "
        f"95\\,\\% interval; bold: {bold}.{flagged}"
    )


def best(column: Column, models: list[str]) -> set[str]:
    """The models that may be the best, without ranks those with the best value; none where no side is better."""
    if column.standing:
        return {m for m in column.standing.best if m in models}
    known = [m for m in models if (r := column.records.get(m)) and r.status == "ok" and r.value is not None]
    if column.direction == "none" or not known:
        return set()
    first = min(order_by(column, m) for m in known)
    return {m for m in known if order_by(column, m) == first}


def flag(record: Record) -> bool:
    return bool(record.details.get("flagged"))


def parted(record: Record | None, bold: bool, signed: bool) -> str:
    """`sign & number & interval`; what has no value stands in the middle of the three.

    Arguments:
        signed: whether the sign is shown: where all of a column are estimates it says nothing.
    """
    if record is None or record.status != "ok":
        word = "--" if record is None or record.status == "skipped" else record.status
        return rf"\multicolumn{{3}}{{c}}{{{escaped(word)}}}"
    sign, _, text = compact(record).removesuffix(NO_INTERVAL).partition(" ")
    power = ""
    if found := re.fullmatch(r"\((.*)\)e([+-]\d+)", text):  # (1.234 ±0.034)e-12: one power for both
        text, power = found[1], rf"\times 10^{{{int(found[2])}}}"
    number, _, half = text.partition(" ±")
    first = rf"\({SIGNS[sign]}\)" if signed else ""
    if number == "not finite":
        return rf"{first} & \multicolumn{{2}}{{l}}{{not finite}}".strip()
    left, right = ("(", ")") if power and half else ("", "")
    value = rf"{left}\mathbf{{{digits(number)}}}" if bold else left + digits(number)
    tail = rf"\pm {digits(half)}{right}{power}" if half else power
    tail += r"\ \textrm{no interval}" * record.alone
    mark = r"^\dagger" if flag(record) else ""
    end = rf"\({tail}{mark}\)" if tail or mark else ""
    return rf"{first} & \({value}\) & {end}".strip()


def digits(text: str) -> str:
    """A number as mathematics: thousands without the space of a comma, powers of ten as such."""
    mantissa, _, exponent = text.replace(",", "{,}").partition("e")
    return mantissa + (rf"\times 10^{{{int(exponent)}}}" if exponent else "")


def escaped(text: str) -> str:
    """Text of somebody else as LaTeX shows it.

    Example:
        >>> escaped("100% my_model {a}")
        '100\\\\% my\\\\_model \\\\{a\\\\}'
    """
    return "".join(SPECIAL.get(c, c) for c in one_line(text))
