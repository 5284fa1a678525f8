"""Columns and ranks: what may stand together, and in which order, whatever order the records come in."""

import random
from dataclasses import asdict, fields, replace
from importlib.metadata import EntryPoint, EntryPoints
from itertools import permutations

import pytest

from genbench import catalog
from genbench.boards.columns import MOST, UNITS, Board, Column, apart, boards, by_place, column_key, split
from genbench.boards.markdown import markdown
from genbench.boards.pages import FORMATS
from genbench.boards.tables import Notes, left_out, table
from genbench.boards.web import html
from genbench.errors import GenbenchError
from genbench.run.plan import Protocol
from genbench.run.records import Record, Run, read_runs

FULL = Record(
    cell_id="c",
    run_id="r",
    status="ok",
    model={"name": "m", "family": "flow", "parameters": 1, "sha256": "a"},
    dataset={
        "name": "d",
        "split": "test",
        "sha256": "f",
        "n": 500,
        "space": {"shape": [1, 8, 8], "levels": 17},
        "per": "dim",
    },
    metric={
        "name": "kd[pixels]",
        "version": 1,
        "direction": "lower",
        "unit": "squared MMD",
        "title": "kernel distance",
        "params": {"degree": 3, "subsets": 0},
        "extractor": "pixels",
        "extractor_sha256": "e",
        "preprocessing": "none",
        "weights_sha256": "w",
    },
    protocol=asdict(Protocol()),
)
# Everything that says what was measured, and how.
IDENTITY = {
    "metric": {
        "name": ["kd[digits-cnn]", "fd[pixels]"],
        "version": [2],
        "params": [{}, {"degree": 3}, {"degree": 4, "subsets": 0}],
        "extractor_sha256": ["other", None],
    },
    "dataset": {
        "sha256": ["other"],
        "split": ["train"],
        "n": [499],
        "space": [{"shape": [1, 8, 8], "levels": None}, {"shape": [64], "levels": 17}],
    },
    "protocol": {field.name: ["other"] for field in fields(Protocol)},
}
VARIED = [(part, name, value) for part, names in IDENTITY.items() for name, values in names.items() for value in values]


@pytest.mark.parametrize(("part", "name", "value"), VARIED)
def test_a_value_measured_differently_stands_in_another_column(part, name, value):
    assert getattr(FULL, part)[name] != value
    other = replace(FULL, **{part: {**getattr(FULL, part), name: value}})
    assert column_key(other) != column_key(FULL)


def test_a_protocol_without_one_of_its_fields_is_another_protocol():
    for name in FULL.protocol:
        other = replace(FULL, protocol={k: v for k, v in FULL.protocol.items() if k != name})
        assert column_key(other) != column_key(FULL)


REST = [(f.name, None) for f in fields(Record) if f.name not in IDENTITY] + [
    (part, name) for part in ("metric", "dataset") for name in getattr(FULL, part) if name not in IDENTITY[part]
]


@pytest.mark.parametrize(("part", "name"), REST)
def test_nothing_else_parts_two_columns(part, name):
    """Neither the model, the value, the device and the date, nor how the metric is called in full."""
    changed = "other" if name is None else {**getattr(FULL, part), name: "other"}
    assert column_key(replace(FULL, **{part: changed})) == column_key(FULL)


def test_the_order_in_which_fields_are_written_parts_nothing():
    backwards = {part: dict(reversed(getattr(FULL, part).items())) for part in IDENTITY}
    backwards["metric"]["params"] = {"subsets": 0, "degree": 3}
    assert list(backwards["metric"]["params"]) != list(FULL.metric["params"])
    assert column_key(replace(FULL, **backwards)) == column_key(FULL)


def test_values_measured_differently_never_share_a_column(record):
    board = boards([record("a"), record("b", protocol={"seed": 1}), record("c")])[0]
    assert [sorted(column.records) for column in board.columns] == [["a", "c"], ["b"]]


