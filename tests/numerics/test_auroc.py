"""The area under the curve by its definition, by scikit-learn, and DeLong's variance by the sum over pairs."""

import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from genbench.numerics.auroc import auroc


def scores(seed: int, m: int = 40, n: int = 30, ties: bool = False):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal(m), rng.standard_normal(n) + 0.7
    return (np.round(x), np.round(y)) if ties else (x, y)


@pytest.mark.parametrize("ties", [False, True])
def test_the_area_is_that_of_scikit_learn_and_of_all_pairs(ties):
    x, y = scores(0, ties=ties)
    value, _ = auroc(x, y)
    labels = np.repeat([0, 1], [len(x), len(y)])
    assert value == pytest.approx(roc_auc_score(labels, np.concatenate([x, y])), rel=1e-12)
    pairs = (y[:, None] > x) + 0.5 * (y[:, None] == x)
    assert value == pytest.approx(pairs.mean(), rel=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_the_variance_is_delong_s_by_loops(ties):
    """Equation 6 of the paper: S10 / m + S01 / n, the sample variances of the structural components."""
    x, y = scores(1, ties=ties)
    kernel = [[1.0 if b > a else 0.5 if b == a else 0.0 for a in x] for b in y]
    V10 = [sum(row) / len(x) for row in kernel]
    V01 = [sum(row[j] for row in kernel) / len(y) for j in range(len(x))]
    theta = sum(V10) / len(V10)
    S10 = sum((v - theta) ** 2 for v in V10) / (len(y) - 1)
    S01 = sum((v - theta) ** 2 for v in V01) / (len(x) - 1)
    assert auroc(x, y)[1] == pytest.approx(S10 / len(y) + S01 / len(x), rel=1e-10)


def test_the_variance_is_that_of_replicates():
    """Over 4,000 replicates, whose own error of a variance is sqrt(2 / 4000) = 2.2 %; four of them."""
    found = np.array([auroc(*scores(seed)) for seed in range(4000)])
    truth = norm.cdf(0.7 / math.sqrt(2))
    assert found[:, 0].mean() == pytest.approx(truth, abs=4 * found[:, 0].std() / math.sqrt(4000))
    assert found[:, 1].mean() == pytest.approx(found[:, 0].var(), rel=4 * math.sqrt(2 / 4000))


def test_order_alone_matters_and_infinite_scores_are_the_last():
    x, y = scores(2)
    assert auroc(np.exp(x), np.exp(y)) == pytest.approx(auroc(x, y))
    assert auroc(x, np.full(5, np.inf))[0] == 1
    assert auroc(x, np.full(5, -np.inf))[0] == 0
    assert auroc(np.full(4, np.inf), np.full(5, np.inf))[0] == 0.5
    a, b = auroc(x, y), auroc(-x, -y)
    assert (1 - b[0], b[1]) == pytest.approx(a)


@pytest.mark.parametrize("bad", [np.array([]), np.array([0.0, np.nan])])
def test_no_score_and_nan_are_refused(bad):
    for pair in ((bad, np.ones(2)), (np.ones(2), bad)):
        with pytest.raises(ValueError, match="NaN"):
            auroc(*pair)
