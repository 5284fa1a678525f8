"""A board as a page of markdown: which model for what, a lead table, plots, a folded section for each question.

No line of a table is wider than `WIDTH` visible characters, which is what GitHub shows without scrolling.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tabulate import tabulate

from genbench.boards.columns import UNITS, Board, Column, Standing
from genbench.boards.ranks import ALONE
from genbench.boards.tables import SIGNS, Notes, cell, compact, left_out, legend, parameters
from genbench.text import PICTURED, fenced, one_line, slug
from genbench.text import markdown as shown

WIDTH = 125
MOST = 7  # columns of a table
LONG = 400  # characters of a paragraph: more is folded
NAMED = 4  # models that may be the best: a sentence names so many, and says how many others
MANY = 20  # models: of more, the lead table shows those that no other beats, and folds the others
QUESTIONS = {
    "likelihood": "Likelihood: how probable are unseen data under the model?",
    "fidelity": "Fidelity: how much are its samples like real data?",
    "diversity": "Diversity: how much of real data do its samples reach?",
    "copying": "Copying: how much do its samples owe to single training examples?",
    "modes": "Modes: which modes or classes do its samples fall into, and how evenly?",
    "representation": "Representation: what do latents and codes keep?",
    "translation": "Translation: are translated examples of the other domain, and what do they keep?",
    "uses": "Uses: does it find anomalies, decide well, and serve rare groups?",
    "cost": "Cost: how long does sampling take?",
    "": "Further metrics",
}
RANKS = (
    "Ranks, such as 2-4, are those that the data allow, with 95 % confidence for all models of a column at once "
    "(Mogstad et al., 2024). They order what a column certifies, the exact value or the upper bound. Real data, and "
    "models that copy them, have no rank by samples."
)
SHORT = (
    "A rank of 2-4: the data allow any of these, with 95 % confidence for all models of a column at once. "
    "± is half of a 95 % interval."
)
TRUE = "What bounds decide"
SPEED = ("1/s", "samples/s")  # the unit of a throughput, and how the first screen writes it
NONE = "-"  # in the lead table, in place of a value that does not apply or was not measured
HEADINGS = ("Notes", "Models")  # of every board, behind its folded sections
GAP = "ais-gap"  # how far a bound lies from what it bounds, on data that the model itself drew
PLOTS = {  # what ends the name of a plot, and what it shows
    "-likelihood-fidelity": "likelihood against the quality of samples",
    "-fidelity-speed": "quality of samples against speed",
}


@dataclass(frozen=True)
class Lead:
    """What stands on the first screen: the first column of four questions, as far as a board has them.

    A board that has none of them, of representations or of uses, or of nothing but modes, shows its first columns
    that most models have.
    """

    likelihood: Column | None
    fidelity: Column | None
    diversity: Column | None
    speed: Column | None
    others: tuple[Column, ...] = ()

    @property
    def columns(self) -> list[Column]:
        return [c for c in (self.likelihood, self.fidelity, self.diversity, self.speed, *self.others) if c]

    @property
    def ranked(self) -> list[Column]:
        """Those whose ranks order the models."""
        return [c for c in (self.likelihood, self.fidelity, *self.others[:1]) if c and c.standing]

    @classmethod
    def of(cls, b: Board) -> Lead:
        def first(*groups: str) -> Column | None:
            """The first column of the group, in the order of its cards, that most models have."""
            for group in groups:
                found = [c for c in b.columns if c.group == group and c.direction != "none" and c.measured]
                if found:
                    most = max(len(c.measured) for c in found)
                    return next(c for c in found if 2 * len(c.measured) >= most)
            return None

        kept = next((c for c in b.columns if c.metric == "class-kept" and c.measured), None)
        diverse = first("diversity", "modes") or kept  # of translations: what they keep
        four = first("likelihood"), first("fidelity", "translation"), diverse, first("cost")
        sided = [c for c in b.columns if c.direction != "none" and c.measured]
        if any(four) and {c.group for c in sided} != {"modes"}:
            return cls(*four)
        most = max((len(c.measured) for c in sided), default=0)
        return cls(None, None, None, None, tuple([c for c in sided if 2 * len(c.measured) >= most][:4]))


def markdown(
    found: list[Board], pictures: Path | None = None, folder: Path | None = None, twin: str | None = None
) -> str:
    """The page of one or several boards.

    Arguments:
        pictures: the run's folder of pictures, None for a page without.
        folder: the folder that the page will lie in, from which links to pictures start; without one there are none.
        twin: name of the same page in HTML, where there is one.
    """
    if folder is None or (pictures and not pictures.is_dir()):
        pictures = None
    name = Path(twin).stem if twin else ""
    several = bool(name) and len(found) > 1
    heads = [b.dataset if several or name in ("", b.dataset) else f"{name}: {b.dataset}" for b in found]
    headings = [[head, *HEADINGS, *(b.models if pictures else [])] for b, head in zip(found, heads, strict=True)]
    ids = iter(anchors([*([name] if several else []), *(text for some in headings for text in some)]))
    parts = [f"# {shown(name)}"] if several else []
    if several:
        next(ids)
    links = [[next(ids) for _ in some] for some in headings]
    if several:
        rows = zip(found, heads, links, strict=True)
        parts.append("\n".join(f"- [{shown(head)}](#{link[0]}): {in_short(b)}" for b, head, link in rows))
    for b, head, link in zip(found, heads, links, strict=True):
        of_models = dict(zip(b.models, link[1 + len(HEADINGS) :], strict=True)) if pictures else {}
        parts += of_board(b, head, of_models, pictures, folder, twin)
    return "\n\n".join(parts) + "\n"


def of_board(
    b: Board, head: str, links: Mapping[str, str], pictures: Path | None, folder: Path | None, twin: str | None
) -> list[str]:
    """The parts of one board.

    Arguments:
        links: what each model's section is called in links, empty without such sections.
    """
    notes, lead = Notes(), Lead.of(b)
    parts = [f"# {shown(head)}", about(b)]
    said = [f"- **{words}** {text}" if words else f"- {text}" for words, text in sentences(b, lead, shown)]
    parts += ["\n".join(said)] if said else []
    parts.append(lead_table(b, lead, notes, links))
    parts += [SHORT] if lead.ranked else []
    true = of_true_likelihoods(b, lead.likelihood, shown)
    if true:
        parts.append(f"**{TRUE}:** {true}" if len(true) <= LONG else folded(TRUE, true))
    parts += plots(b, pictures, folder)
    parts += [f"[{twin}]({twin}), opened in a browser, has this table to sort and to filter."] if twin else []
    parts += sections(b, notes)
    parts.append(f"## {HEADINGS[0]}")
    parts += map(shown, left_out(b, notes))
    parts += [text] if (text := of_ranks(b, shown)) else []
    parts += legend(b, shown)
    parts += ["\n".join(f"- [{i}] {shown(text)}" for i, text in enumerate(notes.texts, 1))] if notes.texts else []
    return parts + gallery(b, pictures, folder)


def about(b: Board, shown: Callable[[str], str] = shown) -> str:
    """What the data are, and how much there is of models and metrics, in a line."""
    text = shown(b.about)
    models = sum(b.info[m]["family"] != "reference" for m in b.models)
    size = f"{models:,} model{'s' * (models != 1)}, {len(b.columns):,} metric{'s' * (len(b.columns) != 1)}."
    return f"{text[:1].upper()}{text[1:]}. {size}" if text else size


def in_short(b: Board) -> str:
    """What the sentences of a board say of its best models, in a line."""
    said = [f"{words.lower()} {text}" for words, text in sentences(b, Lead.of(b), shown) if words.startswith("Best")]
    return " ".join(said) or about(b)


def anchors(headings: Iterable[str]) -> list[str]:
    """What GitHub calls the headings of a page in links: the second of two that are called alike has -1 behind it."""
    found: list[str] = []
    for text in headings:
        plain = re.sub(r"[^\w\- ]", "", one_line(text).lower()).replace(" ", "-")
        n, name = 0, plain
        while name in found:
            n += 1
            name = f"{plain}-{n}"
        found.append(name)
    return found


def folded(summary: str, *parts: str) -> str:
    return "\n\n".join([f"<details><summary>{summary}</summary>", *parts, "</details>"])


def relative(path: Path, folder: Path) -> str:
    """The way from a folder to a file, as a link writes it."""
    return quote(Path(os.path.relpath(path, folder)).as_posix())


def of_ranks(b: Board, shown: Callable[[str], str] = one_line) -> str:
    """What the ranks of a board are, and on what those of each column rest; empty without ranks."""
    resting: dict[str, dict[str, None]] = {}
    for c in b.columns:
        if c.standing:
            resting.setdefault(c.standing.said, {})[shown(c.metric)] = None
    if not resting:
        return ""
    most = ALONE if ALONE in resting else max(resting, key=lambda said: len(resting[said]))
    each = [f"{', '.join(names)} {said}" for said, names in resting.items() if said != most]
    rest = "the others" if each else "the values"
    return f"{RANKS} They compare {'; '.join([*each, f'{rest} {most}'])}."


# --- The first screen


def sentences(b: Board, lead: Lead, shown: Callable[[str], str] = one_line) -> list[tuple[str, str]]:
    """Which model for what: the best by likelihood and by samples, good at both, good and fast; and what is flagged.

    Each with the words that it opens with, perhaps none.

    Arguments:
        shown: how the page writes what is not our own.
    """
    said = []
    of_samples = "translations" if lead.fidelity and lead.fidelity.group == "translation" else "samples"
    asked = [("Best likelihood", lead.likelihood), (f"Best {of_samples}", lead.fidelity)]
    asked += [("Best", c) for c in lead.others[:1]]
    for words, column in asked:
        if column and column.standing and column.standing.best:
            said.append((words, f"by {explained(column, shown)}: {may_be_best(b, column, column.standing, shown)}"))
    ranked = [c.standing for c in lead.ranked if c.standing]
    both = [m for m in in_order(b, ranked) if all(m in standing.ranks for standing in ranked)]
    if len(ranked) == 2 and both:
        places = " and ".join(standing.text(both[0]) for standing in ranked)
        said.append(("Good at both:", f"{shown(both[0])} (ranks {places})."))
    if lead.fidelity and lead.speed and (standing := lead.fidelity.standing):
        speed = lead.speed
        better = 1 if speed.direction == "higher" else -1
        timed = {m: better * r.value for m in standing.best if (r := speed.records.get(m)) and r.value is not None}
        if timed:
            fastest = max(timed, key=timed.__getitem__)
            value = f"{rough(compact(speed.records[fastest], sign=False))} {dict([SPEED]).get(speed.unit, speed.unit)}"
            said.append(("Good and fast:", f"{shown(fastest)} ({shown(value)})."))
    flags: dict[str, list[str]] = {}
    for c in b.columns:
        for model, record in c.records.items():
            if record.details.get("flagged"):
                flags.setdefault(one_line(record.details.get("flag", "flagged")), []).append(model)
    said += [("", f"⚑ {listed(dict.fromkeys(models), shown)}: {shown(flag)}.") for flag, models in flags.items()]
    return said


def explained(column: Column, shown: Callable[[str], str]) -> str:
    """`nll k=1000 (negative log-likelihood in bits/dim)`."""
    title = column.card.get("title", "")
    words = " in ".join(filter(None, [title, column.unit if UNITS.get(column.unit, True) else ""]))
    name = f"{column.metric} {column.differs}".strip()
    return shown(f"{name} ({words})" if words else name)


def rough(text: str) -> str:
    """A value as its interval has rounded it, without the interval."""
    return text if text.startswith("(") else text.partition(" ±")[0]


def may_be_best(b: Board, column: Column, standing: Standing, shown: Callable[[str], str]) -> str:
    """`a (5.0 ±2.1), beyond chance.`, or which models may each be the best; and what real data have."""
    values = {m: f"{shown(m)} ({shown(compact(column.records[m], sign=False))})" for m in standing.best}
    some, more = [*values.values()][:NAMED], len(values) - NAMED
    if len(values) == 1:
        said = f"{some[0]}, beyond chance"
    elif len(values) == len(standing.ranks):
        said = "no model can be told from the best"
    elif more > 0:
        said = f"{', '.join(some)} or {more} more, each of which may be the best"
    else:
        said = f"{', '.join(some[:-1])} or {some[-1]}, each of which may be the best"
    real = [
        f"{shown(m)} {'have' if m.endswith('data') else 'has'} {shown(compact(r, sign=False))}"
        for m, r in column.records.items()
        if b.info[m]["family"] == "reference" and r.status == "ok"
    ]
    return f"{'; '.join([said, *real])}."


def of_true_likelihoods(b: Board, column: Column | None, shown: Callable[[str], str] = one_line) -> str:
    """What follows for them where values are bounds; empty where none is.

    A model is better than another for certain only if its bound lies on the better side of the other's exact value,
    beyond chance: if no rank of its set is one of the other's, or worse.
    """
    if column is None or column.standing is None:
        return ""
    ranks, limit = column.standing.ranks, "lower_bound" if column.direction == "higher" else "upper_bound"
    bounds = sorted((m for m in ranks if column.records[m].kind == limit), key=lambda m: (ranks[m], m))
    exact = [m for m in ranks if column.records[m].kind == "exact"]
    opposite = "upper_bound" if limit == "lower_bound" else "lower_bound"
    hopeful = [m for m in b.models if m not in ranks and (r := column.records.get(m)) and r.kind == opposite]
    unranked = f"no rank has {listed(hopeful, shown)}, whose true value may be any worse one" if hopeful else ""
    if not bounds:
        return f"{unranked}." if unranked else ""
    side = "lower" if limit == "upper_bound" else "higher"
    rule = f"behind a bound ({SIGNS[limit]}) the true value may be any {side} one, so two bounds decide nothing"
    if exact:
        wins = {m: sum(ranks[m][1] < ranks[e][0] for e in exact) for m in bounds}
        alike = {n: [m for m in bounds if wins[m] == n] for n in sorted(set(wins.values()), reverse=True)}
        each = [f"{listed(models, shown)} than {n or 'none'}" for n, models in alike.items()]
        rule += f". For certain better than so many of the {len(exact)} with an exact value: {'; '.join(each)}"
    gaps = [c for c in b.columns if c.metric == GAP]
    found = [f"{shown(m)} {shown(compact(r, sign=False))} {shown(c.unit)}" for c in gaps for m, r in c.records.items()
             if r.status == "ok"]  # fmt: skip
    rule += f"; {unranked}" if unranked else ""
    loose = "The bounds of annealed importance sampling are loose, by BDMC on simulated data, by"
    return f"{rule}." + (f" {loose}: {', '.join(found)}." if found else "")


def listed(models: Iterable[str], shown: Callable[[str], str] = shown) -> str:
    names = [shown(m) for m in models]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def lead_table(b: Board, lead: Lead, notes: Notes, links: Mapping[str, str]) -> str:
    """Two sets of ranks, the model, and one value for each of four questions.

    Of `MANY` models those that another one beats, in every column that ranks both, are in a second table, folded.
    """
    ranking = [(c, c.standing) for c in lead.ranked if c.standing]
    values = [led(b, c, lead, notes) for c in lead.columns]
    rows = {}
    for model in in_order(b, [standing for _, standing in ranking]):
        name = f"[{shown(model)}](#{links[model]})" if links else shown(model)
        cells = [shown(drawn.cells[model]) for drawn in values]
        rows[model] = [*(standing.text(model) for _, standing in ranking), name, *cells]
    headers = [*(f"by {c.metric}" for c, _ in ranking), "model", *(drawn.header for drawn in values)]
    left = [*(len(header) for header in headers[: len(ranking)]), max(len(one_line(m)) for m in b.models)]
    kept = len(values)
    while kept > 1 and sum(left) + sum(d.width for d in values[:kept]) + 3 * (len(left) + kept) + 1 > WIDTH:
        kept -= 1  # the others stand in their sections
    end = len(left) + kept
    headers, rows = headers[:end], {model: row[:end] for model, row in rows.items()}
    below = beaten(b, [standing for _, standing in ranking]) if len(rows) > MANY else set()
    above = [row for model, row in rows.items() if model not in below]
    table = pipes(above or list(rows.values()), headers, len(ranking) + 1)
    if not above or not below:
        return table
    others = [row for model, row in rows.items() if model in below]
    summary = f"{len(others)} more, each beaten beyond chance by a model above in every ranking that it has"
    return f"{table}\n\n{folded(summary, pipes(others, headers, len(ranking) + 1))}"


def led(b: Board, column: Column, lead: Lead, notes: Notes) -> Drawn:
    """A column of the lead table: why a value is missing is left to the sections, and so is how well speed is known."""
    drawn = Drawn.of(b, column, None, notes, brief=True)
    if column is not lead.speed or column.unit != SPEED[0]:
        return drawn
    header = drawn.header.replace(f"{column.metric} ({SPEED[0]})", SPEED[1])
    return Drawn(column, header, {m: rough(text) for m, text in drawn.cells.items()})


def beaten(b: Board, standings: list[Standing]) -> set[str]:
    """The models that another one beats in every column that ranks them, and those that no column ranks.

    What beats is ranked in all of these columns, and its set of ranks ends before the other's begins. Reference rows
    are never among them.
    """
    found = set()
    for model in b.models:
        mine = [s.ranks for s in standings if model in s.ranks]
        others = [m for m in b.models if m != model and all(m in ranks for ranks in mine)]
        if b.info[model]["family"] != "reference" and any(
            all(ranks[other][1] < ranks[model][0] for ranks in mine) for other in others
        ):
            found.add(model)
    return found


def in_order(b: Board, standings: list[Standing]) -> list[str]:
    """Reference rows, then the models by the mean of where their rank sets lie among those that are ranked.

    A model that one of the two does not rank stands where the other puts it; one without any, at the end. What is equal
    stays in the order of the board.
    """

    def place(model: str) -> tuple[int, float]:
        if b.info[model]["family"] == "reference":
            return 0, 0.0
        shares = [(sum(s.ranks[model]) / 2 - 0.5) / len(s.ranks) for s in standings if model in s.ranks]
        return (1, sum(shares) / len(shares)) if shares else (2, 0.0)

    return sorted(b.models, key=place)


def pipes(rows: list[list[str]], headers: list[str], left: int) -> str:
    """A table of markdown whose first `left` columns are to the left; cells are markdown already, headers are not."""
    align = ["left"] * left + ["right"] * (len(headers) - left)
    return tabulate(rows, [*map(shown, headers)], tablefmt="pipe", colalign=align, disable_numparse=True)


def plots(b: Board, pictures: Path | None, folder: Path | None) -> list[str]:
    """Links to the plots of the board that there are."""
    if pictures is None or folder is None:
        return []
    paths = {pictures / f"{slug(b.dataset)}{end}.svg": words for end, words in PLOTS.items()}
    links = [f"![{words}]({relative(path, folder)})" for path, words in paths.items() if path.is_file()]
    return [" ".join(links)] if links else []


# --- A folded section for each question


def sections(b: Board, notes: Notes) -> list[str]:
    """What was measured, by the groups of the metrics' cards, each in the features of one extractor after another."""
    without = {id(c) for c in b.unmeasured}
    parts = []
    for group, question in QUESTIONS.items():
        columns = [c for c in b.columns if id(c) not in without and (c.group if c.group in QUESTIONS else "") == group]
        inner = []
        for extractor in dict.fromkeys(c.extractor for c in columns):
            some = [c for c in columns if c.extractor == extractor]
            inner += [f"In the features of `{shown(extractor)}`:"] if extractor else []
            inner += tables(b, some, notes)
            said = dict.fromkeys(f"- {c.metric}: {what}" for c in some if (what := described_metric(c)))
            inner += ["\n".join(map(shown, said))] if said else []
        if inner:
            parts.append(folded(question, *inner))
    return parts