# --- The order of columns


def test_columns_stand_by_the_places_on_their_cards_and_unknown_ones_last_by_name(record):
    names = [
        "nll", "nll-ais", "accuracy", "modes-kl", "fd[digits-cnn]", "fd[pixels]", "fd-infinity[pixels]",
        "is[digits-cnn]", "coverage[pixels]", "memorisation[pixels]", "copies", "rfd[pixels]", "latency",
        "parzen", "alpha", "fd2", "zeta",
    ]  # fmt: skip
    shuffled = random.Random(0).sample(names, len(names))
    assert shuffled != names
    assert [c.name for c in boards([record("a", name) for name in shuffled])[0].columns] == names


def test_of_one_metric_the_column_with_more_models_stands_first(record):
    few, many = [record("a", protocol={"seed": 1})], [record(m) for m in "bc"]
    for records in (few + many, many + few):
        assert [len(c.records) for c in boards(records)[0].columns] == [2, 1]


def test_a_plugin_has_the_place_on_its_card(record, tmp_path):
    path = tmp_path / "my_metric.py"
    card = {"unit": "share", "direction": "lower", "title": "t"}
    outputs = {"in_between": {**card, "place": 15}, "homeless": card}
    path.write_text(
        f'VERSION = 1\nNEEDS = ("samples",)\nOUTPUTS = {outputs}\n\n\ndef compute(samples):\n    return {{}}\n'
    )
    records = [record("a", name) for name in ("homeless", "in-between", "nll", "nll-ais", "parzen")]
    absent = ["nll", "nll-ais", "parzen", "homeless", "in-between"]
    assert [c.name for c in boards(records)[0].columns] == absent
    catalog.use_plugin(str(path))
    present = ["nll", "in-between", "nll-ais", "parzen", "homeless"]
    assert [c.name for c in boards(records)[0].columns] == present


def test_a_broken_plugin_changes_no_page(record, tmp_path, monkeypatch):
    (tmp_path / "broken_metric.py").write_text("OUTPUTS = {\n")
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("broken", "broken_metric", "genbench.metrics")
    monkeypatch.setattr(catalog, "_points", {})
    monkeypatch.setattr(catalog, "entry_points", lambda: EntryPoints([point]))
    with pytest.warns(catalog.PluginWarning, match="'broken' of unknown cannot be used"):
        assert "broken" not in catalog.names("metrics")
    assert [c.name for c in boards([record("a", "fd"), record("a", "nll")])[0].columns] == ["nll", "fd"]


def test_the_catalog_is_read_once_for_all_boards(record, monkeypatch):
    asked = []
    entries = catalog.entries
    monkeypatch.setattr(catalog, "entries", lambda kind: asked.append(kind) or entries(kind))
    data = [{"name": name, "split": "test", "sha256": "f", "n": 5, "space": None} for name in ("one", "two")]
    boards([record(m, metric, dataset=d) for m in "ab" for metric in ("nll", "fd", "kd") for d in data])
    assert asked == ["metrics"]


def test_names_are_sorted_by_place_and_then_by_name():
    place = by_place()
    assert sorted(["zeta", "fd[b]", "parzen", "nll", "fd[a]", "alpha"], key=place) == [
        "nll", "fd[a]", "fd[b]", "parzen", "alpha", "zeta",
    ]  # fmt: skip


# --- The order of models


def any_order(records, sort=None):
    """The one order of models that all orders of the records give, of which 20 are tried."""
    shuffle = random.Random(0)
    found = {tuple(boards(shuffle.sample(records, len(records)), sort)[0].models) for _ in range(20)}
    assert len(found) == 1
    return list(found.pop())


