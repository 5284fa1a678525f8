"""Published boards -> their index: the best models of each, and which was measured where, with what is missing."""

from __future__ import annotations

from collections import Counter

from genbench.boards.columns import Board, Column, boards
from genbench.boards.markdown import WIDTH, Lead, pipes
from genbench.boards.ranks import rank
from genbench.boards.seeds import shown_rows
from genbench.run.records import Run
from genbench.text import markdown as shown
from genbench.text import one_line, short

LONGEST = 26  # characters of a name in a line of the index
HEADING = "# Leaderboards"  # what a file begins with that may be replaced by an index


def index(found: dict[str, Run], ready: dict[str, list[Board]] | None = None) -> str:
    """The page in markdown; a board's name is that of its folder and of its page.

    Arguments:
        ready: by these names, boards that have their ranks; of others those of the lead are made.
    """
    of = {name: (ready or {}).get(name) or led(run) for name, run in found.items()}
    lines = [
        [f"[{shown(name)}]({name}.md)" if i == 0 else "", *map(shown, line(b))]
        for name in found
        for i, b in enumerate(of[name])
    ]
    headers = ["board", "data", "best by likelihood", "best by samples, or as said", "models"]
    model_rows: dict[str, dict[str, str]] = {}
    families: dict[str, str] = {}
    for name, run in found.items():
        for b in of[name]:
            for model in b.models:
                families.setdefault(model, b.info[model]["family"])
                model_rows.setdefault(model, {})[name] = counted(b, model, run)
    models = sorted(families, key=lambda m: (families[m] != "reference", families[m], m))
    return "\n\n".join(
        [
            HEADING,
            pipes(lines, headers, 4),
            "The best is what the data allow to be, with 95 % confidence: `a, +2` is a model and two others that may "
            "be the best as well, `any` is all of them.",
            "Made by `genbench leaderboard --all`, with every page; `genbench leaderboard --all --check` compares them "
            "with the records.",
            "## Which model is on which board",
            "The number of metrics with a value; of all that apply to the model where some are missing or failed, "
            "`30/37`; n/a where none applies. An empty cell: not on that board.",
            *matrix(models, families, model_rows, list(found)),
        ]
    ) + "\n"  # fmt: skip


def led(run: Run) -> list[Board]:
    """The boards of a run, with the ranks of the columns that lead."""
    found = boards(shown_rows([run]))
    rank(found, [run], lambda b: Lead.of(b).columns)
    return found


def matrix(models: list[str], families: dict[str, str], rows: dict[str, dict[str, str]], names: list[str]) -> list[str]:
    """Tables of models by boards, grouped by family: as many boards in each as `WIDTH` allows, and their models."""
    room = WIDTH - 4 - max((len(one_line(m)) for m in models), default=0)
    parts: list[list[str]] = []
    left = -1
    for name in names:
        width = max(len(name) + 2, *(len(row.get(name, "")) for row in rows.values())) + 3  # tabulate pads headers
        if width > left:
            parts.append([])
            left = room
        parts[-1].append(name)
        left -= width
    tables = []
    for part in parts:
        lines, family = [], None
        for m in models:
            if not any(name in rows[m] for name in part):
                continue
            if families[m] != family:
                family = families[m]
                lines.append([f"**{shown(family)}**", *("" for _ in part)])
            lines.append([shown(m), *(rows[m].get(name, "") for name in part)])
        tables.append(pipes(lines, ["model", *part], 1))
    return tables


def line(b: Board) -> list[str]:
    """Of the rows of one data set: its name, which models may be the best, and how many there are."""
    lead = Lead.of(b)
    models = sum(b.info[m]["family"] != "reference" for m in b.models)
    other = lead.others[0] if lead.others else None
    samples = best(lead.fidelity) or (f"{best(other)} (by {other.metric})" if other and best(other) else "")
    return [one_line(b.dataset), best(lead.likelihood), samples, f"{models:,}"]


def best(column: Column | None) -> str:
    """`a`, or `a, +2` where two more may be the best; `any` where all may, empty without ranks."""
    if column is None or column.standing is None or not column.standing.best:
        return ""
    first, *others = column.standing.best
    if others and len(column.standing.best) == len(column.standing.ranks):
        return "any"
    return f"{short(first, LONGEST)}, +{len(others)}" if others else short(first, LONGEST)


def counted(b: Board, model: str, run: Run) -> str:
    """`12`, the metrics that the board has of a model, or `30/37`, of how many that apply; `n/a` where none does."""
    status = Counter(r.status for c in b.columns if (r := b.record(model, c)) is not None)
    missing = {(c.name, c.differs) for c in b.columns if b.record(model, c) is None}
    known = {r.cell_id for c in b.columns for r in c.records.values()}
    names = {name for name, _ in missing}
    has = {c.name for c in b.columns if b.record(model, c) is not None}
    planned = {label for row in run.rows().values() if (row.get("seeds") or row)["name"] == model
               for cell, label in row["cells"].items() if cell not in known}  # fmt: skip
    apply = sum(status.values()) - status["skipped"] + len(missing) + len(planned - names - has)
    return "n/a" if not apply else f"{apply}" if status["ok"] == apply else f"{status['ok']}/{apply}"