def described_metric(c: Column) -> str:
    """`Fréchet distance (Heusel et al., 2017). It misses: the tails.`, from the metric's card."""
    return ". It misses: ".join(filter(None, [c.about, c.card.get("misses", "")]))


def tables(b: Board, columns: list[Column], notes: Notes) -> list[str]:
    """The columns that at least half of the models have, then those of the same few models together.

    As few tables as `MOST` columns and `WIDTH` characters allow.
    """
    common = [c for c in columns if 2 * len(c.measured) >= len(b.models)]
    special: dict[frozenset[str], list[Column]] = {}
    for c in columns:
        if c not in common:
            special.setdefault(frozenset(c.measured), []).append(c)
    room = WIDTH - 4 - max(len(one_line(m)) for m in b.models)
    found: list[str] = []
    for together in filter(None, [common, *special.values()]):
        part: list[Drawn] = []
        for drawn in [Drawn.of(b, c, c.standing, notes) for c in together]:
            if part and (len(part) + 1 == MOST or sum(d.width + 3 for d in (*part, drawn)) > room):
                found += one_table(b, part)
                part = []
            part.append(drawn)
        found += one_table(b, part)
    return found


@dataclass(frozen=True)
class Drawn:
    """A column as it is written: the header and, of every model, a cell.

    A footnote that all values share stands at the header.
    """

    column: Column
    header: str
    cells: Mapping[str, str]

    @classmethod
    def of(cls, b: Board, column: Column, standing: Standing | None, notes: Notes, brief: bool = False) -> Drawn:
        there = {m for m, r in column.records.items() if r.status != "skipped"} if brief else {*b.models}
        cells = {m: cell(b.record(m, column), notes, sign=column.signed) if m in there else NONE for m in b.models}
        header, cells = raised(column, cells)
        if standing:
            cells = {m: f"{text} ({rank})" if (rank := standing.text(m)) else text for m, text in cells.items()}
        return cls(column, header, cells)

    @property
    def width(self) -> int:
        return max(len(self.header), *map(len, self.cells.values()))


