"""The audit: faults are what they say they are, verdicts are what their rules say, and known answers are found."""

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from genbench import catalog, datasets
from genbench.boards import pictures
from genbench.datasets import Dataset
from genbench.errors import GenbenchError, Unavailable
from genbench.run.evaluate import evaluate
from genbench.run.protocol import Suite
from genbench.run.records import Run, in_rows
from genbench.space import Space
from genbench.studies.audit import Finding, findings, markdown, prepare
from genbench.studies.faults import FAULTS, NEAR, draw, hold_out, plant


def made(space: Space, n: int = 60, classes: int = 5) -> Dataset:
    """Random values and labels: no two examples are equal."""
    rng = np.random.default_rng(0)

    def values(m: int) -> np.ndarray:
        if space.levels:
            return rng.integers(space.levels, size=(m, *space.shape)).astype(space.dtype)
        return rng.standard_normal((m, *space.shape)).astype(np.float32)

    labels = {"train": np.arange(2 * n) % classes, "validation": np.arange(n) % classes, "test": np.arange(n) % classes}
    return Dataset("made", space, values(2 * n), values(n), values(n), "none", "none", labels)


BYTES = made(Space((1, 6, 6), levels=256))
REAL = made(Space((1, 6, 6)))
N = 20


def rows(x: np.ndarray) -> list[bytes]:
    return [row.tobytes() for row in x]


# --- Held-out data


def test_no_example_is_both_planted_in_and_compared_with():
    held = hold_out(BYTES)
    parts = [set(rows(x)) for x in (held.pool, held.dataset.validation, held.dataset.test)]
    assert [len(p) for p in parts] == [60, 30, 30]
    assert set.union(*parts) == set(rows(BYTES.validation)) | set(rows(BYTES.test))
    assert held.dataset.train is BYTES.train
    assert held.dataset.sha256 != BYTES.sha256
    assert held.dataset.sha256 == hold_out(BYTES).dataset.sha256


def test_labels_move_with_their_examples():
    old = dict(
        zip(
            rows(BYTES.validation) + rows(BYTES.test), [*BYTES.labels["validation"], *BYTES.labels["test"]], strict=True
        )
    )
    held = hold_out(BYTES)
    assert [old[row] for row in rows(held.pool)] == held.labels.tolist()
    assert [old[row] for row in rows(held.dataset.test)] == held.dataset.labels["test"].tolist()


# --- Faults


@pytest.mark.parametrize("fault", FAULTS)
def test_a_draw_depends_on_fault_strength_and_seed_and_on_nothing_else(fault):
    held, s = hold_out(BYTES), FAULTS[fault].strengths[-1]
    x = plant(held, fault, s, 0, N)
    assert x.dtype == np.uint8
    np.testing.assert_array_equal(x, plant(held, fault, s, 0, N))
    assert rows(x) != rows(plant(held, fault, s, 1, N))
    assert rows(x) != rows(plant(held, fault, s / 2, 0, N))


def test_the_control_is_a_simple_random_sample():
    """Of 60 examples each is among 20 with probability 1/3; over 3,000 draws the count is within 4.5 sd for all."""
    held = hold_out(BYTES)
    assert len(set(rows(plant(held, "control", 0.5, 0, N))) & set(rows(held.pool))) == N
    seen = Counter(row for seed in range(3000) for row in rows(plant(held, "control", 0.0, seed, N)))
    sd = math.sqrt(3000 * (1 / 3) * (2 / 3))
    assert max(abs(seen[row] - 1000) for row in rows(held.pool)) < 4.5 * sd


def test_weights_are_the_chances_of_the_first_drawn():
    held, weights = hold_out(BYTES), np.arange(60.0)
    index = {row: i for i, row in enumerate(rows(held.pool))}
    rng = np.random.RandomState(0)
    counts = np.bincount([index[rows(draw(held, 1, rng, weights))[0]] for _ in range(6000)], minlength=60)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:], 6000 * weights[1:] / weights.sum()).pvalue > 1e-3


