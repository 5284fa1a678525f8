"""Tables: how a number is written at every magnitude, and what has to be said about it."""

import random
import re
from decimal import ROUND_HALF_EVEN, Decimal

import pytest

from genbench.boards.columns import boards
from genbench.boards.tables import Notes, alone, cell, compact, legend, number, table, with_half

# --- Numbers


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0.0, 2, "0.00"),
        (0.0, 0, "0"),
        (1.0, 3, "1.000"),
        (-1234567.891, 1, "-1,234,567.9"),
        (0.000123, 6, "0.000123"),
        (0.000123, 2, "0.00"),
        (12.5, 0, "12"),  # halves to even, as IEEE 754 rounds
        (13.5, 0, "14"),
        (1234.5, -1, "1,230"),
        (1234.5, -2, "1,200"),
        (-1250.0, -2, "-1,200"),
        (1350.0, -2, "1,400"),
        (44.0, -2, "0"),
        (999_999_999.0, 0, "999,999,999"),
        (1e9, 0, "1.00e+09"),
        (-1e9, 0, "-1.00e+09"),
        (1.2345e12, -9, "1.23e+12"),
    ],
)
def test_a_number_is_rounded_to_places_or_tens(value, places, text):
    assert number(value, places) == text


@pytest.mark.parametrize("places", range(-4, 7))
@pytest.mark.parametrize("value", [7.03e-6, -0.6172, 1.005, 2.5, -19.9949, 123.456, 98765.4321, -99999949.0, 6.1e8])
def test_a_number_is_the_nearest_of_that_many_places(value, places):
    """Against decimal arithmetic, in which the float's own value is exact."""
    nearest = Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN)
    assert Decimal(number(value, places).replace(",", "")) == nearest
    assert len(number(value, places).partition(".")[2]) == max(0, places)


@pytest.mark.parametrize("power", range(-4, 8))
@pytest.mark.parametrize("digits", [1.06, 1.23, 2.5000001, 7.77, 9.94])
def test_the_interval_has_two_digits_and_the_value_as_many_places(record, digits, power):
    half = digits * 10.0**power
    text = compact(record(value=3.1415926, half=half, kind="estimate"))
    value, wide = text.removeprefix("~ ").replace(",", "").split(" ±")
    assert float(wide) == pytest.approx(float(f"{half:.1e}"), rel=1e-12)
    assert len(value.partition(".")[2]) == len(wide.partition(".")[2]) == max(0, 1 - power)


@pytest.mark.parametrize(
    ("kind", "value", "half", "text"),
    [
        ("exact", 1.8734, 0.0214, "= 1.873 ±0.021"),
        ("upper_bound", 2.0, 0.5, "≤ 2.00 ±0.50"),
        ("lower_bound", 2.0, 0.5, "≥ 2.00 ±0.50"),
        ("estimate", 1833084.2, 718680.1, "~ 1,830,000 ±720,000"),
        ("estimate", 12.4, 3.0, "~ 12.4 ±3.0"),
        ("exact", -3.1415926, 0.00031, "= -3.14159 ±0.00031"),
        ("exact", 2.0, 3.1e-9, "= 2.000000 ±3.1e-09"),  # at most six decimals
        ("exact", 2.0, 0.0, "= 2 ±0"),
        ("exact", 0.125, 0.0, "= 0.125 ±0"),
        ("estimate", 0.0, 0.02, "~ 0.000 ±0.020"),
        ("estimate", 0.5, 0.0996, "~ 0.50 ±0.10"),  # rounds up to the next decade: still two digits
        ("estimate", 50.0, 9.96, "~ 50 ±10"),
        ("estimate", 2.0, 0.000000996, "~ 2.000000 ±1.0e-06"),
        ("estimate", 2.0, 0.000012, "~ 2.000000 ±0.000012"),
        ("estimate", 1.2345678e-5, 1.2e-10, "~ (1.234568 ±0.000012)e-05"),
        ("estimate", 1.2345678e-5, 1.2e-11, "~ 1.234568e-05 ±1.2e-11"),
        ("estimate", 0.0003, 0.15, "~ 0.0003 ±0.15"),
        ("estimate", -0.0003, 0.15, "~ -0.0003 ±0.15"),
        ("estimate", 44.0, 1500.0, "~ 40 ±1,500"),
        ("estimate", 1.2345e-12, 3.4e-14, "~ (1.234 ±0.034)e-12"),  # the distance of data times 1e-6
        ("estimate", 3.4e-14, 1.2345e-12, "~ (0.03 ±1.2)e-12"),
        ("estimate", -1.2345e-12, 3.4e-12, "~ (-1.2 ±3.4)e-12"),
        ("estimate", 1.2345e-5, 3.1e-8, "~ (1.2345 ±0.0031)e-05"),
        ("estimate", 0.0, 3.4e-12, "~ (0.0 ±3.4)e-12"),
        ("estimate", 1.91e16, 1.4e15, "~ (1.91 ±0.14)e+16"),  # both in one format
        ("estimate", 2.5e9, 310.0, "~ 2.500000e+09 ±3.1e+02"),
        ("estimate", 999_999_999.0, 310.0, "~ 1,000,000,000 ±310"),
        ("estimate", 5.0, 2e9, "~ (5e-09 ±2.0)e+09"),
    ],
)
def test_the_sign_says_what_the_number_is(record, kind, value, half, text):
    assert compact(record(kind=kind, value=value, half=half)) == text


