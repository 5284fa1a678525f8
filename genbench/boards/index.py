"""Published boards -> their index: a line for each, and which model was measured on which, with what is missing."""

from __future__ import annotations

from collections import Counter

from genbench.boards.columns import Board, boards
from genbench.boards.markdown import pipes
from genbench.boards.seeds import shown_rows
from genbench.run.records import Run
from genbench.text import markdown as shown

HEADING = "# Leaderboards"  # what a file begins with that may be replaced by an index


def index(found: dict[str, Run]) -> str:
    """The page in markdown; a board's name is that of its folder and of its page."""
    of = {name: boards(shown_rows([run])) for name, run in found.items()}
    lines = [[f"[{shown(name)}]({name}.md)", *map(shown, line(of[name]))] for name in found]
    headers = ["board", "data", "test examples", "models", "metrics", "values", "last measured"]
    model_rows: dict[str, dict[str, str]] = {}
    families: dict[str, str] = {}
    for name, run in found.items():
        for b in of[name]:
            for model in b.models:
                families.setdefault(model, b.info[model]["family"])
                model_rows.setdefault(model, {})[name] = counted(b, model, run)
    models = sorted(families, key=lambda m: (families[m] != "reference", families[m], m))
    matrix = [[shown(m), shown(families[m]), *(model_rows[m].get(name, "") for name in found)] for m in models]
    return "\n\n".join(
        [
            HEADING,
            pipes(lines, headers, 2),
            "Made by `genbench leaderboard --all`, with every page; `genbench leaderboard --all --check` compares them "
            "with the records.",
            "## Which model is on which board",
            "The number of metrics with a value; in brackets those that do not apply to the model (n/a), that failed, "
            "and that the board has for others and not for it (missing). An empty cell: not on that board.",
            pipes(matrix, ["model", "family", *found], 2),
        ]
    ) + "\n"  # fmt: skip


def line(of: list[Board]) -> list[str]:
    """Of a board: its data, test examples, models, metrics and values, and the day of the last of them."""
    records = [r for b in of for column in b.columns for r in column.records.values()]
    examples = sorted({r.dataset["n"] for r in records if r.dataset["n"]})
    return [
        ", ".join(b.dataset for b in of),
        ", ".join(f"{n:,}" for n in examples),
        f"{len({m for b in of for m in b.models}):,}",
        f"{sum(len(b.columns) for b in of):,}",
        f"{sum(r.status == 'ok' for r in records):,}",
        max((r.ended[:10] for r in records), default=""),
    ]


def counted(b: Board, model: str, run: Run) -> str:
    """`14 (3 n/a, 2 missing)`: what the board has of a model."""
    status = Counter(r.status for c in b.columns if (r := b.record(model, c)) is not None)
    missing = {(c.name, c.differs) for c in b.columns if b.record(model, c) is None}
    known = {r.cell_id for c in b.columns for r in c.records.values()}
    names = {name for name, _ in missing}
    planned = {label for row in run.rows().values() if (row.get("seeds") or row)["name"] == model
               for cell, label in row["cells"].items() if cell not in known}  # fmt: skip
    failed = sum(n for word, n in status.items() if word not in ("ok", "skipped"))
    counts = {"n/a": status["skipped"], "failed": failed, "missing": len(missing) + len(planned - names)}
    said = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    return f"{status['ok']}" + (f" ({said})" if said else "")
