import math

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit
from scipy.stats import norm

from genbench.errors import ModelError, Unavailable
from genbench.likelihood.bayes import accuracy, class_log_likelihoods, conditional, log_marginal, log_posterior
from genbench.space import Space


class TwoGaussians:
    """x | y ~ N(-m, 1) or N(m, 1): p(1|x) = sigmoid(2 m x), and the best classifier is right with Phi(m)."""

    space, n_classes = Space((1,)), 2

    def __init__(self, m: float) -> None:
        self.m = m

    def log_prob(self, x, labels=None):
        mean = self.m * (2 * labels - 1)
        return -0.5 * (x[:, 0] - mean) ** 2 - 0.5 * math.log(2 * math.pi)


def drawn(m, n, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(2, size=n)
    return (random.normal(size=n) + m * (2 * labels - 1)).astype(np.float32)[:, None], labels


def test_conditional_marginal_and_posterior_are_the_closed_forms():
    model, (x, labels) = TwoGaussians(0.8), drawn(0.8, 100)
    log_p = class_log_likelihoods(model, x)
    assert log_p.shape == (100, 2)
    X = x[:, 0].astype(np.float64)
    densities = np.stack([norm.pdf(X, -0.8), norm.pdf(X, 0.8)], 1)
    np.testing.assert_allclose(log_p, np.log(densities), rtol=1e-5)
    np.testing.assert_allclose(log_marginal(log_p), np.log(densities.mean(1)), rtol=1e-5)
    np.testing.assert_allclose(np.exp(log_posterior(log_p)[:, 1]), expit(1.6 * X), rtol=1e-5)
    np.testing.assert_allclose(conditional(log_p, labels), np.log(densities[np.arange(100), labels]), rtol=1e-5)


@pytest.mark.parametrize("m", [0.3, 1.5])
def test_the_accuracy_is_the_closed_form(m):
    n, exact = 20_000, norm.cdf(m)
    x, labels = drawn(m, n)
    found = accuracy(class_log_likelihoods(TwoGaussians(m), x), labels)
    assert abs(found.value - exact) < 4 * math.sqrt(exact * (1 - exact) / n)
    assert found.ci_method == "Wilson"
    signs = 2 * labels - 1
    expected = log_expit(2 * m * signs * x[:, 0].astype(np.float64)).mean()
    assert found.details["mean_log_posterior"] == pytest.approx(expected, rel=1e-5)


def test_wilsons_interval_covers_the_closed_form_in_19_of_20_repeats():
    m, n, repeats = 1.0, 400, 400
    covered = 0
    for seed in range(repeats):
        x, labels = drawn(m, n, seed)
        low, high = accuracy(class_log_likelihoods(TwoGaussians(m), x), labels).ci95
        covered += low <= norm.cdf(m) <= high
    # Binomial(400, 0.95) within four standard deviations, and one point for the discreteness of Wilson's coverage.
    assert abs(covered / repeats - 0.95) < 4 * math.sqrt(0.95 * 0.05 / repeats) + 0.01


def test_the_posterior_sums_to_one_however_small_the_likelihoods():
    log_p = np.array([[-5000.0, -5001.0, -4999.0], [-np.inf, -3.0, -3.0]])
    np.testing.assert_allclose(np.exp(log_posterior(log_p)).sum(1), 1, rtol=1e-12)
    assert np.exp(log_posterior(log_p))[1].tolist() == pytest.approx([0, 0.5, 0.5])


def test_what_no_class_gives_is_counted_as_an_error_and_reported():
    log_p = np.array([[-np.inf, -np.inf], [-1.0, -2.0], [np.nan, -1.0], [-2.0, -1.0]])
    found = accuracy(log_p, np.array([0, 0, 0, 1]))
    assert found.value == 0.5
    assert found.n_nonfinite == 2
    assert "2 of 4 examples" in found.warnings[0]
    assert log_marginal(log_p)[0] == -np.inf
    assert np.isnan(log_posterior(log_p)[[0, 2]]).all()


@pytest.mark.parametrize("labels", [[0, 2], [0], [-1, 0]])
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(ValueError, match="labels must be 2 integers"):
        accuracy(np.zeros((2, 2)), np.array(labels))


def test_a_model_without_classes_has_no_posterior():
    class Plain:
        space = Space((1,))

        def log_prob(self, x): ...

    with pytest.raises(Unavailable, match="class-conditional"):
        class_log_likelihoods(Plain(), np.zeros((2, 1), np.float32))


def test_a_log_probability_of_the_wrong_shape_is_an_error():
    class Wrong(TwoGaussians):
        def log_prob(self, x, labels=None):
            return torch.zeros(len(x), 1)

    with pytest.raises(ModelError, match="expected \\[2\\]"):
        class_log_likelihoods(Wrong(1.0), np.zeros((2, 1), np.float32))


@pytest.mark.parametrize("classes", [0, 1])
def test_a_model_of_one_class_has_a_posterior_and_one_of_none_has_not(classes):
    class Normal:
        space, n_classes = Space((1,)), classes

        def log_prob(self, x, labels):
            return torch.zeros(len(x))

    x = np.zeros((3, 1), np.float32)
    if classes:
        assert class_log_likelihoods(Normal(), x).tolist() == [[0.0]] * 3
    else:
        with pytest.raises(Unavailable, match="class-conditional"):
            class_log_likelihoods(Normal(), x)