def read(text):
    """(value, half-width), each with the size of its last digit, of a cell as it is printed."""
    found = re.fullmatch(r"(\(?)(-?[\d,.]+(?:e[-+]\d+)?) ±([\d,.]+(?:e[-+]\d+)?)(?:\)e([-+]\d+))?", text)
    assert found, text
    scale = Decimal(1).scaleb(int(found[4] or 0))
    assert bool(found[1]) == bool(found[4]), text
    value, half = (Decimal(number.replace(",", "")) for number in (found[2], found[3]))
    return value * scale, half * scale


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("seed", range(10))
def test_whatever_its_size_a_number_reads_back_to_what_its_half_width_allows(sign, seed):
    """Values and half-widths from 1e-15 to 1e15, also at the ends of decades: two digits of the half-width, the value
    as close as they say (or to seven digits), and nothing that is not 0 as 0."""
    rng = random.Random(seed)
    ends = [1.0, 0.994, 0.995, 0.996, 0.9996, 0.99996, 1.04, 1.06]
    for _ in range(200):
        value, half = (rng.choice([rng.uniform(1, 10), rng.choice(ends)]) * 10.0 ** rng.randint(-15, 15) for _ in "ab")
        value *= sign
        text = with_half(value, half)
        found, wide = read(text)
        assert float(wide) == pytest.approx(float(f"{half:.1e}"), rel=1e-12), text
        unit = 10.0 ** (int(f"{half:.1e}".partition("e")[2]) - 1)
        allowed = max(0.5 * unit, 0.5e-6 * abs(value))
        assert 0 not in (found, wide), text
        assert abs(float(found) - value) <= allowed * (1 + 1e-9) + 1e-12 * abs(value), text
        assert len(text) < 30, text


@pytest.mark.parametrize("seed", range(10))
def test_a_number_alone_is_never_zero_unless_it_is(seed):
    rng = random.Random(seed)
    for _ in range(200):
        value = rng.choice([1, -1]) * rng.uniform(1, 10) * 10.0 ** rng.randint(-15, 15)
        assert float(alone(value).replace(",", "")) == pytest.approx(value, rel=0.005), value
    assert alone(0.0) == alone(-0.0) == "0"


@pytest.mark.parametrize("value", [-0.0, -1e-9, -0.004, -0.00499])
def test_no_zero_has_a_sign(value):
    assert number(value, 2) == "0.00"
    assert with_half(-0.0, 0.15) == "0.00 ±0.15"
    assert alone(-0.0) == "0"


@pytest.mark.parametrize(("low", "high", "half"), [(0.96, 0.985, "0.020"), (0.97, 1.01, "0.030"), (0.98, 1.4, "0.42")])
def test_the_wider_half_of_an_interval_is_shown(record, low, high, half):
    assert compact(record(value=0.98, ci95=(low, high), kind="estimate")).endswith(f" ±{half}")


