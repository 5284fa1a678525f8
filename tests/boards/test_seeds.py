"""Rows of several checkpoints: their mean, with an interval that holds the noise of examples and that of training."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from scipy import stats

from genbench import datasets
from genbench.boards.columns import boards
from genbench.boards.compare import compare
from genbench.boards.publishing import publish
from genbench.boards.ranks import rank
from genbench.boards.seeds import of_examples, of_seeds, pooled, shown_rows
from genbench.files import content_key
from genbench.models.adapters import parse_all
from genbench.numerics import student
from genbench.run.records import Run, in_rows, open_run
from genbench.space import Space

BITS = Space((1, 8, 8), 17).bits_per_dim(1.0)
FREE = (None, None)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


def put(run, record, values, name="gan", metric="nll", planned="2026-01-01", **changes):
    """A row of checkpoints, one for each of `values [S, n]`, nats of every test example."""
    values = np.atleast_2d(values)
    keys = [content_key([name, s, planned]) for s in range(len(values))]
    for s, (key, nats) in enumerate(zip(keys, values, strict=True)):
        arrays = content_key([key, "arrays"])
        run.put_arrays(arrays, {"values": -nats})
        bits = BITS * nats
        made = record(
            "",
            metric,
            float(bits.mean()),
            cell_id=content_key([key, metric]),
            stderr=float(bits.std(ddof=1)) / math.sqrt(len(bits)),
            arrays={"log_likelihood": arrays},
            **changes,
        )
        made.model.update(key=key)
        del made.model["name"]
        run.put(made)
        row = {
            "name": f"{name}/seed{s}",
            "model": key,
            "planned": planned,
            "cells": {made.cell_id: metric},
            "seeds": {"name": name, "members": keys},
        }
        run.write_manifest({"rows": {content_key([s, key]): row}})
    return keys


def only(run):
    (found,) = shown_rows([run])
    return found


def test_the_value_is_the_mean_and_the_variance_has_both_parts(run, record):
    """By the formula, written out: crossed examples and seeds."""
    rng = np.random.default_rng(0)
    x = 80 + 5 * rng.standard_normal(50) + rng.standard_normal((4, 1)) + rng.standard_normal((4, 50))
    put(run, record, x)
    found = only(run)
    bits = BITS * x
    assert found.value == pytest.approx(bits.mean(), rel=1e-12)
    examples = np.var([np.mean(column) for column in bits.T], ddof=1) / 50
    seeds = np.var([np.mean(one) for one in bits], ddof=1) / 4
    assert found.stderr == pytest.approx(math.sqrt(examples + seeds), rel=1e-12)
    freedom = (examples + seeds) ** 2 / (examples**2 / 49 + seeds**2 / 3)
    half = stats.t.ppf(0.975, freedom) * found.stderr
    assert found.ci95 == pytest.approx((found.value - half, found.value + half), rel=1e-9)
    assert (found.model["name"], found.kind, found.model["source"]) == (
        "gan",
        "exact",
        "4 checkpoints of different seeds",
    )
    assert found.details["seeds"] == pytest.approx(bits.mean(1))


def test_checkpoints_that_agree_are_one_model(run, record):
    """No training noise: value and standard error of each of them."""
    nats = 80 + np.random.default_rng(1).standard_normal(30)
    put(run, record, np.stack([nats] * 3))
    single = in_rows([run])[0]
    assert only(run).value == pytest.approx(single.value, rel=1e-12)
    assert only(run).stderr == pytest.approx(single.stderr, rel=1e-9)


def test_examples_that_agree_leave_the_t_interval_of_the_seeds(run, record):
    level = np.array([80.0, 81.0, 83.0])
    put(run, record, np.repeat(level[:, None], 20, axis=1))
    bits = BITS * level
    wanted = stats.t.interval(0.95, 2, bits.mean(), stats.sem(bits))
    assert only(run).ci95 == pytest.approx(wanted, rel=1e-6)


def test_samples_have_the_variance_that_training_examples_give_to_their_mean(run, record):
    """Two checkpoints that move apart cancel; two that move together do not; the spread of seeds is added."""
    e = np.random.default_rng(0).standard_normal(50)
    for sign, left in ((1, 1.0), (-1, 0.0)):
        members = []
        for i, scale in enumerate((1, sign)):
            run.put_arrays(f"{i:016x}", {"values": scale * e})
            members.append(record("a", "fd", 3.0 + i, ci95=None, stderr=9.0, arrays={"shared": f"{i:016x}"}))
        within, freedom, how = of_examples(members, [run])
        assert within == pytest.approx(left * float(e @ e), rel=1e-12)
        assert (freedom, how) == (49, "the training examples that they share")
        row = of_seeds("gan", ["k", "l"], members, [run], FREE)
        assert row.stderr == pytest.approx(math.sqrt(within + 0.5 / 2))
        assert row.behind == {"shared": [f"{i:016x}" for i in range(2)]}


def test_without_values_of_examples_the_standard_errors_are_taken_as_shared(record):
    """(mean se)^2 is never less than the variance of the mean over checkpoints, whatever they share."""
    rng = np.random.default_rng(3)
    for share in (0.0, 0.5, 1.0):
        x = share * rng.standard_normal(40) + (1 - share) * rng.standard_normal((5, 40))
        of_mean = x.mean(0).var(ddof=1) / 40
        members = [record("a", "fd", one.mean(), ci95=None, stderr=one.std(ddof=1) / math.sqrt(40)) for one in x]
        within, freedom, _ = of_examples(members, [])
        assert within >= of_mean * (1 - 1e-12)
        assert freedom == math.inf
        assert share < 1 or within == pytest.approx(of_mean)


def test_the_interval_holds_the_mean_over_seeds_and_examples(record):
    """1,000 times: 4 seeds, 60 examples, noise of both; 95 % within three standard deviations, or above."""
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(1000):
        x = rng.standard_normal(60) + 0.2 * rng.standard_normal((4, 1)) + 0.5 * rng.standard_normal((4, 60))
        examples, seeds = x.mean(0).var(ddof=1) / 60, x.mean(1).var(ddof=1) / 4
        half = stats.t.ppf(0.975, student.satterthwaite((examples, 59), (seeds, 3))) * math.sqrt(examples + seeds)
        held += abs(x.mean()) <= half
    assert held / 1000 > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 1000)


def test_a_share_of_nothing_keeps_an_interval(record):
    """Wilson's interval of 0 of n has an end though its standard error is 0; the row's does, and stays a share."""
    zero = [record("a", "copies", 0.0, kind="estimate", stderr=0.0, ci95=(0.0, 0.01)) for _ in range(3)]
    found = of_seeds("a", ["1" * 16, "2" * 16, "3" * 16], zero, [], (0, 1))
    assert found.ci95 == pytest.approx((0.0, 0.01), abs=1e-9)


def test_a_count_without_a_spread_of_its_own_has_that_between_seeds(record):
    counts = [
        record("a", "modes", value, kind="estimate", ci95=None, ci_method="none: a count") for value in (6.0, 8.0)
    ]
    found = of_seeds("a", ["1" * 16, "2" * 16], counts, [], (0, None))
    assert found.ci95 == pytest.approx((0.0, 7 + stats.t.ppf(0.975, 1)))
    assert "nothing else" in found.ci_method


def test_nothing_is_averaged_over_those_that_have_a_value(record, missing):
    keys = [c * 16 for c in "123"]
    some = [record("a"), record("a"), missing("a", status="error")]
    for records in (some, some[:2]):
        found = of_seeds("a", keys, records, [], FREE)
        assert (found.status, found.value) == ("error", None)
        assert found.error["message"] == "1 of 3 checkpoints have no value"
    assert of_seeds("a", keys, [missing("a")] * 3, [], FREE).status == "skipped"
    mixed = [record("a"), record("a"), record("a", kind="upper_bound")]
    assert of_seeds("a", keys, mixed, [], FREE).error["message"] == "the values are of several kinds"
    infinite = of_seeds("a", keys, [record("a"), record("a"), record("a", value=None)], [], FREE)
    assert (infinite.status, infinite.value, infinite.ci95) == ("ok", None, None)


def test_a_flag_of_one_is_a_flag_of_the_row(record):
    some = [record("a"), record("a", details={"flagged": True, "flag": "copies"})]
    assert of_seeds("a", ["1" * 16, "2" * 16], some, [], FREE).details["flag"] == "copies"


def test_other_models_are_left_as_they_are(run, record):
    put(run, record, 80 + np.random.default_rng(5).standard_normal((3, 20)))
    other = record("plain", cell_id="plain")
    run.put(other)
    (board,) = boards(shown_rows([run]))
    assert sorted(board.models) == ["gan", "plain"]
    assert pooled([other], []) == [other]


def test_a_row_is_what_its_latest_plan_says(run, record):
    """Trained anew with two seeds: the three before stand by themselves, under names of their own."""
    put(run, record, 80 + np.random.default_rng(6).standard_normal((3, 20)))
    new = put(run, record, 90 + np.random.default_rng(7).standard_normal((2, 20)), planned="2027-01-01")
    found = {r.model["name"]: r for r in shown_rows([run])}
    assert len(found["gan"].details["seeds"]) == 2
    assert found["gan"].model["key"] == content_key(new)
    assert len(found) == 4


def test_an_ordinary_model_of_the_same_name_is_told_apart(run, record):
    put(run, record, 80 + np.random.default_rng(8).standard_normal((2, 20)))
    run.put(record("gan", cell_id="plain", metric="nll"))
    names = sorted(r.model["name"] for r in shown_rows([run]))
    assert names[0] == "gan"
    assert names[1].startswith("gan [")


def test_a_published_board_has_the_row_and_the_record_of_each(run, record, tmp_path):
    put(run, record, 80 + 5 * np.random.default_rng(9).standard_normal((3, 200)))
    before = only(run)
    publish([run], tmp_path / "page")
    page = open_run(tmp_path / "page")
    assert len(page.records()) == 3
    after = only(page)
    assert (after.value, after.cell_id, after.model) == (before.value, before.cell_id, before.model)
    assert after.stderr == pytest.approx(before.stderr, rel=1e-5), "values of examples are kept in float32"


def test_ranks_compare_a_row_of_seeds_example_by_example_and_know_its_training_noise(run, record):
    """A shift that examples hide: pairs tell plain models apart, a row of seeds only beyond what those scatter."""
    rng = np.random.default_rng(10)
    hard = 200 * rng.random(300)
    for model, shift in (("low", 0.0), ("high", 1.5)):
        nats, key = hard + shift + 0.1 * rng.standard_normal(300), content_key([model, "arrays"])
        run.put_arrays(key, {"values": -nats})
        bits = BITS * nats
        stderr = float(bits.std(ddof=1)) / math.sqrt(300)
        run.put(record(model, value=float(bits.mean()), cell_id=model, stderr=stderr, arrays={"log_likelihood": key}))
    put(run, record, np.stack([hard + shift for shift in (-3.0, 0.5, 4.0)]))
    found = boards(shown_rows([run]))
    rank(found, [run])
    standing = found[0].columns[0].standing
    assert standing.said == "example by example"
    assert standing.ranks["gan"] == (1, 3)
    assert (standing.ranks["low"], standing.ranks["high"]) == ((1, 2), (2, 3)), "apart from each other"


def test_rows_of_seeds_are_compared_by_their_means(record, tmp_path):
    """By the formula: paired over examples, and the spread of either row's seeds, with Satterthwaite's freedom."""
    rng = np.random.default_rng(5)
    hard, runs, bits = 80 + 5 * rng.standard_normal(60), [], []
    for name, count, shift in (("base", 3, 0.0), ("new", 4, 0.4)):
        x = hard + shift + 0.3 * rng.standard_normal((count, 1)) + 0.1 * rng.standard_normal((count, 60))
        runs.append(Run(tmp_path / name))
        put(runs[-1], record, x)
        bits.append(BITS * x.astype(np.float32).astype(np.float64))
    found = compare(str(runs[0].folder), f"{runs[1].folder}:gan")
    (d,) = found.differences
    assert (d.model, found.missing) == ("gan", [])
    assert d.difference == pytest.approx(bits[1].mean() - bits[0].mean(), rel=1e-6)
    parts = [(np.var(bits[1].mean(0) - bits[0].mean(0), ddof=1) / 60, 59)]
    parts += [(np.var(b.mean(1), ddof=1) / len(b), len(b) - 1) for b in bits]
    variance = sum(v for v, _ in parts)
    freedom = variance**2 / sum(v**2 / f for v, f in parts)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(variance)
    assert d.freedom == pytest.approx(freedom, rel=1e-5)
    assert d.ci95 == pytest.approx((d.difference - half, d.difference + half), rel=1e-5)
    assert d.method == "paired over examples and training seeds (Satterthwaite 1946)"
    inside = stats.t.sf(abs(d.difference) / math.sqrt(variance), freedom) * 2
    assert d.p == pytest.approx(inside, rel=1e-4)


@pytest.mark.parametrize("few", [2, 5])
def test_few_seeds_have_the_t_interval_of_welch_wherever_they_are_compared(record, tmp_path, few):
    """Values without a spread of their own: rows of seeds are two samples, as scipy's Welch test has them."""
    runs, values = [], []
    for name, shift in (("base", 0.0), ("new", 3.0)):
        runs.append(Run(tmp_path / name))
        x = shift + np.random.default_rng(len(name)).standard_normal(few)
        keys = put(runs[-1], record, x[:, None] * np.ones(2), metric="fd")
        for key, value in zip(keys, x.tolist(), strict=True):
            made = runs[-1].get(content_key([key, "fd"]))
            runs[-1].put(replace(made, value=value, stderr=0.0, ci95=None, arrays={}))
        values.append(x)
    (d,) = compare(str(runs[0].folder), str(runs[1].folder)).differences
    test = stats.ttest_ind(values[1], values[0], equal_var=False)
    assert d.ci95 == pytest.approx(tuple(test.confidence_interval(0.95)), rel=1e-9)
    assert d.p == pytest.approx(test.pvalue, rel=1e-6)
    (one,), (two,) = shown_rows(runs[:1]), shown_rows(runs[1:])
    two.model["name"] = "other"
    found = boards([one, two])
    rank(found, runs)
    assert (found[0].columns[0].standing.ranks == {"gan": (1, 1), "other": (2, 2)}) is bool(test.pvalue < 0.05)