@pytest.mark.parametrize(
    ("direction", "models"), [("lower", ["b", "a", "c"]), ("higher", ["c", "a", "b"]), ("none", ["b", "a", "c"])]
)
def test_models_are_ranked_by_value_on_either_side_of_zero(record, direction, models):
    values = {"a": 0.0, "b": -2.0, "c": 1.0}
    assert any_order([record(m, value=v, card={"direction": direction}) for m, v in values.items()]) == models


@pytest.mark.parametrize("direction", ["lower", "higher", "none"])
@pytest.mark.parametrize("value", [-5.0, 0.0, 5.0])
def test_models_without_a_value_stand_last_however_bad_the_others_are(record, missing, direction, value):
    """Skipped, failed, not finite, or not measured at all."""
    card = {"direction": direction}
    records = [
        record("z", value=value, card=card),
        missing("skipped", card=card),
        missing("failed", status="error", card=card),
        record("infinite", value=None, card=card),
        record("absent", "copies"),
    ]
    assert any_order(records) == ["z", "absent", "failed", "infinite", "skipped"]


@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_ties_are_decided_by_the_first_frechet_distance_and_then_by_the_name(record, direction):
    """Whichever side of the metric that ranks is better, less of the distance is."""
    records = [record(m, "is", 1.0, card={"direction": direction}) for m in "abcd"]
    distances = {"a": 3.0, "b": 2.0, "c": 2.0, "d": 1.0}
    for order in permutations(distances):
        shuffled = sorted(records, key=lambda r: order.index(r.model["name"]))
        frechet = [record(m, "fd[pixels]", distances[m]) for m in order]
        later = [record(m, "fd[zoo]", -distances[m]) for m in order]
        assert boards([*later, *shuffled, *frechet], "is")[0].models == ["d", "b", "c", "a"]


def test_without_a_frechet_distance_names_decide_ties(record):
    """And not a metric that was not asked for."""
    records = [record(m, "is", 1.0) for m in "bac"]
    assert any_order(records) == ["a", "b", "c"]
    records += [record(m, "nll", v) for m, v in zip("abc", (3.0, 2.0, 1.0), strict=True)]
    assert boards(records, "is")[0].models == ["a", "b", "c"]


def test_models_without_a_value_are_ranked_among_themselves_by_the_frechet_distance(record, missing):
    records = [missing("a"), missing("b"), missing("c"), record("d", value=9.0)]
    records += [record(m, "fd", v) for m, v in {"a": 3.0, "b": 1.0, "d": 5.0}.items()]
    assert any_order(records[:5] + records[6:]) == ["d", "a", "b", "c"]
    assert boards(records)[0].models == ["d", "b", "a", "c"]


def test_reference_rows_stand_on_top_in_their_own_order(record, missing):
    records = [
        record("worst", value=9.0, family="reference"),
        missing("unknown", family="reference"),
        record("best", value=1.0),
        record("fair", value=5.0, family="reference"),
    ]
    assert any_order(records) == ["fair", "worst", "unknown", "best"]


def test_a_board_is_sorted_by_the_metric_that_is_named(record):
    """By its name, with or without the extractor; without one, by the first column."""
    values = {"nll": (1, 2, 3), "fd[pixels]": (2, 1, 3), "fd[zoo]": (3, 2, 1)}
    records = [record(m, metric, float(v)) for metric, of in values.items() for m, v in zip("abc", of, strict=True)]
    for sort, models in {None: "abc", "nll": "abc", "fd": "bac", "fd[pixels]": "bac", "fd[zoo]": "cba"}.items():
        assert boards(records, sort)[0].models == list(models), sort


def test_models_that_only_another_column_of_the_metric_has_are_ranked_by_it(record):
    """Two protocols, or two extractors: models without a value in the first column are ranked by the next."""
    first = {"a": 3.0, "d": 2.0, "e": 2.0, "f": 5.0, "g": 6.0}
    second = {"b": 2.0, "c": 1.0, "d": 9.0, "e": 8.0}
    for names, protocols in ((["nll", "nll"], [{"k": 5}, {"k": 6}]), (["fd[pixels]", "fd[zoo]"], [{}, {}])):
        records = [
            record(m, name, v, protocol=protocol)
            for name, protocol, of in zip(names, protocols, (first, second), strict=True)
            for m, v in of.items()
        ]
        for sort in (names[0].partition("[")[0], None):
            assert any_order(records, sort) == list("edafgcb")
    assert any_order(records, "fd[zoo]") == list("cbedafg")  # the rest by the other Fréchet distance


