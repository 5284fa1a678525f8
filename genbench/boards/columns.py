"""Records -> boards: which values may stand in one column, and the order of columns and models.

Two values stand in one column only if the metric, its version and parameters, the extractor, the data
and the protocol agree. Where they do not, the metric has several columns, and their headers say what differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from genbench import catalog
from genbench.errors import unknown
from genbench.files import canonical
from genbench.run.records import Record

ARROWS = {"lower": "↓", "higher": "↑", "none": ""}
UNITS: dict[str, bool] = catalog.literals(catalog.HERE / "metrics" / "__init__.py")["UNITS"]  # without importing scipy
MOST = 13  # metrics in one table
RAW = "pixels"  # the extractor that is no network


def measured_as(record: Record) -> dict[str, Any]:
    """All that has to agree for two values to stand in one column, by the names that a header gives it."""
    metric = {"metric": record.metric.get("name"), "version": record.metric.get("version")}
    extractor = {"extractor": record.metric.get("extractor_sha256")}
    reference = {"reference": (record.metric.get("reference") or {}).get("sha256")}
    data = {
        "data": record.dataset.get("sha256"),
        "split": record.dataset.get("split"),
        "examples": record.dataset.get("n"),
        "space": record.dataset.get("space"),
    }
    params = {f"params.{name}": value for name, value in record.metric.get("params", {}).items()}
    protocol = {f"protocol.{name}": value for name, value in record.protocol.items()}
    return metric | extractor | reference | data | params | protocol


def column_key(record: Record) -> str:
    """Equal for two values that may stand in one column."""
    return canonical(measured_as(record))


def apart(record: Record, others: Iterable[Record]) -> str:
    """What sets a value apart from others of its metric: `n_samples=500 seed=1`, empty if nothing does.

    A limit decides the number of examples, which is not named beside it.
    """
    mine, *rest = map(measured_as, (record, *others))
    names = dict.fromkeys(name for one in (*rest, mine) for name in one)
    differ = [n for n in names if any((n in mine, mine.get(n)) != (n in other, other.get(n)) for other in rest)]
    if "protocol.limit" in differ:
        differ = [name for name in differ if name != "examples"]
    last = [name.rpartition(".")[2] for name in differ]
    short = {name: end if last.count(end) == 1 else name for name, end in zip(differ, last, strict=True)}
    return " ".join(brief(short[name], mine[name]) if name in mine else f"{short[name]} unsaid" for name in differ)


def against(record: Record, differs: str) -> str:
    """What sets a column apart, with the published reference that it was measured against, also where it is alone."""
    if (sha256 := measured_as(record)["reference"]) is None or (named := brief("reference", sha256)) in differs:
        return differs
    return f"{differs} {named}".strip()


def brief(name: str, value: Any) -> str:
    """`seed=1`, or `no limit` where it is None; of a sha256 the first eight digits.

    Example:
        >>> brief("seed", 1), brief("limit", None), brief("path", "slerp"), brief("data", "0123456789abcdef" * 4)
        ('seed=1', 'no limit', 'path=slerp', 'data=01234567')
    """
    if value is None:
        return f"no {name}"
    text = value if isinstance(value, str) else canonical(value)
    return f"{name}={text[:8] if len(text) == 64 and set(text) <= set('0123456789abcdef') else text}"


@dataclass(frozen=True)
class Standing:
    """Where the models of one column stand, with 95 % confidence for all of them at once.

    Arguments:
        ranks: of every ranked model the best and the worst rank that the data allow.
        best: the models that may be the best one.
        said: what it rests on, in a line.
    """

    ranks: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    best: tuple[str, ...] = ()
    said: str = ""

    def text(self, model: str) -> str:
        """`2-4`, `1`, or nothing for a model without a rank."""
        low, high = self.ranks.get(model, (0, 0))
        return "" if low == 0 else f"{low}" if low == high else f"{low}-{high}"


@dataclass
class Column:
    """One metric under one protocol: a record for every model that has one.

    Arguments:
        differs: what sets it apart from other columns of its metric, as `apart` says it.
        card: of its metric, empty where no metric of that name is installed.
        standing: the ranks of its models, None until `ranks.rank` has found them, and where there are none.
    """

    name: str
    records: dict[str, Record]
    differs: str = ""
    card: Mapping[str, Any] = field(default_factory=dict)
    standing: Standing | None = None

    @property
    def any_record(self) -> Record:
        """One of them, for what all of them share."""
        return next(iter(self.records.values()))

    @property
    def direction(self) -> str:
        return self.any_record.metric["direction"]

    @property
    def unit(self) -> str:
        return self.any_record.metric["unit"]

    @property
    def title(self) -> str:
        """Its header: the name, the unit where it has to be named, which way is better, and what sets it apart.

        A unit that is not in the table of `genbench.metrics` came with a plugin, and is named as it is.
        """
        return self.header(self.name)

    @property
    def heading(self) -> str:
        """Its header where the extractor is named elsewhere."""
        return self.header(self.metric)

    @property
    def metric(self) -> str:
        """Its name without the extractor."""
        return self.name.removesuffix(f"[{self.extractor}]")

    def header(self, name: str) -> str:
        unit = f" ({self.unit})" if UNITS.get(self.unit, bool(self.unit)) else ""
        return " ".join(f"{name}{unit} {ARROWS[self.direction]} {self.differs}".split())

    @property
    def extractor(self) -> str:
        """In whose features it is measured, empty for a metric without features."""
        return self.name[:-1].partition("[")[2] if self.name.endswith("]") else ""

    @property
    def group(self) -> str:
        """The question that it answers: one of `GROUPS` in `genbench.metrics`, or empty."""
        return self.card.get("group", "")

    @property
    def about(self) -> str:
        """What it is and who says so, in a line."""
        reference = self.card.get("reference")
        return (self.card.get("title", "") + (f" ({reference})" if reference else "")).strip()

    @property
    def signed(self) -> bool:
        """Whether the kinds of its values have to be told: they are not all estimates."""
        kinds = {record.kind for record in self.records.values() if record.status == "ok"}
        return kinds != {"estimate"}

    @property
    def measured(self) -> set[str]:
        """The models that it was measured for; a failure counts, its footnote is worth a place."""
        return {model for model, record in self.records.items() if record.status != "skipped"}


def columns_of(records: Iterable[Record]) -> dict[str, Column]:
    """The columns of records by their keys; of one model measured twice in a column, what ended later counts.

    A value with its interval counts before one that was measured alone.
    """
    found: dict[str, Column] = {}
    for record in sorted(records, key=lambda r: (not r.alone, r.ended)):
        column = found.setdefault(column_key(record), Column(record.metric["name"], {}))
        column.records[record.model["name"]] = record
    return found


@dataclass
class Board:
    """The models of one dataset, ranked, and the columns they are compared in.

    Arguments:
        info: of every model what its records say of it (`Record.model`), whichever columns are shown.
    """

    dataset: str
    models: list[str]
    columns: list[Column]
    info: dict[str, dict[str, Any]]

    @property
    def about(self) -> str:
        """What the data are, in a line; empty for data that are not in the catalogue."""
        entry = catalog.entries("datasets").get(self.dataset)
        summary = entry.summary.rstrip(".") if entry else ""
        return summary if summary[1:2].isupper() else summary[:1].lower() + summary[1:]

    @property
    def sole_extractor(self) -> str:
        """The one network in whose features all samples are compared with data, where models are ranked by that.

        Empty where none is, where another network or raw values tell too, and where there is nobody to rank.
        """
        by = [c for c in self.columns if c.group in ("fidelity", "diversity") and c.extractor and c.direction != "none"]
        ranked = {m for c in by for m, r in c.records.items() if r.status == "ok" and r.model["family"] != "reference"}
        names = {c.extractor for c in by if any(r.status == "ok" for r in c.records.values())}
        return names.pop() if len(names) == 1 and RAW not in names and len(ranked) > 1 else ""

    def record(self, model: str, column: Column) -> Record | None:
        return column.records.get(model)

    @property
    def wide(self) -> bool:
        """Many metrics of few models read better with a row for each metric."""
        return len(self.columns) > max(8, 3 * len(self.models)) and len(self.models) <= MOST

    @property
    def unmeasured(self) -> list[Column]:
        """Columns of metrics that apply to no model: they are named below the tables, with the reasons.

        A table where nothing else can be shown has them, and so has a row of a wide one.
        """
        none = [column for column in self.columns if not column.measured]
        return [] if self.wide or len(none) == len(self.columns) else none

    def parts(self) -> list[Board]:
        """The columns that at least half of the models have a value in; then the others, with the models that do.

        One table of everything would be mostly "n/a" where a metric is made for one family. Every model stands in a
        table, every column in one or among the `unmeasured`, and no table has more than `MOST` metrics.
        """
        if self.wide:
            return [self]
        left_out = {id(column) for column in self.unmeasured}
        shown = [c for c in self.columns if id(c) not in left_out]
        common = [c for c in shown if 2 * len(c.measured) >= len(self.models)]
        special = [c for c in shown if 2 * len(c.measured) < len(self.models)]
        tables = [replace(self, columns=columns) for columns in split(common)]
        for columns in split(special):
            some = set().union(*(c.measured for c in columns)) or set(self.models)
            tables.append(replace(self, models=[m for m in self.models if m in some], columns=columns))
        elsewhere = {model for part in tables[1:] for model in part.models}
        first = [m for m in self.models if m in tables[0].models or m not in elsewhere]
        return [replace(tables[0], models=first), *tables[1:]]


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
    known = cards()
    return [board(name, found, sort, known) for name, found in sorted(by_dataset.items())]


def matches(name: str, wanted: str) -> bool:
    """`fd[digits-cnn]` answers to its full name and to `fd`."""
    return wanted in (name, name.partition("[")[0])


def cards() -> dict[str, dict[str, Any]]:
    """The card of every output of every metric, with its reference and the sentence that opens its file.

    The sources of all metrics are read for it, so ask for it once, not once for each name.
    """
    return {
        output.replace("_", "-"): {**card, "reference": entry.constants.get("REFERENCE", ""), "summary": entry.summary}
        for entry in catalog.entries("metrics").values()
        for output, card in entry.constants["OUTPUTS"].items()
    }


def by_place() -> Callable[[str], tuple[float, str]]:
    """The key that sorts names of metrics by the places on their cards; those without a card stand last, by name."""
    known = cards()
    return lambda name: (known.get(name.partition("[")[0], {}).get("place", math.inf), name)


def board(dataset: str, records: list[Record], sort: str | None, known: Mapping[str, Mapping[str, Any]]) -> Board:
    """Columns by the places on their cards, one metric's by how many models they hold; models by rank.

    Columns without a card stand last. Reference rows stand on top. The others are ranked by the columns of the metric
    to sort by, in their order, then by those of the Fréchet distance, then by name.
    """
    columns = list(columns_of(records).values())
    for column in columns:
        column.card = known.get(column.name.partition("[")[0], {})
    columns.sort(key=lambda c: (c.card.get("place", math.inf), c.name, -len(c.records)))
    for column in columns:
        others = [c.any_record for c in columns if c.name == column.name]
        column.differs = against(column.any_record, apart(column.any_record, others))
    info = {r.model["name"]: r.model for r in sorted(records, key=lambda r: r.ended)}
    by = [c for c in columns if sort and matches(c.name, sort)] or [c for c in columns if c.name == columns[0].name]
    ties = [c for c in columns if matches(c.name, "fd")]

    def rank(model: str) -> tuple:
        below = info[model]["family"] != "reference"
        return (below, *(part for column in (*by, *ties) for part in order_by(column, model)), model)

    return Board(dataset, sorted(info, key=rank), columns, info)


def order_by(column: Column, model: str) -> tuple[bool, float]:
    """Best first; models without a finite value last."""
    record = column.records.get(model)
    if record is None or record.value is None:
        return (True, 0.0)
    return (False, -record.value if column.direction == "higher" else record.value)