# --- From the command line


def test_trained_measured_and_shown_as_one(cli, tmp_path):
    """Three checkpoints by one command, one row by one pattern; each keeps its records, the page has their mean."""
    out = tmp_path / "trained" / "pixels.safetensors"
    code, said, err = cli("train", "vae", "--steps", "3", "--seeds", "2", "--seed", "5", "-o", out)
    assert code == 0, err
    assert [line.partition(":")[0] for line in said.splitlines()] == [
        str(out.with_name(f"pixels-seed{s}.safetensors")) for s in (5, 6)
    ]
    line = ("--metrics", "nll,copies", "--samples", "20", "--limit", "30", "--k", "3", "-o", "run")
    code, said, err = cli("evaluate", f"mine={tmp_path}/trained/*.safetensors", *line)
    assert code == 0, err
    assert "mine" in said
    assert "seed5" not in said
    rows = {row["name"]: row["training_seed"] for row in open_run(tmp_path / "run").rows().values()}
    assert rows == {"mine/pixels-seed5": 5, "mine/pixels-seed6": 6, "real test data": None}
    records = in_rows([open_run(tmp_path / "run")])
    each = [r.value for r in records if r.metric["name"] == "nll" and r.model["name"].startswith("mine/")]
    (row,) = [
        r for r in shown_rows([open_run(tmp_path / "run")]) if r.model["name"] == "mine" and r.metric["name"] == "nll"
    ]
    assert len({*each}) == 2
    assert row.value == pytest.approx(np.mean(each))
    assert {path.name for path in (tmp_path / "run" / "pictures").glob("mine*")} == {"mine.png", "mine-neighbours.png"}
    code, said, _ = cli("leaderboard", "run", "--format", "csv")
    assert sum(text.startswith("digits,mine,") for text in said.splitlines()) == 2
    command = "genbench train vae --steps 3 --seeds 2 --seed 5 -o trained/pixels.safetensors"
    assert row.model["trainings"] == [{"seed": s, "command": command} for s in (5, 6)]
    publish([open_run(tmp_path / "run")], tmp_path / "boards" / "page")
    page, shown = ((tmp_path / "boards" / f"page.{end}").read_text() for end in ("md", "html"))
    first = next(line for line in page.splitlines() if line.replace(" ", "").startswith("|5|"))
    assert f"{each[0]:.4g}" in first
    assert f"{command}  # seed 5, 6" in page
    assert f": {each[0]:.4g}, {each[1]:.4g}</dd>" in shown
    assert shown.count(f"<code>{command}</code>") == 1
    assert cli("evaluate", f"mine={tmp_path}/trained/*.safetensors", *line)[2].startswith("nothing to measure")