def test_blur_is_a_convolution_with_a_gaussian():
    """One bright pixel in the middle of 17 x 17 becomes the outer product of two Gaussians, cut at 4 sd."""
    x = np.zeros((40, 1, 17, 17), np.float32)
    x[..., 8, 8] = 1
    held = hold_out(Dataset("dot", Space((1, 17, 17)), x, x, x, "none", "none"))
    g = np.exp(-(np.arange(-8, 9) ** 2) / (2 * 1.5**2))
    g[np.abs(np.arange(-8, 9)) > 6] = 0
    found = plant(held, "blur", 1.5, 0, N)
    np.testing.assert_allclose(found, np.broadcast_to(np.outer(g, g) / g.sum() ** 2, found.shape), atol=1e-7)


def test_noise_has_the_standard_deviation_that_it_says():
    flat = replace(REAL, validation=np.zeros_like(REAL.validation), test=np.zeros_like(REAL.test))
    held = hold_out(flat)
    x = plant(held, "noise", 0.2, 0, 60)
    said = 0.2 * float(np.ptp(REAL.train))
    assert x.std() == pytest.approx(said, rel=4 / math.sqrt(2 * x.size))  # the sd of a sd: 1 / sqrt(2 n)
    assert abs(x.mean()) < 4 * said / math.sqrt(x.size)


def test_noise_keeps_to_the_levels():
    x = plant(hold_out(BYTES), "noise", 0.5, 0, N)
    assert (x == 0).any()
    assert (x == 255).any()


def test_copies_are_different_training_examples_and_the_rest_is_real():
    held = hold_out(BYTES)
    for seed in range(10):
        x = rows(plant(held, "copies", 0.8, seed, N))
        assert len(set(x) & set(rows(BYTES.train))) == 16
        assert len(set(x) & set(rows(held.pool))) == N - 16


def test_near_copies_are_within_the_noise_of_one_training_example():
    held = hold_out(REAL)
    x = plant(held, "near-copies", 0.3, 0, N)
    assert not set(rows(x)) & set(rows(REAL.train))
    gaps = np.sqrt(((x[:, None] - REAL.train[None]) ** 2).mean((2, 3, 4)))  # [n, N]
    near = gaps.min(1) < 2 * NEAR * held.range  # the root mean square of 36 values of the noise is under twice its sd
    assert near.sum() == 6
    assert len(set(gaps[near].argmin(1))) == 6


def test_mirrored_images_are_the_said_share():
    held = hold_out(BYTES)
    x, pool = plant(held, "mirrored", 0.3, 0, N), set(rows(held.pool))
    assert sum(row in pool for row in rows(x)) == N - 6
    assert sum(row in pool for row in rows(np.ascontiguousarray(x[..., ::-1]))) == 6


def test_one_real_example_is_repeated():
    held = hold_out(BYTES)
    counts = Counter(rows(plant(held, "repeated", 0.3, 0, N)))
    assert sorted(counts.values()) == [1] * (N - 6) + [6]
    assert counts.keys() <= set(rows(held.pool))


def classes_of(held, x) -> np.ndarray:
    label = dict(zip(rows(held.pool), held.labels, strict=True))
    return np.array([label[row] for row in rows(x)])


def test_dropped_classes_are_gone_and_nothing_is_drawn_twice():
    held = hold_out(BYTES)
    gone = set()
    for seed in range(20):
        x = plant(held, "dropped", 0.4, seed, N)
        assert len(set(rows(x))) == N
        found = set(classes_of(held, x))
        assert len(found) == 3
        gone |= set(range(5)) - found
    assert gone == set(range(5))


