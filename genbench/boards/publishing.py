"""Runs -> a published board: one file of records, what comparing needs of the arrays, pictures, and the pages of them.

leaderboards/PAGE.md                the page as GitHub shows it
leaderboards/PAGE.html              the page for a browser, in one file
leaderboards/PAGE/records.jsonl     every record, a line of canonical JSON each, by cell id, after what they say alike
leaderboards/PAGE/manifest.json     the rows, the cells planned for them, and the commands
leaderboards/PAGE/replicates.npz    values of every test example, and how values move with the training examples, in
                                    float32, where a run has kept them
leaderboards/PAGE/pictures/         samples of every model, and plots
leaderboards/README.md              the index
leaderboards/reproduction.md        published figures beside ours, where reproduction.toml lists some

The same records give the same bytes of every file. `pages_of` and `index` say what has to stand in records and pages,
so that writing and checking cannot differ; the bytes of a plot depend on the version of matplotlib too, and are not
checked.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from genbench.boards.columns import Board, boards, column_key
from genbench.boards.index import HEADING, index
from genbench.boards.markdown import markdown
from genbench.boards.ranks import PER_EXAMPLE, rank
from genbench.boards.reproduction import FIGURES, figures_of, reproduction
from genbench.boards.reproduction import PAGE as REPRODUCTION
from genbench.boards.seeds import shown_rows
from genbench.boards.web import html
from genbench.errors import GenbenchError
from genbench.run.records import SHARED, Record, Run, example_values, join_manifests, model_key, open_run, pack
from genbench.text import PICTURED, slug

INDEX = "README.md"


def publish(runs: list[Run], folder: Path) -> list[Path]:
    """Packs the records of runs into `folder`, with their pictures, writes its pages, and says which files it wrote.

    The runs are the whole board: one that is already there is replaced. It may itself be among them, so that a row is
    added by naming both.

    Raises:
        GenbenchError: a run has no record, or what cannot be read; a row of the board that is there would be lost; or
            nothing can be written.
    """
    records = with_intervals(together(runs))
    page = Run(folder)
    lost = names_of([page]) - names_of(runs)
    if lost:
        raise GenbenchError(
            f"{folder} has {len(lost)} rows that these runs lack, {min(lost)} among them",
            f"To add to it, name {folder} among the runs too; to replace it, remove it first.",
        )
    manifest: dict = {}
    for run in runs:
        manifest = join_manifests(manifest, run.manifest())
    values = values_behind(records, runs)
    pictures = pictures_of(runs)
    page.check()
    page.write(page.pack, pack(records))
    page.replace_manifest({**manifest, "rows": settled(manifest.get("rows", {}), {r.cell_id for r in records})})
    if values:
        page.write(page.replicates, packed_values(values))
    else:
        page.replicates.unlink(missing_ok=True)
    for name, data in pictures.items():
        page.write(page.pictures / name, data)
    for cell in page.files():  # what the pack holds now
        cell.unlink()
    if page.cells.is_dir():
        page.cells.rmdir()
    draw(folder)
    ready = ranked(folder)
    written = pages_of(folder, ready)
    if is_index(folder.parent / INDEX):
        written |= index_of(folder.parent, {folder.name: ready[1]})
    for path, data in written.items():
        page.write(path, data)
    return [*([page.replicates] if values else []), *written]


def together(runs: Iterable[Run]) -> list[Record]:
    """Every record of the runs by its cell id; of a cell that two of them measured, what ended later.

    Raises:
        GenbenchError: a file cannot be read, or there is no record.
    """
    found: dict[str, Record] = {}
    for run in runs:
        for _, why in run.unreadable():
            raise GenbenchError(why, "Repair or remove it first: a board has all of its records, or none.")
        for record in run.records():
            old = found.get(record.cell_id)
            if old is None or old.ended <= record.ended:
                found[record.cell_id] = record
    if not found:
        raise GenbenchError("no record to publish", "Measure something first: `genbench evaluate -o RUN`.")
    return [found[cell_id] for cell_id in sorted(found)]


def with_intervals(records: list[Record]) -> list[Record]:
    """Those that have the interval that was asked for, one of every value.

    Raises:
        GenbenchError: a value was measured with --no-intervals alone: ranks and claims would take it for one that is
            known without error, or pass over it.
    """

    def place(record: Record) -> tuple[str, str]:
        return model_key(record), column_key(record)

    whole = {place(record) for record in records if not record.alone}
    alone = [record for record in records if record.alone and place(record) not in whole]
    if alone:
        raise GenbenchError(
            f"{len(alone)} values were measured with --no-intervals, {alone[0].metric['name']} among them",
            "Measure them with their intervals: the same `genbench evaluate` without --no-intervals.",
        )
    return [record for record in records if not record.alone]


def settled(rows: dict[str, Any], measured: set[str]) -> dict[str, Any]:
    """The rows of a manifest without plans that later ones replaced, so that they do not count as missing.

    Of a row these are cells without a record whose metric has one in it (of another version); of rows with one name
    those without any record (of a checkpoint that was trained anew).
    """
    names = {row["name"] for row in rows.values() if measured & row["cells"].keys()}
    found = {}
    for key, row in rows.items():
        known = {label for cell, label in row["cells"].items() if cell in measured}
        cells = {cell: label for cell, label in row["cells"].items() if cell in measured or label not in known}
        if known or row["name"] not in names:
            found[key] = {**row, "cells": cells}
    return found


def names_of(runs: Iterable[Run]) -> set[str]:
    """The names of the rows that the runs show."""
    return {record.model["name"] for record in shown_rows(list(runs))}


def values_behind(records: Iterable[Record], runs: Iterable[Run]) -> dict[str, np.ndarray]:
    """What the runs keep of every test example, or of the training examples, by the content keys of the records."""
    keys = {r.arrays[name] for r in records for name in (*PER_EXAMPLE.values(), SHARED) if name in r.arrays}
    return {key: values for key in sorted(keys) if (values := example_values(runs, key)) is not None}


def packed_values(values: dict[str, np.ndarray]) -> bytes:
    """An `.npz` of them in float32: rounding by 6e-8 of a value is far below any standard error."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{key: v.astype(np.float32) for key, v in values.items()})
    return buffer.getvalue()


