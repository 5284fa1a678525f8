"""Leaderboards: what may stand together, in which order, and how a number is written."""

import csv
import io
import json

import pytest

from genbench.boards.columns import as_csv, as_html, as_json, boards, compact, markdown
from genbench.errors import GenbenchError
from genbench.run.records import Record


def record(model="a", metric="nll", value=1.0, half=0.01, kind="exact", card=None, **changes):
    parts = dict(
        cell_id=f"{model}-{metric}",
        run_id="run",
        status="ok",
        model={"name": model, "family": "flow", "parameters": 1234},
        dataset={"name": "digits", "split": "test", "sha256": "f" * 64, "n": 500, "space": {"levels": 17}},
        metric={"name": metric, "version": 1, "direction": "lower", "unit": "bits/dim", "params": {}, **(card or {})},
        protocol={"seed": 0},
        value=value,
        kind=kind,
        ci95=None if value is None else (value - half, value + half),
        env={"device": "cpu", "threads": 2},
        ended="2026-01-01",
    )
    return Record(**{**parts, **changes})


@pytest.mark.parametrize(
    ("kind", "value", "half", "text"),
    [
        ("exact", 1.8734, 0.0214, "= 1.873 ±0.021"),
        ("upper_bound", 2.0, 0.5, "≤ 2.00 ±0.50"),
        ("lower_bound", 2.0, 0.5, "≥ 2.00 ±0.50"),
        ("estimate", 1833084.2, 718680.1, "~ 1,830,000 ±720,000"),
        ("estimate", 12.4, 3.0, "~ 12.4 ±3.0"),
        ("exact", -3.1415926, 0.00031, "= -3.14159 ±0.00031"),
    ],
)
def test_two_digits_of_the_interval_decide_the_places(kind, value, half, text):
    assert compact(record(kind=kind, value=value, half=half)) == text


def test_the_wider_half_of_an_interval_is_shown():
    assert compact(record(value=0.98, ci95=(0.96, 0.985), kind="estimate")) == "~ 0.980 ±0.020"


def test_a_value_that_is_not_finite_says_so():
    assert compact(record(value=None)) == "= not finite"


def test_models_are_ranked_by_value_with_references_on_top_and_missing_last():
    real = record("real", value=None, status="skipped", error={"type": "", "message": "unknown density"})
    real.model["family"] = "reference"
    gan = record("gan", value=None, status="skipped", error={"type": "", "message": "needs log_prob"})
    board = boards([record("worse", value=3.0), gan, record("better", value=1.0), real])[0]
    assert board.models == ["real", "better", "worse", "gan"]


def test_higher_is_better_where_the_metric_says_so():
    card = {"direction": "higher"}
    found = boards([record("low", "is", 1.0, card=card), record("high", "is", 9.0, card=card)], "is")
    assert found[0].models == ["high", "low"]


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": {"seed": 1}},
        {"dataset": {"name": "digits", "split": "test", "sha256": "e" * 64, "n": 500, "space": {"levels": 17}}},
        {"dataset": {"name": "digits", "split": "test", "sha256": "f" * 64, "n": 500, "space": {"levels": None}}},
        {"dataset": {"name": "digits", "split": "test", "sha256": "f" * 64, "n": 100, "space": {"levels": 17}}},
    ],
)
def test_values_measured_differently_never_share_a_column(change):
    board = boards([record("a"), record("b", **change)])[0]
    assert len(board.columns) == 2
    assert all(len(column.records) == 1 for column in board.columns)


def test_other_parameters_of_a_metric_make_another_column():
    assert len(boards([record("a"), record("b", card={"params": {"k": 3}})])[0].columns) == 2


def test_many_metrics_of_few_models_stand_in_rows():
    records = [record(model, f"metric-{i}", float(i)) for model in ("a", "b") for i in range(9)]
    lines = markdown(boards(records)).splitlines()
    assert [word.strip() for word in lines[2].strip("|").split("|")] == ["metric", "a", "b"]
    assert [line.split("|")[2].strip() for line in lines if line.startswith("| metric-8")] == ["= 8.0000 ±0.0100"]
    assert "<td>flow" in as_html(boards(records))


def test_a_footnote_says_why_there_is_no_value():
    reason = "metric 'nll' needs log_prob; the model provides: sample"
    gan = record("gan", value=None, status="skipped", error={"type": "Unavailable", "message": reason})
    broken = record("bad", value=None, status="error", error={"type": "ValueError", "message": "boom\ntrace"})
    page = markdown(boards([record(), gan, broken]))
    assert "error [1]" in page
    assert "- [1] ValueError: boom\n" in page
    assert "n/a [2]" in page
    assert f"- [2] {reason}" in page


def test_flags_and_cut_data_are_marked():
    page = markdown(boards([record(details={"flagged": True, "flag": "copies"}, complete=False)]))
    assert "⚑ [1] [2]" in page
    assert "- [1] copies" in page
    assert "only the first 500 test examples" in page


def test_sorting_by_an_unknown_metric_names_the_nearest():
    with pytest.raises(GenbenchError, match="Did you mean 'nll'"):
        boards([record()], "nl")


def test_every_format_holds_the_same_numbers():
    found = boards([record("a", value=1.25), record("b", value=2.5)])
    assert [row["value"] for row in json.loads(as_json(found))] == [1.25, 2.5]
    assert [float(row["value"]) for row in csv.DictReader(io.StringIO(as_csv(found)))] == [1.25, 2.5]
    assert "= 1.250" in as_html(found)


def test_html_escapes_what_it_is_given():
    assert "<script>" not in as_html(boards([record("<script>alert(1)</script>")]))


def test_columns_that_few_models_have_stand_in_a_table_of_their_own():
    reason = {"type": "Unavailable", "message": "no diffusion"}
    records = [record(name, value=float(i)) for i, name in enumerate("abcd")]
    records += [record(name, "ode", None, status="skipped", error=reason) for name in "abc"]
    records.append(record("d", "ode", 9.0))
    first, second = boards(records)[0].parts()
    assert (first.models, [c.name for c in first.columns]) == (list("abcd"), ["nll"])
    assert (second.models, [c.name for c in second.columns]) == (["d"], ["ode"])
    assert "no diffusion" not in markdown(boards(records))