def test_imbalance_makes_every_class_rarer_than_the_one_before():
    """Counts by size, of 100 draws, are those of a multinomial with shares (1 - s)^r / sum; any class leads.

    The sd of a mean share is sqrt(p (1 - p) / 100 / 100) <= 0.005; that draws deplete the 800 of a class by at
    most 52 moves a share by less than 0.01.
    """
    held = hold_out(made(Space((1, 6, 6), levels=256), n=4000))
    counts = np.array(
        [np.bincount(classes_of(held, plant(held, "imbalance", 0.5, i, 100)), minlength=5) for i in range(100)]
    )
    shares = 0.5 ** np.arange(5) / (0.5 ** np.arange(5)).sum()
    expected = np.sort(np.random.default_rng(0).multinomial(100, shares, size=20_000), axis=1).mean(0)
    assert np.abs(np.sort(counts, axis=1).mean(0) - expected).max() / 100 < 4 * 0.005 + 0.01
    assert set(counts.argmax(1)) == set(range(5))


@pytest.mark.parametrize(
    ("data", "fault", "strength", "why"),
    [
        (BYTES, "copies", 1.5, "at most 1"),
        (BYTES, "copies", 0.01, "is none"),
        (BYTES, "dropped", 0.8, "fewer than 20 real examples are left"),
        (replace(BYTES, labels=None), "dropped", 0.4, "has no labels"),
        (replace(BYTES, labels=None), "imbalance", 0.4, "has no labels"),
        (made(Space((5,), levels=9)), "noise", 0.1, "no order"),
        (made(Space((5,), levels=9)), "blur", 1.0, "no images"),
        (made(Space((2,))), "mirrored", 0.5, "no images"),
    ],
)
def test_what_cannot_be_planted_says_why(data, fault, strength, why):
    with pytest.raises(Unavailable, match=why):
        plant(hold_out(data), fault, strength, 0, N)


# --- Verdicts


def finding(real, direction="lower", **values) -> Finding:
    draws = {float(name[1:]) / 10: tuple(map(float, v)) for name, v in values.items()}
    return Finding("m", "samples alone", "", direction, "blur", tuple(map(float, real)), draws)


def test_a_fault_is_seen_where_every_draw_is_worse_than_every_real_one():
    f = finding([1, 2, 3], s1=[3, 9], s2=[4, 5], s5=[8, 9])
    assert (f.seen_from, f.better_from, f.monotone, f.verdict) == (0.2, None, True, "sees")
    assert finding([1, 2, 3], "higher", s1=[0, 9]).verdict == "blind"


def test_higher_is_better_turns_the_sides():
    f = finding([1, 2, 3], "higher", s1=[4, 5], s2=[0.1, 0.2], s5=[0.1, 9])
    assert (f.seen_from, f.better_from, f.monotone, f.verdict) == (0.2, 0.1, False, "sees and looks better")


def test_a_metric_without_a_side_changes():
    assert finding([1, 2], "none", s1=[0, 0.5]).verdict == "changes"


def test_a_curve_may_stay_but_not_turn_back():
    assert finding([0, 0], s1=[5, 6], s2=[5, 6], s5=[4, 6]).monotone
    assert not finding([0, 0], s1=[5, 6], s2=[3, 4]).monotone


def test_equal_values_tell_nothing_apart():
    f = finding([0, 0, 0], s1=[0, 0], s2=[0, 0])
    assert (f.verdict, f.correlation) == ("blind", (0.0, 1.0))


def test_correlation_is_positive_where_strength_is_bad():
    f = finding([3], "higher", s1=[2], s2=[1])
    assert f.correlation[0] == 1
    assert replace(f, direction="lower").correlation[0] == -1


def test_by_chance_a_fault_is_seen_once_in_the_binomial_coefficient():
    """S = 2 of 2 + 8 exchangeable draws come last with probability 1 / C(10, 2) = 1/45; both sides, 2/45."""
    rng = np.random.default_rng(0)
    n = 9000
    hits = 0
    for _ in range(n):
        f = finding(rng.standard_cauchy(8), s1=rng.standard_cauchy(2))
        hits += f.verdict != "blind"
    p = 2 / 45
    assert abs(hits / n - p) < 4 * math.sqrt(p * (1 - p) / n)