@pytest.mark.parametrize("name", ["fd-infinity[pixels]", "fd-infinity", "fdx", "fdx[pixels]", "fd2", "fid"])
def test_only_the_frechet_distance_decides_ties(record, name):
    """And no metric whose name begins as its does."""
    records = [record(m, "is", 1.0) for m in "ab"]
    other = [record(m, name, v) for m, v in (("a", 2.0), ("b", 1.0))]
    assert boards(records + other, "is")[0].models == ["a", "b"]
    frechet = [record(m, "fd[pixels]", v) for m, v in (("a", 2.0), ("b", 1.0))]
    assert boards(records + frechet, "is")[0].models == ["b", "a"]
    frechet = [record(m, "fd[pixels]", v) for m, v in (("a", 1.0), ("b", 2.0))]
    assert boards(records + other + frechet, "is")[0].models == ["a", "b"]


def test_sorting_by_an_unknown_metric_names_the_nearest_or_is_let_pass(record):
    records = [record("b", value=1.0), record("a", value=2.0)]
    with pytest.raises(GenbenchError, match=r"metric to sort by 'nl'\n.*Did you mean 'nll'"):
        boards(records, "nl")
    assert boards(records, "nl", strict=False)[0].models == ["b", "a"]
    assert boards([], "nl") == []


def test_each_dataset_has_a_board_of_its_own(record):
    data = [{"name": name, "split": "test", "sha256": "f", "n": 5, "space": None} for name in ("ring8", "digits")]
    found = boards([record("m", dataset=data[0]), record("n", dataset=data[1])])
    assert [(b.dataset, b.models) for b in found] == [("digits", ["n"]), ("ring8", ["m"])]


# --- Of one cell measured twice, the later


def test_of_two_records_in_one_column_the_later_counts(record):
    """A model trained anew has another cell but the same name; of one instant, the one that is read last."""
    old, new = record(value=1.0, ended="2026-01-02"), record(value=2.0, ended="2026-01-10")
    for records in ((old, new), (new, old)):
        (column,) = boards(list(records))[0].columns
        assert column.records["a"] is new
    again = replace(new, value=3.0)
    assert boards([new, again])[0].columns[0].records["a"] is again


def test_of_one_cell_in_two_runs_the_later_is_read(record, tmp_path):
    old, new = Run(tmp_path / "old"), Run(tmp_path / "new")
    old.put(record("a", value=1.0, ended="2026-01-02"))
    old.put(record("only old"))
    new.put(record("a", value=2.0, ended="2026-01-10"))
    for folders in ([old.folder, new.folder], [new.folder, old.folder]):
        assert {r.model["name"]: r.value for r in read_runs(folders)} == {"a": 2.0, "only old": 1.0}


def test_of_one_instant_the_run_that_is_named_last_is_read(record, tmp_path):
    runs = [Run(tmp_path / name) for name in "ab"]
    for value, run in enumerate(runs):
        run.put(record(value=float(value)))
    assert [r.value for r in read_runs([runs[0].folder, runs[1].folder])] == [1.0]
    assert [r.value for r in read_runs([runs[1].folder, runs[0].folder])] == [0.0]


# --- Headers


def title(record, unit, direction="lower"):
    return Column("m", {"a": record("a", "m", card={"unit": unit, "direction": direction})}).title


@pytest.mark.parametrize("unit", UNITS)
def test_a_header_names_the_units_that_the_table_says(record, unit):
    assert title(record, unit) == (f"m ({unit}) ↓" if UNITS[unit] else "m ↓")


