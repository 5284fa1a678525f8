"""Records -> boards: which values may stand in one column, and the order of columns and models.

Two values stand in one column only if the metric, its version and parameters, the extractor, the data
and the protocol agree. Where they do not, the metric has several columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from genbench import catalog
from genbench.errors import unknown
from genbench.files import canonical
from genbench.run.records import Record

ARROWS = {"lower": "↓", "higher": "↑", "none": ""}
UNITS: dict[str, bool] = catalog.literals(catalog.HERE / "metrics" / "__init__.py")["UNITS"]  # without importing scipy
MOST = 13  # metrics in one table


def column_key(record: Record) -> str:
    """What has to agree for two values to stand in one column."""
    metric = {name: record.metric.get(name) for name in ("name", "version", "params", "extractor_sha256")}
    data = {name: record.dataset.get(name) for name in ("sha256", "split", "n", "space")}
    return canonical([metric, data, record.protocol])


@dataclass
class Column:
    """One metric under one protocol: a record for every model that has one."""

    name: str
    records: dict[str, Record]

    @property
    def direction(self) -> str:
        return next(iter(self.records.values())).metric["direction"]

    @property
    def unit(self) -> str:
        return next(iter(self.records.values())).metric["unit"]

    @property
    def title(self) -> str:
        """Its header: the name, the unit where it has to be named, and which way is better.

        A unit that is not in the table of `genbench.metrics` came with a plugin, and is named as it is.
        """
        unit = f" ({self.unit})" if UNITS.get(self.unit, bool(self.unit)) else ""
        return f"{self.name}{unit} {ARROWS[self.direction]}".strip()


@dataclass
class Board:
    """The models of one dataset, ranked, and the columns they are compared in."""

    dataset: str
    models: list[str]
    columns: list[Column]

    def record(self, model: str, column: Column) -> Record | None:
        return column.records.get(model)

    def any_record(self, model: str) -> Record:
        """The model's record in the first column that has one: for what all its records share."""
        return next(c.records[model] for c in self.columns if model in c.records)

    @property
    def wide(self) -> bool:
        """Many metrics of few models read better with a row for each metric."""
        return len(self.columns) > max(8, 3 * len(self.models))

    def parts(self) -> list[Board]:
        """The columns that at least half of the models have a value in; then the others, with the models that do.

        One table of everything would be mostly "n/a" where a metric is made for one family.
        """
        if self.wide:
            return [self]

        def measured(column: Column) -> set[str]:
            return {model for model, r in column.records.items() if r.status != "skipped"}

        special = [c for c in self.columns if 2 * len(measured(c)) < len(self.models)]
        common = [c for c in self.columns if c not in special]
        tables = [replace(self, columns=columns) for columns in split(common)]
        for columns in split(special) if common else [special]:
            some = set().union(*map(measured, columns)) if common else set(self.models)
            tables.append(Board(self.dataset, [m for m in self.models if m in some], columns))
        return [table for table in tables if table.columns]


def split(columns: list[Column]) -> list[list[Column]]:
    """The columns in order, in as few parts of at most `MOST` as will do; their lengths differ by at most one."""
    parts = -(-len(columns) // MOST)
    return [columns[i * len(columns) // parts : (i + 1) * len(columns) // parts] for i in range(parts)]


def boards(records: list[Record], sort: str | None = None, strict: bool = True) -> list[Board]:
    """One board for each dataset, in the order of their names.

    Arguments:
        sort: the metric that ranks the models, None for that of the first column.
        strict: whether a metric to sort by that no record has is an error.

    Raises:
        GenbenchError: no record has that metric.
    """
    names = {r.metric["name"] for r in records}
    if strict and sort and records and not any(matches(name, sort) for name in names):
        raise unknown("metric to sort by", sort, names)
    by_dataset: dict[str, list[Record]] = {}
    for record in records:
        by_dataset.setdefault(record.dataset["name"], []).append(record)
    place = by_place()
    return [board(name, found, sort, place) for name, found in sorted(by_dataset.items())]


def matches(name: str, wanted: str) -> bool:
    """`fd[digits-cnn]` answers to its full name and to `fd`."""
    return wanted in (name, name.partition("[")[0])


def by_place() -> Callable[[str], tuple[float, str]]:
    """The key that sorts names of metrics by the places on their cards; those without a card stand last, by name.

    The sources of all metrics are read for it, so ask for it once, not once for each name.
    """
    places = {}
    for entry in catalog.entries("metrics").values():
        for output, card in entry.constants["OUTPUTS"].items():
            places[output.replace("_", "-")] = card.get("place", math.inf)
    return lambda name: (places.get(name.partition("[")[0], math.inf), name)


def board(dataset: str, records: list[Record], sort: str | None, place: Callable[[str], tuple[float, str]]) -> Board:
    """Columns by `place`, one metric's by how many models they hold; models by rank.

    Reference rows stand on top. The others are ranked by the first column of the metric to sort by, then by the
    first Fréchet distance, then by name. Of one model measured twice in a column, the record that ended later counts.
    """
    groups: dict[str, Column] = {}
    for record in sorted(records, key=lambda r: r.ended):
        column = groups.setdefault(column_key(record), Column(record.metric["name"], {}))
        column.records[record.model["name"]] = record
    columns = sorted(groups.values(), key=lambda c: (*place(c.name), -len(c.records)))
    models = {r.model["name"]: r.model["family"] for r in records}
    by = next((c for c in columns if sort and matches(c.name, sort)), columns[0])
    tie = next((c for c in columns if c.name.startswith("fd")), by)

    def rank(model: str) -> tuple:
        below = models[model] != "reference"
        return (below, *order_by(by, model), *order_by(tie, model), model)

    return Board(dataset, sorted(models, key=rank), columns)


def order_by(column: Column, model: str) -> tuple[bool, float]:
    """Best first; models without a finite value last."""
    record = column.records.get(model)
    if record is None or record.value is None:
        return (True, 0.0)
    return (False, -record.value if column.direction == "higher" else record.value)