def test_a_curve_stands_at_its_strengths_in_standard_deviations_upwards_worse():
    """Of real draws 1, 2, 3 mean 2 and sd 1; no value leaves a gap; any change of a constant goes off the scale."""
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    found = finding([1, 2, 3], "higher", s1=[1, 1], s5=[-3, -1])
    pictures.curve(ax, found, [0.1, 0.2, 0.5], {})
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 0], [1, 1], [3, 4]])
    np.testing.assert_allclose(ax.collections[0].get_segments()[2], [[3, 3], [3, 5]])
    pictures.curve(ax, finding([2, 2], s1=[2, 2], s2=[2.1, 2.1]), [0.1, 0.2], {})
    np.testing.assert_allclose(ax.lines[-1].get_xydata(), [[0, 0], [1, 0], [2, pictures.REACH]])
    assert pictures.audit([found, replace(found, fault="noise", silent=(0.2,))]).startswith(b"\x89PNG")


# --- An audit of the digits

METRICS = ("fd", "precision", "recall", "classes", "copies", "memorisation[pixels]")
SUITE = Suite("digits", METRICS, "digits-cnn")
CHOICE = dict(suite=SUITE, names=["blur", "copies", "dropped", "control"], strengths=[0.5, 1.0], seeds=3)
COPIES = replace(SUITE, metrics=("copies",))


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


@pytest.fixture(scope="module")
def audited(digits, tmp_path_factory):
    audit, run = prepare(digits, **CHOICE), Run(tmp_path_factory.mktemp("audit") / "run")
    assert evaluate(audit.todo, run, "cpu", pictures=False).failed == 0
    return audit, run, findings(audit, run)


@pytest.fixture(scope="module")
def verdicts(audited):
    return {(f.metric.partition("[")[0], f.fault): f for f in audited[2][0]}


@pytest.mark.parametrize("metric", ["copies", "memorisation"])
def test_training_images_among_the_samples_are_seen_by_what_looks_for_them(verdicts, metric):
    f = verdicts[metric, "copies"]
    assert (f.verdict, f.monotone) == ("sees", True)


def test_precision_does_not_see_training_images(verdicts):
    """They lie on the training manifold, every one: precision can only rise.

    Not to 1: as many training images are asked as there are samples, and a copy of another may lie beside their balls.
    """
    assert verdicts["precision", "copies"].seen_from is None
    assert min(verdicts["precision", "copies"].values[1.0]) > 0.9


def test_blur_is_seen_by_the_frechet_distance_and_not_by_copies(verdicts):
    assert verdicts["fd", "blur"].verdict == "sees"
    assert verdicts["copies", "blur"].verdict == "blind"


def test_dropped_classes_are_seen_by_recall_and_by_counting_and_not_by_precision(verdicts):
    assert verdicts["recall", "dropped"].seen_from == 0.5
    assert verdicts["classes", "dropped"].seen_from == 0.5
    assert set(verdicts["classes", "dropped"].values[0.5]) == {5.0}
    assert verdicts["precision", "dropped"].seen_from is None


def test_no_metric_sees_the_control(verdicts):
    """12 tests of each direction at 1 in C(15, 3) = 455: 0.05 are expected by chance, and this seed has none."""
    assert {f.verdict for (_, fault), f in verdicts.items() if fault == "control"} == {"blind"}


def test_a_strength_that_cannot_be_is_left_out_with_its_reason(audited):
    audit, _, (found, missing) = audited
    assert audit.strengths["dropped"] == [0.5]
    assert "fewer than 116 real examples are left" in audit.omitted["dropped 1"]
    assert "- dropped 1: without 10 of 10 classes" in markdown(audit, found, missing)


def test_records_say_what_was_planted(audited):
    _, run, _ = audited
    record = next(r for r in in_rows([run]) if r.model["name"] == "blur 0.5 #2" and r.metric["name"] == "copies")
    assert record.model["args"] == {"fault": "blur", "strength": 0.5, "seed": 2}
    assert record.model["family"] == "blur"
    assert record.dataset["name"] == "digits-audit"