def test_a_header_names_an_unknown_unit_as_it_is(record):
    assert title(record, "bits/pixel") == "m (bits/pixel) ↓"
    assert title(record, "") == "m ↓"


def title_of(part, name, value):
    """The headers of two values that differ in one thing alone."""
    changed = replace(FULL, **{part: {**getattr(FULL, part), name: value}}, model={**FULL.model, "name": "n"})
    changed.metric = {**changed.metric, "name": FULL.metric["name"]}  # of another name it has another header anyway
    return sorted(c.title for c in boards([replace(FULL, env={}), changed])[0].columns)


@pytest.mark.parametrize(("part", "name", "value"), [v for v in VARIED if v[:2] != ("metric", "name")])
def test_the_headers_of_two_protocols_of_one_metric_say_what_differs(part, name, value):
    """Whatever it is: every field of the identity, one at a time."""
    one, other = title_of(part, name, value)
    assert one != other
    called = {"extractor_sha256": "extractor", "sha256": "data", "n": "examples"}.get(name, name)
    for header in (one, other):
        assert header.startswith("kd[pixels] ↓ ")
        assert called in header or (
            part == "metric" and name == "params" and ("degree" in header or "subsets" in header)
        )


def test_a_header_says_what_differs_and_nothing_else(record):
    sha = "0123456789abcdef" * 4
    base = dict(protocol={"seed": 0, "k": 50, "limit": None})
    data = record().dataset
    for changes, mine, theirs in [
        ({"protocol": {"seed": 1, "k": 50, "limit": None}}, "seed=0", "seed=1"),
        ({"protocol": {"seed": 1, "k": 5, "limit": None}}, "seed=0 k=50", "seed=1 k=5"),
        ({"protocol": {"seed": 0, "k": 50}}, "no limit", "limit unsaid"),
        ({"protocol": {"seed": 0, "k": 50, "limit": 9}, "dataset": {**data, "n": 9}}, "no limit", "limit=9"),
        ({"dataset": {**data, "sha256": sha}}, "data=ffffffff", "data=01234567"),
        ({"card": {"version": 2}}, "version=1", "version=2"),
        ({"card": {"params": {"k": 3}}}, "k unsaid", "k=3"),
        ({"card": {"params": {"seed": 3}}, "protocol": {"seed": 1, "k": 50, "limit": None}},
         "protocol.seed=0 params.seed unsaid", "protocol.seed=1 params.seed=3"),
    ]:  # fmt: skip
        columns = boards([record("a", **base), record("b", **{**base, **changes})])[0].columns
        assert [c.differs for c in columns] == [mine, theirs]
        assert [c.title for c in columns] == [f"nll (bits/dim) ↓ {mine}", f"nll (bits/dim) ↓ {theirs}"]
    assert [c.differs for c in boards([record("a"), record("b"), record("a", "fd")])[0].columns] == ["", ""]


def test_of_three_protocols_a_header_says_all_that_parts_any_two(record):
    protocols = [{"seed": 0, "k": 5}, {"seed": 1, "k": 5}, {"seed": 0, "k": 6}]
    columns = boards([record(m, protocol=p) for m, p in zip("abc", protocols, strict=True)])[0].columns
    assert [c.differs for c in columns] == ["seed=0 k=5", "seed=1 k=5", "seed=0 k=6"]
    assert apart(record(), [record()]) == apart(record(), []) == ""


def test_a_header_points_to_the_better_side(record):
    arrows = {direction: title(record, "nats", direction) for direction in ("lower", "higher", "none")}
    assert arrows == {"lower": "m (nats) ↓", "higher": "m (nats) ↑", "none": "m (nats)"}


# --- Tables of a board