def raised(column: Column, cells: dict[str, str]) -> tuple[str, dict[str, str]]:
    """The header with the footnotes that all values share, and the cells without them."""
    values = [m for m in cells if (r := column.records.get(m)) and r.status == "ok"]
    marks = [re.findall(r" \[\d+\]", cells[m]) for m in values]
    common = [mark for mark in marks[0] if all(mark in some for some in marks)] if len(values) > 1 else []
    for mark in common:
        cells = {m: text.replace(mark, "", 1) if m in values else text for m, text in cells.items()}
    return column.heading + "".join(common), cells


def one_table(b: Board, part: list[Drawn]) -> list[str]:
    """The models that have a value in it, and below it why the others have none."""
    measured = set().union(*(drawn.column.measured for drawn in part)) or set(b.models)
    rows = [[shown(m), *(shown(drawn.cells[m]) for drawn in part)] for m in b.models if m in measured]
    reasons: dict[str, list[str]] = {}
    for m in b.models:
        if m not in measured:
            why = " ".join(dict.fromkeys(drawn.cells[m].removeprefix("n/a ") for drawn in part))
            reasons.setdefault(why, []).append(m)
    table = pipes(rows, ["model", *(drawn.header for drawn in part)], 1)
    if not reasons:
        return [table]
    rest = max(reasons, key=lambda why: len(reasons[why])) if max(map(len, reasons.values())) > 3 else None
    said = [f"{listed(models)} {why}" for why, models in reasons.items() if why != rest]
    said += [f"{'the others' if said else 'the other models'} {rest}"] if rest is not None else []
    return [table, f"No value: {'; '.join(said)}."]