def test_checkpoints_of_a_row_are_in_the_order_of_their_training_seeds(cli, tmp_path):
    """So the first is the one that ships, whatever its name: its samples are shown."""
    for name, seed in (("b.safetensors", 0), ("a-seed9.safetensors", 9), ("a-seed10.safetensors", 10)):
        line = ("train", "mixture", "--dataset", "ring8", "--steps", 2, "--seed", seed, "-o", tmp_path / "t" / name)
        assert cli(*line)[0] == 0
    found = parse_all(f"mine={tmp_path}/t/*.safetensors", datasets.load("ring8"))
    assert [(one.name, one.training_seed) for one in found] == [
        ("mine/b", 0),
        ("mine/a-seed9", 9),
        ("mine/a-seed10", 10),
    ]


def test_a_pattern_that_no_file_matches_is_an_error(cli, tmp_path):
    code, _, err = cli("evaluate", f"mine={tmp_path}/none/*.safetensors", "-o", "run")
    assert code == 2
    assert "no file matches" in err


def test_a_pattern_of_one_file_is_that_file(cli, pixels_checkpoint, tmp_path):
    pattern = f"mine={pixels_checkpoint.parent}/pix*.safetensors"
    code, _, err = cli("evaluate", pattern, "--metrics", "copies", "--samples", "20", "-o", "run")
    assert code == 0, err
    assert {row["name"] for row in open_run(tmp_path / "run").rows().values()} == {"mine", "real test data"}