@pytest.mark.parametrize("n", range(3 * MOST + 2))
def test_columns_are_split_into_few_parts_of_nearly_one_length(n):
    columns = [Column(str(i), {}) for i in range(n)]
    parts = split(columns)
    lengths = [len(part) for part in parts]
    assert [c for part in parts for c in part] == columns
    assert len(parts) == (n + MOST - 1) // MOST
    assert max(lengths, default=0) <= MOST
    assert max(lengths, default=0) - min(lengths, default=0) <= 1


@pytest.mark.parametrize(("models", "most"), [(1, 8), (2, 8), (3, 9), (4, 12)])
def test_a_board_is_wide_from_more_than_three_metrics_a_model_and_more_than_eight(models, most):
    names = [str(i) for i in range(models)]
    for columns, wide in ((most, False), (most + 1, True)):
        assert Board("d", names, [Column(str(i), {}) for i in range(columns)], {}).wide is wide


def test_a_board_of_more_models_than_a_table_may_have_columns_is_not_wide():
    columns = [Column(str(i), {}) for i in range(3 * MOST + 4)]
    for models, wide in ((MOST, True), (MOST + 1, False)):
        assert Board("d", [str(i) for i in range(models)], columns, {}).wide is wide


def test_columns_that_fewer_than_half_of_the_models_have_stand_apart(record, missing):
    """Half is enough, and a failure counts as tried: its footnote is worth a place in the first table."""
    records = [record(m, value=float(i)) for i, m in enumerate("abcd")]
    records += [record("a", "kd", 1.0), missing("b", "kd", "error"), missing("c", "kd")]
    records += [missing(m, "nll-ode") for m in "abc"] + [record("d", "nll-ode", 9.0)]
    records += [record("b", "ppl", 1.0)]
    first, second = boards(records)[0].parts()
    assert (first.models, [c.name for c in first.columns]) == (list("abcd"), ["nll", "kd"])
    assert (second.models, [c.name for c in second.columns]) == (["b", "d"], ["nll-ode", "ppl"])
    assert first.dataset == second.dataset == "digits"


def test_without_a_common_column_tables_are_still_no_longer_than_the_most(record):
    """And a model that nothing was measured of stands in the first."""
    records = [record(f"m{i}", f"metric-{3 * i + j:02}") for i in range(6) for j in range(3)]
    records.append(replace(record("none", "metric-00"), status="skipped"))
    parts = boards(records)[0].parts()
    assert [len(p.columns) for p in parts] == [9, 9]
    assert [p.models for p in parts] == [["m0", "none", "m1", "m2"], ["m3", "m4", "m5"]], "ranked by the first metric"


def test_without_a_common_column_all_models_stand_in_one_table(record):
    records = [record(m, metric, 1.0) for m, metric in zip("abc", ("nll", "kd", "ppl"), strict=True)]
    (only,) = boards(records)[0].parts()
    assert (only.models, [c.name for c in only.columns]) == (list("abc"), ["nll", "kd", "ppl"])


def test_no_column_is_lost_and_no_table_is_longer_than_the_most(record):
    """20 columns that all have and 15 that one of three has."""
    models = [f"m{i}" for i in range(12)]
    records = [record(m, f"all-{i:02}", float(j)) for i in range(20) for j, m in enumerate(models)]
    records += [record(m, f"some-{i:02}", 1.0) for i in range(15) for m in models[:4]]
    board = boards(records)[0]
    parts = board.parts()
    assert [len(p.columns) for p in parts] == [10, 10, 7, 8]
    assert [c.name for p in parts for c in p.columns] == [c.name for c in board.columns]
    assert [p.models for p in parts] == [models, models, models[:4], models[:4]]