# --- A section for each model


def gallery(b: Board, pictures: Path | None, folder: Path | None) -> list[str]:
    """What each model is and where it is from, and what there is to see of it."""
    if pictures is None or folder is None:
        return ["## Models", "\n".join(f"- {shown(model)}: {shown(described(b, model))}" for model in b.models)]
    return ["## Models", *(part for model in b.models for part in portrait(b, model, pictures, folder))]


def described(b: Board, model: str) -> str:
    """`flow, 82,904 parameters, baselines/checkpoints/digits/realnvp.safetensors`."""
    info = b.info[model]
    count = parameters(info)
    words = (one_line(info["family"]), f"{count} parameters" if count else "", one_line(info.get("source") or ""))
    return ", ".join(filter(None, words))


def portrait(b: Board, model: str, pictures: Path, folder: Path) -> list[str]:
    parts = [f"### {shown(model)}", shown(described(b, model))]
    files = {what: where(pictures, b.dataset, f"{slug(model)}{end}.png") for end, what in PICTURED.items()}
    seen = [(what, path) for what, path in files.items() if path.is_file()]
    while seen:
        n = 2 if sum(len(what) for what, _ in seen[:2]) < WIDTH - 10 else 1  # two beside each other fill the width
        links = [[f"![{path.stem}]({relative(path, folder)})" for _, path in seen[:n]]]
        parts.append(tabulate(links, [what for what, _ in seen[:n]], tablefmt="pipe", disable_numparse=True))
        seen = seen[n:]
    text = where(pictures, b.dataset, f"{slug(model)}.txt")
    if text.is_file():
        parts.append(fenced(text.read_text(encoding="utf-8").rstrip()))
    return parts + trainings(b, model)