@pytest.mark.parametrize(
    ("metric", "kind", "value", "text"),
    [
        ("nll", "exact", 2.0, "= 2"),
        ("nll", "exact", 2.25, "= 2.250"),
        ("modes", "exact", 8.0, "= 8"),  # a count says what it is as any number does
        ("modes", "exact", 0.0, "= 0"),
        ("modes", "exact", 12345.0, "= 12,345"),
        ("modes", "exact", -0.5, "= -0.500"),
        ("fd", "estimate", 1.2345e-12, "~ 1.23e-12"),
        ("fd", "estimate", -1.2345e-12, "~ -1.23e-12"),
        ("fd", "estimate", 0.00012345, "~ 0.000123"),
        ("fd", "estimate", 0.012345, "~ 0.0123"),
        ("fd", "estimate", 1.5e9, "~ 1.50e+09"),
        ("modes", "estimate", 8.0, "~ 8"),
        ("realism", "estimate", 0.98765, "~ 0.988"),
        ("nll", "upper_bound", 2.25, "≤ 2.250"),
    ],
)
@pytest.mark.parametrize("ci95", [None, (None, 3.0), (0.0, None)])
def test_without_an_interval_a_number_has_three_digits_at_least_or_no_decimals(record, metric, kind, value, text, ci95):
    assert compact(record(metric=metric, kind=kind, value=value, ci95=ci95)) == text


@pytest.mark.parametrize(("kind", "sign"), [("exact", "="), ("upper_bound", "≤"), ("estimate", "~")])
def test_a_value_that_is_not_finite_says_so(record, kind, sign):
    assert compact(record(value=None, kind=kind)) == f"{sign} not finite"


# --- Footnotes


def test_each_footnote_has_one_number_in_the_order_of_first_use():
    notes = Notes()
    assert [notes.mark(text) for text in ("b", "a", "b", "c", "a")] == ["[1]", "[2]", "[1]", "[3]", "[2]"]
    assert notes.texts == ["b", "a", "c"]


FLAG = {"flagged": True, "flag": "copies"}


@pytest.mark.parametrize(
    ("changes", "marks", "texts"),
    [
        ({}, "", []),
        ({"details": FLAG}, " ⚑ [1]", ["copies"]),
        ({"details": {"flagged": True}}, " ⚑ [1]", ["flagged by this metric"]),
        ({"details": {"flagged": False, "flag": "copies"}}, "", []),
        ({"details": {"note": "of 10"}}, " [1]", ["of 10"]),
        ({"complete": False}, " [1]", ["only 500 test examples (--limit)"]),
        ({"warnings": ["loose", "few"]}, " [1] [2]", ["loose", "few"]),
        ({"warnings": ["loose", "few", "loose", "loose\n"]}, " [1] [2]", ["loose", "few"]),
        (
            {"details": {**FLAG, "note": "of 10"}, "complete": False, "warnings": ["loose"]},
            " ⚑ [1] [2] [3] [4]",
            ["copies", "of 10", "only 500 test examples (--limit)", "loose"],
        ),
    ],
)
def test_a_value_carries_all_that_has_to_be_said_about_it(record, changes, marks, texts):
    notes = Notes()
    assert cell(record(**changes), notes) == "= 1.000 ±0.020" + marks
    assert notes.texts == texts


def test_a_cell_without_a_value_says_why(record, missing):
    notes = Notes()
    assert cell(None, notes) == "n/a [1]"
    assert cell(missing(why="needs log_prob\nand more"), notes) == "n/a [2]"
    assert cell(missing(status="error", kind="ValueError", why="boom\ntrace"), notes) == "error [3]"
    assert cell(record(value=None, status="skipped"), notes) == "n/a [4]"
    assert cell(record(value=None, status="error"), notes) == "error [5]"
    assert notes.texts == ["not measured in these runs", "needs log_prob", "ValueError: boom", "skipped", "error"]


def test_a_cell_without_a_value_has_no_marks_of_one(missing):
    notes = Notes()
    assert cell(missing(details=FLAG, complete=False, warnings=["loose"]), notes) == "n/a [1]"
    assert notes.texts == ["needs log_prob"]


# --- Tables


def test_a_table_has_a_row_for_each_model(record):
    records = [record(m, value=v) for m, v in {"a": 2.0, "b": 1.0}.items()] + [record("a", "modes", 3.0)]
    records[0].model["parameters"] = None
    records[2].model["parameters"] = None
    notes = Notes()
    headers, rows = table(boards(records)[0], notes)
    assert headers == ["model", "family", "parameters", "nll (bits/dim) ↓", "modes (bits/dim) ↓"]
    assert rows == [
        ["b", "flow", "1,234", "= 1.000 ±0.020", "n/a [1]"],
        ["a", "flow", "", "= 2.000 ±0.020", "= 3.000 ±0.020"],
    ]
    assert notes.texts == ["not measured in these runs"]


