"""Rank sets against closed forms, an independent implementation, simulation, and the PISA means of 2018."""

import csv
import itertools

import numpy as np
import pytest
from scipy.stats import norm, t

from genbench.numerics.ranks import freedoms, rank_sets
from genbench.numerics.student import satterthwaite


def ends(sets):
    return [*zip(sets.low.tolist(), sets.high.tolist(), strict=True)]


@pytest.mark.parametrize("correlation", [0.0, 0.9])
@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_two_values_are_told_apart_by_a_z_test(direction, correlation):
    """The two one-sided hypotheses are tested together, so |z| is held against the two-sided critical value."""
    covariance = np.array([[1.0, correlation], [correlation, 1.0]])
    critical = norm.ppf(0.975) * np.sqrt(2 - 2 * correlation)
    near, apart = (rank_sets([0.0, share * critical], covariance, direction=direction) for share in (0.97, 1.03))
    assert ends(near) == [(1, 2), (1, 2)]
    assert ends(apart) == ([(1, 1), (2, 2)] if direction == "lower" else [(2, 2), (1, 1)])
    assert apart.best.tolist() == [direction == "lower", direction == "higher"]


@pytest.mark.parametrize("freedom", [3.0, 12.0])
def test_two_values_whose_variance_is_estimated_are_told_apart_by_a_t_test(freedom):
    """Here the smaller of two variances is known, so all degrees of freedom are those of the other."""
    covariance, nothing = np.diag([4.0, 0.0]), (np.zeros((2, 2)), np.inf)
    found = freedoms(covariance, nothing, (np.diag(covariance)[:, None], np.array([freedom, np.inf])))
    assert found[0, 1] == pytest.approx(freedom)
    critical = 2.0 * t.ppf(0.975, freedom)
    near, apart = (rank_sets([0.0, s * critical], covariance, freedom=found) for s in (0.97, 1.03))
    assert ends(near) == [(1, 2), (1, 2)]
    assert ends(apart) == [(1, 1), (2, 2)]


def test_degrees_of_freedom_are_satterthwaites_of_every_difference():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((4, 4))
    shared, own, each = root @ root.T, rng.random(4), np.array([4.0, 9.0, 2.0, np.inf])
    found = freedoms(shared + np.diag(own), (shared, 49), (own[:, None], each))
    for j, k in pairs(4):
        difference = shared[j, j] + shared[k, k] - 2 * shared[j, k]
        wanted = satterthwaite((difference, 49), (own[j], each[j]), (own[k], each[k]))
        assert found[j, k] == pytest.approx(wanted)


def by_loops(cost, covariance, level, draws, seed):
    """The same procedure, pair by pair: ordered pairs, one at a time."""
    p = len(cost)
    noise = np.random.default_rng(seed).multivariate_normal(np.zeros(p), covariance, draws)
    error = {(j, k): np.sqrt(covariance[j, j] + covariance[k, k] - 2 * covariance[j, k]) for j, k in pairs(p)}
    left, won = set(pairs(p)), set()
    while True:
        most = np.max([(noise[:, j] - noise[:, k]) / error[j, k] for j, k in left], axis=0)
        critical = np.sort(most)[int(np.ceil(level * draws)) - 1]
        new = {(j, k) for j, k in left if (cost[j] - cost[k]) / error[j, k] > critical}
        if not new:
            break
        left, won = left - new, won | new
    return [(1 + sum(a == j for a, _ in won), p - sum(b == j for _, b in won)) for j in range(p)]


def pairs(p):
    return [*itertools.permutations(range(p), 2)]


@pytest.mark.parametrize("seed", range(6))
def test_they_are_those_of_an_implementation_by_loops(seed):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((7, 7))
    covariance = root @ root.T / 7 + 0.2 * np.eye(7)
    cost = 2.5 * rng.standard_normal(7)
    found = rank_sets(cost, covariance, draws=40_000)
    other = by_loops(cost, covariance, 0.95, 40_000, seed + 100)
    assert (
        sum(a != b for a, b in zip(ends(found), other, strict=True)) <= 1
    )  # one statistic may lie at the critical value


def test_steps_down_decide_more_than_one_step():
    """Once the far value is decided to be worse, that it is better is all that remains to be tested of it."""
    z = np.random.default_rng(1).standard_normal((200_000, 3))
    near, far = (z[:, 0] - z[:, 1]) / np.sqrt(2), (z[:, :2] - z[:, 2:]) / np.sqrt(2)
    first = np.quantile(np.maximum(abs(near), abs(far).max(1)), 0.95)
    second = np.quantile(np.maximum(abs(near), far.max(1)), 0.95)
    assert second < first - 0.05
    gap = np.sqrt(2) * (first + second) / 2
    assert ends(rank_sets([0.0, gap, 1000.0], np.eye(3), draws=200_000)) == [(1, 1), (2, 2), (3, 3)]
    assert ends(rank_sets([0.0, gap], np.eye(2), draws=200_000)) == [(1, 1), (2, 2)]
    assert ends(rank_sets([0.0, gap, gap / 2], np.eye(3), draws=200_000)) == [(1, 3)] * 3  # nothing far, one step


