"""How values move with the training examples: against measuring again, closed forms and fresh draws."""

import math

import numpy as np
import pytest

from genbench.metrics import Measure, _shared, cmmd, density_coverage, fd, fd_infinity, kd, precision_recall
from genbench.numerics.joint import PARTS
from genbench.numerics.points import Points

M = 4 * PARTS


@pytest.fixture(scope="module")
def sets():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((M, 5))
    return [0.4 + rng.standard_normal((150, 5)), 0.8 * rng.standard_normal((150, 5))], y


def shared(metric, output, x, y) -> np.ndarray:
    return np.array(metric.compute(Points(x), Points(y))[output].shared)


def without_parts(y: np.ndarray):
    """The training examples without each part, drawn as the file says."""
    order = Points(y).shuffled(_shared.SEED)
    return [np.delete(y, order[g::PARTS], axis=0) for g in range(PARTS)]


def test_of_a_mean_it_is_the_variance_between_the_means_of_parts():
    """sum e^2 = var of the G means of parts / G, the unbiased estimate; of two means, their covariance."""
    rng = np.random.default_rng(1)
    values, y = rng.standard_normal((2, M)), Points(rng.standard_normal((M, 3)))
    e = np.array([_shared.of_rows(v, y) for v in values])
    order = y.shuffled(_shared.SEED)
    means = np.array([[v[order[g::PARTS]].mean() for g in range(PARTS)] for v in values])
    np.testing.assert_allclose(e @ e.T, np.cov(means) / PARTS, rtol=1e-9)
    half = np.array(_shared.of_rows(values[0], y, 0.25))
    np.testing.assert_allclose(half, e[0] / 2, rtol=1e-9)


@pytest.mark.parametrize(("metric", "output"), [(fd, "fd"), (kd, "kd"), (fd_infinity, "fd_infinity")])
def test_a_distance_moves_as_it_does_when_parts_are_left_out(sets, metric, output):
    """Measured again without each part: the same to first order, up to the correction of the quadratic part."""
    xs, y = sets
    again = [np.array([metric.compute(x, part)[output].value for part in without_parts(y)]) for x in xs]
    wanted = np.array([a - a.mean() for a in again]) * math.sqrt((PARTS - 1) / PARTS)
    found = np.array([shared(metric, output, x, y) for x in xs])
    for e, w in zip(found, wanted, strict=True):
        assert np.corrcoef(e, w)[0, 1] > 0.99
        assert 0.6 < np.linalg.norm(e) / np.linalg.norm(w) < 1.02, "at least sqrt(1/2), where all is quadratic"


def test_recall_is_a_mean_over_the_training_examples(sets):
    xs, y = sets
    x = xs[0]
    radii = np.sort(np.linalg.norm(x[:, None] - x, axis=-1), axis=1)[:, 3]
    reference = Points(y).part(Points(y).sampled(len(x), 2)).x
    inside = (np.linalg.norm(reference[:, None] - x, axis=-1) <= radii).any(1)
    order = Points(reference).shuffled(_shared.SEED)
    means = np.array([np.delete(inside, order[g::PARTS]).mean() for g in range(PARTS)])
    wanted = (means - means.mean()) * math.sqrt((PARTS - 1) / PARTS)
    np.testing.assert_allclose(shared(precision_recall, "recall", x, y), wanted, atol=1e-12)


OF_NEIGHBOURS = [(precision_recall, "precision"), (density_coverage, "density"), (density_coverage, "coverage")]
ALL = [(fd, "fd"), (kd, "kd"), (precision_recall, "recall"), *OF_NEIGHBOURS]


@pytest.mark.parametrize(("metric", "output"), ALL, ids=[output for _, output in ALL])
def test_the_order_of_rows_decides_nothing(sets, metric, output):
    xs, y = sets
    order = np.random.default_rng(2).permutation(len(y))
    found = shared(metric, output, xs[0], y)
    np.testing.assert_allclose(shared(metric, output, xs[0][::-1].copy(), y[order]), found, rtol=1e-7, atol=1e-12)
    assert found.shape == (PARTS,)
    assert found.sum() == pytest.approx(0.0, abs=1e-9 * max(1.0, np.abs(found).max()))


@pytest.mark.parametrize(("metric", "output"), ALL, ids=[output for _, output in ALL])
def test_too_few_rows_share_nothing(metric, output):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 3)), rng.standard_normal((40, 3))
    assert metric.compute(x, y)[output].shared == ()


def test_sets_that_are_too_large_are_not_measured_by_halves(monkeypatch, sets):
    xs, y = sets
    monkeypatch.setattr(_shared, "LARGEST", 149)
    assert shared(precision_recall, "precision", xs[0], y).size == 0
    assert shared(precision_recall, "recall", xs[0], y).size == PARTS


def test_what_moves_is_finite_numbers():
    with pytest.raises(ValueError, match="shared"):
        Measure(1.0, "estimate", None, None, "none", shared=(math.nan,))


def test_metrics_that_say_nothing_share_nothing(sets):
    xs, y = sets
    assert shared(cmmd, "cmmd", xs[0], y).size == 0


def test_two_models_shifted_to_both_sides_have_distances_that_move_apart():
    """400 fresh draws of everything know a correlation to 0.05, and the mean of their estimates better."""
    rng = np.random.default_rng(3)
    values, estimates = [], []
    for _ in range(400):
        y = Points(rng.standard_normal((100, 2)))
        both = [fd.compute(Points(np.array([s, 0]) + rng.standard_normal((60, 2))), y)["fd"] for s in (1, -1)]
        values.append([one.value for one in both])
        e = np.array([one.shared for one in both])
        estimates.append((e[0] @ e[1]) / (both[0].stderr * both[1].stderr))
    truth = np.corrcoef(np.array(values).T)[0, 1]
    assert truth < -0.2
    assert np.mean(estimates) == pytest.approx(truth, abs=0.15)


def test_halves_of_means_vary_as_means_do():
    """Of a mean over y the variance is var / m; 50 halves know it to a factor of 1 +- 0.2, at four deviations 0.8."""
    rng = np.random.default_rng(4)
    xs, y = [Points(rng.standard_normal((M, 2))) for _ in range(2)], Points(rng.standard_normal((M, 2)))
    of_y = np.array([_shared.of_halves(lambda a, b: b.x[:, 0], x, y, 1) for x in xs])
    np.testing.assert_array_equal(of_y[0], of_y[1], "the same halves for all models")
    assert 0.2 < (of_y[0] @ of_y[0]) / (y.x[:, 0].var(ddof=1) / M) < 1.8
    of_x = np.array([_shared.of_halves(lambda a, b: a.x[:, 0], x, y, 1) for x in xs])
    norms = np.linalg.norm(of_x, axis=1)
    assert abs(of_x[0] @ of_x[1]) < 4 / math.sqrt(PARTS) * norms[0] * norms[1], "samples are each model's own"
    copy = _shared.of_halves(lambda a, b: a.x[:, 0], Points(xs[0].x.copy()), y, 1)
    np.testing.assert_array_equal(copy, of_x[0], "but those of a copy")


def test_of_neighbours_the_deviations_have_the_standard_error_of_the_value(sets):
    xs, y = sets
    for metric, output in OF_NEIGHBOURS:
        found = metric.compute(Points(xs[0]), Points(y))[output]
        assert np.linalg.norm(found.shared) == pytest.approx(found.stderr, rel=1e-9)