def wide(record, counts):
    """A board of 11 metrics of as many models as there are counts of parameters."""
    records = [record(m, f"metric-{i:02}", float(i), family=f"f{m}") for m in counts for i in range(11)]
    for r in records:
        r.model["parameters"] = counts[r.model["name"]]
    return boards(records)[0]


def test_a_wide_table_has_a_row_for_each_metric(record):
    headers, rows = table(wide(record, {"a": 0, "b": None}), Notes())
    assert headers == ["metric", "a", "b"]
    assert rows[:3] == [
        ["family", "fa", "fb"],
        ["parameters", "0", ""],
        ["metric-00 (bits/dim) ↓", "= 0.000 ±0.020", "= 0.000 ±0.020"],
    ]
    assert rows[-1] == ["metric-10 (bits/dim) ↓", "= 10.000 ±0.020", "= 10.000 ±0.020"]
    assert len(rows) == 13


def test_a_wide_table_leaves_out_parameters_that_nobody_knows(record):
    _, rows = table(wide(record, {"a": None, "b": None}), Notes())
    assert [row[0] for row in rows[:2]] == ["family", "metric-00 (bits/dim) ↓"]


def test_the_legend_says_under_which_protocols_the_numbers_stand(record):
    few = {"name": "digits", "split": "test", "sha256": "0123456789abcdefXYZ", "n": 100, "space": {"levels": 17}}
    other = {"device": "gpu", "threads": 1}
    records = [
        record("a", protocol={"seed": 7, "n_samples": 50}, dataset=few),
        record("b", protocol={"seed": 7, "n_samples": 50}, dataset=few, env=other),
        record("a", "fd", protocol={"seed": 3, "n_samples": 9}),
        record("a", "copies", protocol={}, dataset={**few, "n": 20}),
    ]
    signs, said = legend(boards(records)[0])
    for sign in "=≤≥~±↓↑⚑":
        assert sign in signs
    assert said == (
        "Data: digits, test split, 20, 100, 500 examples, sha256 0123456789abcdef and ffffffffffffffff. "
        "Samples: 9, 50 from each model, seed 3, 7. Measured on cpu, 2 threads; gpu, 1 threads."
    )
    of_samples = record("a", "fd", protocol={"n_samples": 9}, dataset={**few, "n": None})
    assert "Data: digits, test split, sha256 0123456789abcdef." in legend(boards([of_samples])[0])[1]
    assert "Samples: none from each model, seed none." in legend(boards([record(protocol={})])[0])[1]


def in_features(record, model, extractor, metric="fd", **changes):
    card = {"extractor": extractor, "extractor_sha256": extractor, "unit": "squared feature distance"}
    return record(model, f"{metric}[{extractor}]", kind="estimate", card=card, **changes)


def test_a_board_that_ranks_samples_in_one_network_alone_says_that_it_can_be_trained_on(record, missing):
    def first_line(*records):
        return legend(boards([*records, record("a"), record("b")])[0])[0]

    one = [in_features(record, model, "digits-cnn", metric) for model in "ab" for metric in ("fd", "recall")]
    line = first_line(*one)
    assert line.startswith("Samples are compared with data in the features of one network alone, digits-cnn:")
    assert "can be trained on" in line
    silent = "`=` exact"
    assert first_line(*one, in_features(record, "a", "inceptionv3")).startswith(silent), "another network tells too"
    assert first_line(*one, in_features(record, "a", "pixels")).startswith(silent), "raw values tell too"
    assert first_line(*(in_features(record, m, "pixels") for m in "ab")).startswith(silent), "no network"
    assert first_line(one[0]).startswith(silent), "one model has no rank"
    real = in_features(record, "real test data", "digits-cnn", family="reference")
    assert first_line(one[0], real).startswith(silent), "nor has one beside real data"
    failed = missing("a", "fd[inceptionv3]")
    assert first_line(*one, failed) == line, "what was not measured confirms nothing"
    assert first_line(*one, in_features(record, "a", "inceptionv3", "near-duplicates")) == line, "copying is no rank"


def test_pages_of_every_kind_carry_the_warning(record):
    from genbench.boards.markdown import markdown
    from genbench.boards.terminal import terminal
    from genbench.boards.web import html

    found = boards([in_features(record, model, "digits-cnn") for model in "ab"])
    for page in (markdown(found), terminal(found, 120, None), html(found, [])):
        assert "in the features of one network alone" in " ".join(page.split())
