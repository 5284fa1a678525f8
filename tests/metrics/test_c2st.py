"""The classifier two-sample test: Gaussians whose best classifier is known, and twins that must not meet."""

import math

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from genbench.errors import Unavailable
from genbench.metrics import c2st

OUTPUTS = ("c2st", "c2st_auroc", "c2st_linear", "c2st_linear_auroc")


def pair(n, d, shift, seed=0):
    x, y = np.random.default_rng(seed).standard_normal((2, n, d))
    return x + shift * np.eye(d)[0], y


@pytest.mark.parametrize("delta", [1.0, 2.5])
def test_gaussians_at_a_distance_are_told_apart_as_by_the_best_classifier(delta):
    """Of 1,200 rows of two features the classifiers learn all but 0.01 of it; the rest is four standard errors."""
    found = c2st.compute(*pair(1200, 2, delta))
    accuracy, area = norm.cdf(delta / 2), norm.cdf(delta / math.sqrt(2))
    for name in ("c2st", "c2st_linear"):
        for output, best in ((name, accuracy), (f"{name}_auroc", area)):
            m = found[output]
            assert best - 4 * m.stderr - 0.01 < m.value < best + 4 * m.stderr
        assert found[name].details["p_value"] < 1e-10


def test_of_equal_distributions_the_interval_holds_one_half():
    """An interval that is nominal misses 40 seeds 6 times with a chance of 1 %."""
    missed = dict.fromkeys(OUTPUTS, 0)
    for seed in range(40):
        found = c2st.compute(*pair(50, 3, 0.0, seed))
        for output in OUTPUTS:
            low, high = found[output].ci95
            missed[output] += not low <= 0.5 <= high
    assert all(binom.sf(n - 1, 40, 0.05) > 0.01 for n in missed.values()), missed


def test_the_network_sees_what_no_line_shows():
    x, y = pair(400, 2, 0.0)
    found = c2st.compute(3 * x, y)
    assert found["c2st"].value > 0.75
    assert found["c2st_linear"].ci95[0] < 0.5 < found["c2st_linear"].ci95[1]


def test_the_linear_value_is_that_of_sklearn_on_the_same_folds():
    x, y = pair(100, 3, 1.0)
    rows, drawn = np.concatenate([x, y]), np.repeat([True, False], 100)
    folds = c2st.dealt(range(100), range(100, 200))
    scores = c2st.by_line(rows, drawn, folds)
    areas = []
    for fold in range(c2st.FOLDS):
        held = folds == fold
        z = (rows - rows[~held].mean(0)) / rows[~held].std(0)
        fitted = LogisticRegression(C=1.0, tol=1e-8).fit(z[~held], drawn[~held])
        np.testing.assert_allclose(scores[held], fitted.decision_function(z[held]), atol=0.01)
        areas.append(roc_auc_score(drawn[held], scores[held]))
    assert c2st.area(scores, drawn, folds, {}).value == pytest.approx(np.mean(areas))
    assert c2st.accuracy(scores, drawn, {}).value == ((scores > 0) == drawn).mean()


# --- Folds


def test_equal_rows_are_in_one_fold_and_both_kinds_in_all():
    rng = np.random.default_rng(0)
    x, y = rng.integers(40, size=150), rng.integers(60, size=150)
    folds = c2st.dealt(x.tolist(), y.tolist())
    keys = np.concatenate([x, y])
    assert all(len(set(folds[keys == key])) == 1 for key in set(keys.tolist()))
    for fold in range(c2st.FOLDS):
        held = folds == fold
        assert abs(held[:150].sum() - 30) <= 4
        assert abs(held[150:].sum() - 30) <= 4


def test_what_one_row_has_learnt_does_not_help_its_twin():
    """Samples and test data of one distribution in which each sample comes ten times. Dealt apart, nine twins would
    tell that the tenth is a sample; dealt together, it is as unknown as any."""
    rng = np.random.default_rng(0)
    x, y = np.repeat(rng.standard_normal((40, 60)), 10, 0), rng.standard_normal((400, 60))
    found = c2st.compute(x, y)
    apart = np.concatenate([np.arange(400), np.arange(400)]) % c2st.FOLDS
    rows, drawn = np.concatenate([x, y]), np.repeat([True, False], 400)
    leaking = c2st.accuracy(c2st.by_network(rows, drawn, apart), drawn, {}).value
    assert leaking > 0.9
    assert found["c2st"].value < 0.6


def test_copies_of_test_examples_do_not_make_samples_worse_than_chance():
    """A row and its twin of the other kind: dealt apart, what is learnt of one is wrong of the other."""
    x, y = pair(200, 60, 0.0)
    x[:100] = y[:100]
    rows, drawn = np.concatenate([x, y]), np.repeat([True, False], 200)
    apart = np.concatenate([np.arange(200), np.arange(200) + 1]) % c2st.FOLDS
    assert c2st.accuracy(c2st.by_network(rows, drawn, apart), drawn, {}).value < 0.42
    low, high = c2st.compute(x, y)["c2st"].ci95
    assert low < 0.5 < high


def test_a_collapsed_model_and_test_examples_themselves_are_refused():
    x, y = pair(100, 3, 0.0)
    with pytest.raises(Unavailable, match="9 different samples"):
        c2st.compute(x[np.arange(100) % 9], y)
    with pytest.raises(Unavailable, match="test examples"):
        c2st.compute(y[::-1], y)


def test_as_many_of_each_are_compared():
    x, y = pair(90, 3, 0.5)
    m = c2st.compute(x[:70], y)["c2st"]
    assert m.details["n_each"] == 70
    assert m.details["note"] == "70 of 70 samples against 70 of 90 test data"


def test_the_error_of_an_area_is_delongs_in_folds_times_what_they_share():
    """Of independent folds the variance of their mean is sum of variances / K^2."""
    rng = np.random.default_rng(0)
    folds, drawn = np.arange(500) % c2st.FOLDS, np.repeat([True, False], 250)
    scores = rng.standard_normal((400, 500)) + 1.5 * drawn
    found = [c2st.area(one, drawn, folds, {}) for one in scores]
    spread = np.std([m.value for m in found], ddof=1)
    assert spread == pytest.approx(np.mean([m.stderr for m in found]) / math.sqrt(c2st.DESIGN), rel=4 / math.sqrt(800))