def pictures_of(runs: Iterable[Run]) -> dict[str, bytes]:
    """The pictures and texts of the models in the rows, by their places in the board's folder of pictures.

    Where the runs are of several data sets, those of a run of one lie in a folder of its name: a model that was
    trained on each of them has a picture for each.
    """
    runs, found = list(runs), {}
    datasets = {run.folder: sorted({record.dataset["name"] for record in run.records()}) for run in runs}
    several = len({name for names in datasets.values() for name in names}) > 1
    for run in runs:
        shown = {slug(name) + end for name in names_of([run]) for end in PICTURED}
        own = f"{slug(datasets[run.folder][0])}/" if several and len(datasets[run.folder]) == 1 else ""
        for path in sorted(run.pictures.rglob("*")):
            if path.is_file() and path.stem in shown:
                found[own + path.relative_to(run.pictures).as_posix()] = path.read_bytes()
    return found


def draw(folder: Path) -> None:
    """Draws the plots of a board, which its page shows where they are."""
    from genbench.boards.pareto import draw_all

    run = open_run(folder)
    draw_all(boards(shown_rows([run])), run.pictures)


def ranked(folder: Path) -> tuple[Run, list[Board]]:
    """A published board, with the ranks of every column."""
    run = open_run(folder)
    found = boards(shown_rows([run]))
    rank(found, [run])
    return run, found


def pages_of(folder: Path, ready: tuple[Run, list[Board]] | None = None) -> dict[Path, bytes]:
    """Every file that follows from the records of a published board, with what has to stand in it.

    Arguments:
        ready: what `ranked` gives of it, where that is at hand.
    """
    run, found = ready or ranked(folder)
    twin = beside(folder, ".html")
    text = markdown(found, run.pictures, folder.parent, twin.name)
    return {
        run.pack: pack(together([run])),
        beside(folder, ".md"): text.encode(),
        twin: html(found, [run]).encode(),
    }


def beside(folder: Path, suffix: str) -> Path:
    """The file that has the name of a folder and lies beside it."""
    return folder.parent / f"{folder.name}{suffix}"


def published(root: Path) -> list[Path]:
    """The folders of the boards in `root`, by name.

    Raises:
        GenbenchError: there is none.
    """
    found = sorted(path for path in root.glob("*") if (path / "records.jsonl").is_file() or (path / "cells").is_dir())
    if not found:
        raise GenbenchError(f"no board in {root}", "`genbench publish RUN -o FOLDER/PAGE` makes one.")
    return found


def all_pages(root: Path) -> dict[Path, bytes]:
    """The files of every board in `root`, and the index of them."""
    ready = {folder: ranked(folder) for folder in published(root)}
    files = {path: data for folder, one in ready.items() for path, data in pages_of(folder, one).items()}
    return {**files, **index_of(root, {folder.name: found for folder, (_, found) in ready.items()})}


def index_of(root: Path, ready: dict[str, list[Board]] | None = None) -> dict[Path, bytes]:
    """What is made of all boards in `root`: their index, and published figures beside theirs where some are listed.

    Arguments:
        ready: by the names of folders, boards that have their ranks.

    Raises:
        GenbenchError: something else has the index's name, or the list of figures is not what it should be.
    """
    path = root / INDEX
    if path.exists() and not is_index(path):
        raise GenbenchError(
            f"{path} is no index of boards, and is not replaced", "Keep boards in a folder of their own."
        )
    runs = {folder.name: open_run(folder) for folder in published(root)}
    files = {path: index(runs, ready).encode()}
    if (figures := root / FIGURES).is_file():
        files[root / REPRODUCTION] = reproduction(figures_of(figures), runs, root.resolve().parent).encode()
    return files


def is_index(path: Path) -> bool:
    return path.is_file() and path.read_bytes().startswith(HEADING.encode())