@pytest.mark.parametrize("seed", range(60))
def test_every_model_and_every_column_is_shown_whoever_has_what(record, missing, seed):
    """Any share of cells measured, skipped, failed or absent, with and without common columns, few and many models."""
    rng = random.Random(seed)
    models, metrics, measured = (
        rng.choice([1, 3, 12, 20]),
        rng.choice([1, 5, 14, 45]),
        rng.choice([0.0, 0.05, 0.3, 0.9]),
    )
    records = []
    for j in range(metrics):
        for i in range(models):
            kinds = [record, lambda m, n: missing(m, n, "error"), missing, lambda m, n: None]
            share = [0.8 * measured, 0.2 * measured, (1 - measured) / 2, (1 - measured) / 2]
            records += [made for made in [rng.choices(kinds, share)[0](f"m{i}", f"metric-{j:02}")] if made]
    if not records:
        return
    board = boards(records)[0]
    parts, absent = board.parts(), board.unmeasured
    shown = [c.name for p in parts for c in p.columns]
    assert sorted([*shown, *(c.name for c in absent)]) == sorted(c.name for c in board.columns)
    assert {m for p in parts for m in p.models} == set(board.models) == {r.model["name"] for r in records}
    for part in parts:
        assert part.models == [m for m in board.models if m in part.models], "in the order of their ranks"
        assert part.models
        assert part.columns
        headers, rows = table(part, Notes())
        assert rows
        assert len(headers) <= MOST + 3
    if any(r.status != "skipped" for r in records) and not board.wide:
        assert all(any(r.status != "skipped" for r in c.records.values()) for p in parts for c in p.columns)
        assert all(r.status == "skipped" for c in absent for r in c.records.values())


def test_a_metric_that_applies_to_no_model_is_named_with_its_reasons(record, missing):
    records = [record(m, value=1.0) for m in "abc"]
    records += [missing(m, "ppl", why=why) for m, why in zip("abc", ("no path", "no latents", "no path"), strict=True)]
    board, notes = boards(records)[0], Notes()
    assert [c.name for part in board.parts() for c in part.columns] == ["nll"]
    assert left_out(board, notes) == ["No model has ppl (bits/dim) ↓: [1] [2]"]
    assert notes.texts == ["no path", "no latents"]
    for page in (markdown([board]), html([board])):
        assert page.count("No model has ppl") == 1
        for why in ("no path", "no latents"):
            assert page.count(why) == 1


def test_where_no_metric_applies_the_table_says_so_cell_by_cell(missing):
    board = boards([missing(m, metric, why=f"{m} lacks {metric}") for m in "ab" for metric in ("nll", "ppl")])[0]
    assert board.unmeasured == []
    _, rows = table(board.parts()[0], notes := Notes())
    assert [row[-2:] for row in rows] == [["n/a [1]", "n/a [2]"], ["n/a [3]", "n/a [4]"]]
    assert notes.texts == ["a lacks nll", "a lacks ppl", "b lacks nll", "b lacks ppl"]


@pytest.mark.parametrize("make", [markdown, html, *FORMATS.values()])
def test_a_model_with_nothing_but_special_columns_has_its_row_in_every_format(record, make):
    """Its family and parameters are its own, whichever columns a table shows."""
    records = [record(m, value=1.0) for m in "abcd"] + [record("e", "nll-given-label", family="conditional")]
    page = make(boards(records))
    assert "conditional" in page


def test_a_model_is_described_by_its_latest_record(record):
    old, new = record("a", family="gan", ended="2026-01-01"), record("a", "fd", family="flow", ended="2026-01-02")
    for records in ((old, new), (new, old)):
        assert boards(list(records))[0].info["a"]["family"] == "flow"


def test_a_wide_board_is_one_table(record):
    records = [record(m, f"metric-{i:02}", 1.0) for m in "ab" for i in range(30)]
    board = boards(records)[0]
    assert board.wide
    assert board.parts() == [board]


def test_units_that_a_value_does_not_speak_for_itself_stand_in_the_header():
    assert {unit for unit, named in UNITS.items() if named} == {"bits/dim", "bits/char", "nats", "1/s", "ms", "s", "MB"}