def test_an_audit_goes_on_where_it_stopped(audited, digits):
    audit, run, before = audited
    assert evaluate(audit.todo, run, "cpu", pictures=False).measured == 0
    lost = sorted(run.cells.iterdir())[::40]
    for path in lost:
        path.unlink()
    found, missing = findings(audit, run)
    assert missing or any(f.silent for f in found), "a lost value is never taken for a measured one"
    outcome = evaluate(prepare(digits, **CHOICE).todo, run, "cpu", pictures=False)
    assert (outcome.measured, outcome.kept) == (len(lost), len(list(run.cells.iterdir())) - len(lost))
    assert findings(audit, run) == before


def test_a_draw_is_the_same_whatever_else_is_asked_for(digits):
    alone = prepare(digits, COPIES, names=["blur"], strengths=[1.0], seeds=2)
    among = {s.name: s.sha256 for s in prepare(digits, COPIES, seeds=3).todo.sources}
    assert all(among[s.name] == s.sha256 for s in alone.todo.sources)


def test_all_means_every_metric_of_samples(digits):
    asked = {job.metric for job in prepare(digits, replace(SUITE, metrics=("all",)), seeds=2).todo.jobs}
    assert {"fd", "precision-recall", "copies", "memorisation", "classes"} <= asked
    assert not asked & {"nll", "nll-ais", "nll-ode", "throughput", "class-accuracy"}
    named = set(catalog.names("metrics"))
    assert asked < named


def test_data_without_labels_skip_the_faults_of_classes(digits):
    audit = prepare(replace(digits, labels=None), COPIES, seeds=2)
    assert audit.strengths["dropped"] == audit.strengths["imbalance"] == []
    assert audit.strengths["blur"]
    assert "no labels" in audit.omitted["dropped 0.1, 0.2, 0.3, 0.5"]


@pytest.mark.parametrize(
    ("change", "problem", "remedy"),
    [
        (dict(names=["blurr"]), "unknown fault 'blurr'", "Did you mean 'blur'?"),
        (dict(suite=replace(SUITE, metrics=("fdd",))), "unknown metric 'fdd'", "Did you mean 'fd'?"),
        (
            dict(suite=replace(SUITE, metrics=("nll",))),
            "metric 'nll' measures more of a model than its samples",
            "--metrics",
        ),
        (dict(strengths=[-1.0]), "strengths [-1.0] of 'blur'", "above 0"),
        (dict(strengths=[0.0]), "strengths [] of 'blur'", "above 0"),
        (dict(n_samples=300), "draws of 300 from 350", "--samples from 1 to 175"),
        (dict(seeds=1), "1 draws at each strength", "--seeds 2"),
        (dict(names=["dropped"], strengths=[1.0]), "nothing to audit", "fewer than 116"),
    ],
)
def test_what_cannot_be_audited_is_an_error_that_helps(digits, change, problem, remedy):
    with pytest.raises(GenbenchError) as error:
        prepare(digits, **{**CHOICE, **change})
    assert problem in error.value.problem
    assert remedy in error.value.remedy


def test_the_command_prints_a_table_a_sentence_for_every_metric_and_a_picture(cli, tmp_path):
    line = ("audit", "--metrics", "copies", "--faults", "copies,control", "--seeds", "3", "-o", "run")
    code, out, err = cli(*line)
    assert code == 0, err
    assert "| copies ↓ | 0.1      | ·         |" in out
    assert "- **copies**: trust for copies from 0.1." in out
    assert (tmp_path / "run" / "audit.png").read_bytes().startswith(b"\x89PNG")
    code, out, err = cli(*line, "--json")
    assert "0 cells measured" in err
    found = json.loads(out)
    first = found["findings"][0]
    assert (first["metric"], first["fault"], first["verdict"], first["seen_from"]) == ("copies", "copies", "sees", 0.1)
    assert found["chance"] == 1 / math.comb(15, 3)
    assert [len(v["values"]) for v in first["values"]] == [3] * 4


def test_the_command_names_the_fault_that_was_meant(cli):
    code, out, err = cli("audit", "--faults", "dropt")
    assert (code, out) == (2, "")
    assert "unknown fault 'dropt'" in err
    assert "Did you mean 'dropped'?" in err
    assert "Write --strengths" in cli("audit", "--strengths", "much")[2]