def coverage(truth, covariance, replicates=400):
    """How often all sets hold the ranks that are true at once; ties may have any of their ranks."""
    rng, root = np.random.default_rng(0), np.linalg.cholesky(covariance)
    low = np.array([1 + (truth < one).sum() for one in truth])
    high = np.array([(truth <= one).sum() for one in truth])
    held = 0
    for i in range(replicates):
        sets = rank_sets(truth + root @ rng.standard_normal(len(truth)), covariance, draws=2000, seed=i)
        held += bool(((sets.low <= low) & (high <= sets.high)).all())
    return held / replicates


@pytest.mark.parametrize(
    ("truth", "covariance", "most"),
    [
        (np.zeros(6), np.eye(6), 0.985),  # all tie: the confidence is exact
        (np.zeros(6), 0.2 * np.eye(6) + 0.8, 0.985),  # paired
        (np.repeat([0.0, 1e3], 3), np.eye(6), 1.0),  # two groups of ties
        (np.arange(6) * 0.7, np.eye(6), 1.0),  # near each other: conservative
    ],
)
def test_all_sets_hold_at_once_with_their_confidence(truth, covariance, most):
    error = np.sqrt(0.95 * 0.05 / 400)
    assert 0.95 - 3 * error <= coverage(truth, covariance) <= most


def test_equal_rows_tie_and_others_without_noise_are_apart_for_certain():
    """A copy has the same value and the same errors: nothing divides by their difference."""
    covariance = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert ends(rank_sets([0.0, 0.0, 50.0], covariance)) == [(1, 2), (1, 2), (3, 3)]
    assert ends(rank_sets([0.0, 1e-6, 50.0], covariance)) == [(1, 1), (2, 2), (3, 3)]
    assert ends(rank_sets([1.0, 2.0, 1.0], np.zeros((3, 3)))) == [(1, 2), (3, 3), (1, 2)]


def test_a_copy_of_a_model_changes_no_set_but_makes_room_for_itself():
    values, covariance = np.array([0.0, 1.0, 9.0]), np.diag([1.0, 1.0, 1.0])
    copied = [0, 1, 2, 0]
    with_copy = rank_sets(values[copied], covariance[np.ix_(copied, copied)])
    assert ends(with_copy)[0] == ends(with_copy)[3]
    assert ends(with_copy) == [(1, 3), (1, 3), (4, 4), (1, 3)]


def test_an_infinite_value_is_worse_for_certain_and_ties_with_its_equals():
    nan = np.full((4, 4), np.nan)
    nan[:2, :2] = np.eye(2)
    assert ends(rank_sets([0.0, 0.1, np.inf, np.inf], nan)) == [(1, 2), (1, 2), (3, 4), (3, 4)]
    assert ends(rank_sets([0.0, 0.1, -np.inf, 0.0], np.eye(4) * 1e-9, direction="higher"))[2] == (4, 4)


@pytest.mark.parametrize(
    ("values", "covariance", "direction"),
    [
        ([np.nan, 1.0], np.eye(2), "lower"),
        ([1.0, 2.0], np.eye(3), "lower"),
        ([1.0, 2.0], np.eye(2), "none"),
        ([1.0, 2.0], np.full((2, 2), np.inf), "lower"),
    ],
)
def test_what_has_no_ranks_is_refused(values, covariance, direction):
    with pytest.raises(ValueError, match="ranks need"):
        rank_sets(values, covariance, direction=direction)


def test_on_the_pisa_means_the_sets_hardly_depend_on_the_seed(data_root):
    with open(data_root / "pisa" / "pisa.csv", encoding="utf-8-sig") as file:
        rows = [*csv.DictReader(file)]
    scores, errors = (np.array([float(row[name]) for row in rows]) for name in ("math_score", "math_se"))
    found = [rank_sets(scores, np.diag(errors**2), direction="higher", seed=seed) for seed in range(20)]
    by_name = dict(zip((row["jurisdiction"] for row in rows), ends(found[0]), strict=True))
    place = 1 + (scores[:, None] < scores[None, :]).sum(1)
    assert all(low <= at <= high for (low, high), at in zip(by_name.values(), place, strict=True))
    assert by_name["Japan"] == (1, 6)
    assert by_name["Colombia"] == (37, 37)
    moved = sum((sets.low != found[0].low).sum() + (sets.high != found[0].high).sum() for sets in found)
    assert moved <= 10  # of 1,480 ends