def trainings(b: Board, model: str) -> list[str]:
    """Of a row of several checkpoints what each of them reached, and how it was trained."""
    said = b.info[model].get("trainings")
    if not said:
        return []
    columns = [c for c in b.columns if (r := b.record(model, c)) is not None and "seeds" in r.details]
    lines = [
        [seed_of(one), *(plain(c.records[model].details["seeds"][i]) for c in columns)] for i, one in enumerate(said)
    ]
    tables = [
        pipes([[line[0], *line[1 + i : MOST + i]] for line in lines], ["seed", *titles], 1)
        for i in range(0, len(columns), MOST - 1)
        if (titles := [shown(c.title) for c in columns[i : i + MOST - 1]])
    ]
    commands: dict[str, list[str]] = {}
    for one in said:
        if one["command"]:
            commands.setdefault(one["command"], []).append(seed_of(one))
    lines_of = "\n".join(f"{line}  # seed {', '.join(seeds)}" for line, seeds in commands.items())
    return [folded(f"Its {len(said)} trainings", *tables, *([fenced(lines_of)] if lines_of else []))]


def where(pictures: Path, dataset: str, file: str) -> Path:
    """A picture of a model: in the data set's own folder, which a board of several has, or else among all."""
    own = pictures / slug(dataset) / file
    return own if own.is_file() else pictures / file


def seed_of(training: Mapping[str, object]) -> str:
    seed = training["seed"]
    return str(seed) if isinstance(seed, int) else "?"


def plain(value: float | None) -> str:
    """A value of one of several trainings, without an interval of its own."""
    return "none" if value is None else f"{value:.4g}"