@pytest.mark.parametrize(
    ("other", "differ"),
    [({"baseline": "mixture"}, "baselines"), ({"options": {"hidden": 7}}, "options"),
     ({"dataset": {"name": "elsewhere"}}, "data"), ({"training": {"seed": 0}}, "")],
)  # fmt: skip
def test_only_trainings_of_one_model_make_a_row(cli, pixels_checkpoint, tmp_path, other, differ):
    """What their cards say is compared; the mean of different models would be that of none."""
    weights = load_file(pixels_checkpoint)
    card = json.loads(safe_open(pixels_checkpoint, "np").metadata()["genbench"])
    for i, changed in enumerate(({"training": {"seed": 1}}, other)):
        save_file(weights, tmp_path / f"seed{i}.safetensors", {"genbench": json.dumps({**card, **changed})})
    line = ("evaluate", f"mine={tmp_path}/*.safetensors", "--metrics", "nll", "--dry-run", "-o", tmp_path / "run")
    code, _, err = cli(*line)
    assert code == (2 if differ else 0), err
    assert not differ or f"their {differ} differ" in err


def test_one_model_under_two_file_names_is_no_row_of_two_seeds(cli, pixels_checkpoint, tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.safetensors").write_bytes(pixels_checkpoint.read_bytes())
    code, _, err = cli("evaluate", f"mine={tmp_path}/*.safetensors", "--metrics", "nll", "-o", tmp_path / "run")
    assert code == 2
    assert "would count twice in the row 'mine'" in err
