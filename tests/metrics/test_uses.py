"""Anomalies, decisions and rare classes: closed forms, independent implementations, and the known failure."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression

from genbench import datasets, evaluate
from genbench.cli import shipped
from genbench.errors import ModelError, Unavailable
from genbench.likelihood.bayes import class_bounds, class_log_likelihoods
from genbench.likelihood.result import LogLikelihood
from genbench.metrics import (
    anomaly_complexity,
    anomaly_likelihood,
    anomaly_ratio,
    anomaly_reconstruction,
    anomaly_typicality,
    decision,
    rare_class,
    rare_loss,
    resampling,
)
from genbench.metrics._paired import paired
from genbench.models.checkpoint import load
from genbench.models.sampling import to_tensor
from genbench.numerics.auroc import auroc
from genbench.numerics.complexity import code_lengths
from genbench.space import Space

SPACE = Space((1, 4, 4), levels=5)


def likelihood(values) -> LogLikelihood:
    return LogLikelihood(np.asarray(values, float), "exact", "by hand")


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(5, size=(n, 1, 4, 4)).astype(np.uint8)


def checkpoint(name: str, dataset: str = "digits") -> str:
    return next(path for path in shipped(dataset) if path.endswith(f"/{name}.safetensors"))


# Anomalies


def test_the_score_of_likelihood_is_larger_for_what_is_less_probable():
    found = anomaly_likelihood.compute(likelihood([-1, -2, -3]), likelihood([-2.5, -9]))["auroc_likelihood"]
    assert found.value == pytest.approx(5 / 6)
    assert (found.details["n_test"], found.details["n_outside"]) == (3, 2)


def test_a_detector_without_error_has_an_interval_that_ends_at_one():
    """Wilson's, of as many trials as there are of the fewer: 1 of 40 trials."""
    found = anomaly_likelihood.compute(likelihood(np.arange(50.0)), likelihood(-1 - np.arange(40.0)))
    low, high = found["auroc_likelihood"].ci95
    assert high == 1
    assert low == pytest.approx(40 / (40 + 1.959964**2), rel=1e-6)


def test_between_the_ends_the_interval_has_delong_s_variance():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(200), rng.standard_normal(150) + 1
    found = anomaly_likelihood.compute(likelihood(-x), likelihood(-y))["auroc_likelihood"]
    value, variance = auroc(x, y)
    assert found.value == value
    assert found.stderr == pytest.approx(math.sqrt(variance))
    assert sum(found.ci95) / 2 == pytest.approx(value, abs=0.01)
    assert np.diff(found.ci95)[0] == pytest.approx(2 * 1.96 * math.sqrt(variance), rel=0.05)


def test_where_one_score_is_out_of_place_the_variance_is_newcombe_s():
    """One of 30 others lies between two of 100: A = 1 - 1 / 3000, where DeLong's is about 1 / (30 * 100)^2 * 1.03."""
    x, y = np.arange(100.0), np.append(200 + np.arange(29.0), 98.5)
    found = anomaly_likelihood.compute(likelihood(-x), likelihood(-y))["auroc_likelihood"]
    theta, half = 1 - 1 / 3000, (100 + 30) / 2 - 1
    newcombe = theta * (1 - theta) * (1 + half * ((1 - theta) / (2 - theta) + theta / (1 + theta))) / 3000
    assert found.value == pytest.approx(theta)
    assert found.stderr == pytest.approx(math.sqrt(newcombe))
    assert newcombe > 2 * auroc(x, y)[1]


def test_what_looks_more_like_data_than_data_do_is_noted_and_nan_is_the_model_s_error():
    found = anomaly_likelihood.compute(likelihood(np.arange(50.0)), likelihood(100 + np.arange(50.0)))
    assert found["auroc_likelihood"].value == 0
    assert "below 0.5" in found["auroc_likelihood"].details["note"]
    with pytest.raises(ModelError, match="1 of the scores of other data are NaN"):
        anomaly_likelihood.compute(likelihood([1.0, 2.0]), likelihood([math.nan, 1.0]))


def test_complexity_takes_the_length_of_an_image_off():
    test, outside = images(30), images(20, 1)
    outside[:10] = 2  # flat
    inside, beyond = (likelihood(-code_lengths(x, 5)) for x in (test, outside))
    found = anomaly_complexity.compute(inside, beyond, test, outside, SPACE)["auroc_complexity"]
    assert found.value == 0.5, "a model that is the code itself knows nothing beyond it"
    alone = auroc(code_lengths(test, 5), code_lengths(outside, 5))[0]
    assert found.details["length_alone"] == alone < 0.5


def test_the_background_is_the_expectation_over_replacements_and_a_probability():
    train = images(40)
    log_p = anomaly_ratio.background(train, 5, 0.3)
    np.testing.assert_allclose(np.exp(log_p).sum(1), np.ones(16), rtol=1e-12)
    rng, counts = np.random.default_rng(0), np.zeros((16, 5))
    for _ in range(2000):
        swapped = rng.random(train.shape) < 0.3
        x = np.where(swapped, rng.integers(5, size=train.shape), train).reshape(40, 16)
        for v in range(5):
            counts[:, v] += (x == v).sum(0)
    np.testing.assert_allclose(counts / 80_000, np.exp(log_p), atol=4 * 0.5 / math.sqrt(80_000))
    by_hand = sum(log_p[i, v] for i, v in enumerate(train[3].ravel()))
    assert anomaly_ratio.log_of(log_p, train)[3] == pytest.approx(by_hand)


def test_a_model_that_is_the_background_has_a_ratio_of_nothing():
    train, test, outside = images(40), images(20, 1), images(20, 2)
    log_p = anomaly_ratio.background(train, 5, 0.2)
    own = [likelihood(anomaly_ratio.log_of(log_p, x)) for x in (test, outside)]
    assert anomaly_ratio.compute(*own, train, test, outside, SPACE)["auroc_ratio"].value == 0.5


def test_typicality_finds_what_is_too_probable_and_likelihood_does_not():
    rng = np.random.default_rng(0)
    test, validation = (likelihood(-100 + rng.standard_normal(200)) for _ in range(2))
    outside = likelihood(-50 + rng.standard_normal(200))
    assert anomaly_typicality.compute(test, validation, outside)["auroc_typicality"].value == 1
    assert anomaly_likelihood.compute(test, outside)["auroc_likelihood"].value == 0
    usual = float(validation.values.mean())
    expected = auroc(abs(test.values - usual), abs(outside.values - usual))[0]
    assert anomaly_typicality.compute(test, validation, outside)["auroc_typicality"].value == expected
    with pytest.raises(Unavailable, match="no finite likelihood"):
        anomaly_typicality.compute(test, likelihood([-math.inf, 0.0]), outside)


def test_reconstruction_is_scored_by_squared_error():
    x, y = images(10), images(5, 1)
    found = anomaly_reconstruction.compute(x + 1.0, y + 2.0, x, y)["auroc_reconstruction"]
    assert found.value == 1
    assert (found.details["median_of_test"], found.details["median_of_outside"]) == (16, 64)


def test_complexity_and_ratio_are_of_images_of_levels():
    real = Space((2,))
    one = likelihood([0.0, 1.0])
    x = np.zeros((2, 2), np.float32)
    with pytest.raises(Unavailable, match="whole levels"):
        anomaly_complexity.compute(one, one, x, x, real)
    with pytest.raises(Unavailable, match="whole levels"):
        anomaly_ratio.compute(one, one, x, x, x, real)


def test_the_known_failure_a_blank_image_is_the_most_probable_of_all_and_complexity_mends_it():
    """A model of digits finds the image without ink more probable than any digit: Nalisnick et al. (2019)."""
    scores = ("auroc-likelihood", "auroc-complexity", "auroc-typicality")
    records = evaluate(checkpoint("pixelcnn"), "digits", scores, outside="blank", limit=100)
    found = {r.metric["name"]: r for r in records}
    assert found["auroc-likelihood"].value == 0
    assert "below 0.5" in found["auroc-likelihood"].details["note"]
    assert found["auroc-complexity"].value == 1
    assert found["auroc-typicality"].value > 0.9
    assert found["auroc-likelihood"].protocol["outside"] == "blank"


def test_a_model_without_likelihood_or_reconstruction_is_not_applicable():
    found = evaluate(checkpoint("dcgan"), "digits", metrics=["auroc-likelihood", "auroc-reconstruction"])
    assert [r.status for r in found] == ["skipped", "skipped"]


# Decisions


def two_classes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x ~ N(+-1, 1), and log p(x | y)."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % 2)
    x = rng.standard_normal((n, 1)) + 2.0 * labels[:, None] - 1
    return x, labels, stats.norm.logpdf(x, np.array([-1, 1]))


def test_true_densities_pay_what_the_bayes_rule_pays():
    """Asking, at a, where the larger posterior is below 1 - a, that is for |x| < log((1-a)/a) / 2."""
    train, known, _ = two_classes(200, 0)
    x, labels, scores = two_classes(40_000, 1)
    found = decision.compute(scores, train, known, x, labels, ask=0.1)["decision_cost"]
    edge = math.log(9) / 2
    asked = stats.norm.cdf(edge, 1) - stats.norm.cdf(-edge, 1)
    truth = 0.1 * asked + stats.norm.cdf(-edge, 1)
    assert found.value == pytest.approx(truth, abs=4 * found.stderr)
    assert found.details["expected"] == pytest.approx(truth, abs=4 * found.stderr)
    assert found.details["asked"] == pytest.approx(asked, abs=0.01)


def test_costs_that_never_differ_have_an_interval_about_nothing():
    """Two examples more, half a difference of 1 on either side: a variance of 1 / 102 over 102."""
    found = paired(np.zeros(100), 1.0)
    assert found.value == 0
    assert found.ci95 == pytest.approx((-1.959964 / 102, 1.959964 / 102), rel=1e-6)
    far = paired(np.repeat([0.0, 3.0], [99, 1]), 9.0)
    assert far.ci95[0] < 0 < far.value < far.ci95[1]


def test_errors_are_counted_and_distances_decided_by_the_median():
    labels = np.array([0, 1, 2, 2])
    p = np.array([[0.45, 0.1, 0.45], [0.1, 0.8, 0.1], [0.0, 0.3, 0.7], [0.6, 0.2, 0.2]])
    with np.errstate(divide="ignore"):
        scores = np.log(p)
    x = np.arange(12.0)[:, None]
    known = np.arange(12) % 3
    of = {c: decision.compute(scores, x, known, x[:4], labels, costs=c)["decision_cost"] for c in ("error", "distance")}
    assert of["error"].value == pytest.approx(1 / 4)  # of the first two as likely the first
    # medians 1, 1, 2, 0: off by 1, 0, 0, 2
    assert of["distance"].value == pytest.approx(3 / 4)


def test_the_classifier_beside_is_logistic_regression_and_shares_of_classes_are_learnt():
    train, known, _ = two_classes(300, 0)
    kept = np.concatenate([np.flatnonzero(known == 0), np.flatnonzero(known == 1)[:30]])
    train, known = train[kept], known[kept]
    x, labels, scores = two_classes(400, 1)
    found = decision.compute(scores, train, known, x, labels, costs="error")
    m, s = train.mean(), train.std()
    peer = LogisticRegression(C=1.0, tol=1e-8).fit((train - m) / s, known)
    wrong = (peer.predict((x - m) / s) != labels).astype(float)
    shares = np.bincount(known) / len(known)
    ours = ((scores + np.log(shares)).argmax(1) != labels).astype(float)
    assert found["decision_cost"].value == pytest.approx(ours.mean())
    assert found["decision_saving"].value == pytest.approx((wrong - ours).mean())


def test_the_costs_of_a_shipped_model_are_those_of_its_densities_and_of_a_conditional_vae_of_its_bounds():
    exact = evaluate(checkpoint("conditional-image-transformer"), "digits", metrics=["decision"], limit=60)
    by_bound = evaluate(checkpoint("conditional-vae"), "digits", metrics=["decision"], limit=60)
    for records in (exact, by_bound):
        cost = next(r for r in records if r.metric["name"] == "decision-cost")
        assert cost.status == "ok"
        assert 0 <= cost.value < 0.1
    (gan, _) = evaluate(checkpoint("conditional-gan"), "digits", metrics=["decision"])
    assert gan.status == "skipped"


@torch.no_grad()
def test_a_bound_by_class_is_below_the_likelihood_and_near_it():
    """Of a model whose log p(x | y) is known: bits whose z copies a coin, one weight of two is the truth."""

    class Coin:
        space, n_classes = Space((1,), levels=2), 2

        def log_prob(self, x, labels=None):
            p = torch.where(x[:, 0] == labels, 0.75, 0.25)
            return p.log()

        def log_weights(self, x, k, generator, q=None, labels=None):
            noise = torch.randn(k, len(x), generator=generator)
            return self.log_prob(x, labels) + 0.5 * noise - 0.125  # of mean exp = 1

    x = np.repeat(np.array([[0], [1]], np.uint8), 50, axis=0)
    truth = class_log_likelihoods(Coin(), x)
    one, many = (class_bounds(Coin(), x, k, 0, 40) for k in (1, 500))
    # E log w = log p - 1/8 for one weight, of deviation 1/2 over a hundred examples
    assert one.mean() == pytest.approx(truth.mean() - 0.125, abs=4 * 0.5 / 10)
    np.testing.assert_allclose(many, truth, atol=4.5 * math.sqrt(math.expm1(0.25) / 500))
    np.testing.assert_array_equal(many, class_bounds(Coin(), x, 500, 0, 40))


def test_nobody_s_class_is_the_model_s_error():
    train, known, _ = two_classes(50, 0)
    with pytest.raises(ModelError, match="of no class"):
        decision.compute(np.full((50, 2), -math.inf), train, known, train, known)


# Rare classes


KNOWN = np.repeat([0, 1, 2], [50, 45, 5])


def test_the_share_of_the_rare_class_is_the_classifier_s_and_data_without_one_have_none():
    logits = np.eye(3)[np.repeat([0, 1, 2], [40, 50, 10])]
    found = rare_class.compute(logits, KNOWN)["rare_share"]
    assert found.value == 0.1
    assert (found.details["class"], found.details["of_training"]) == (2, 0.05)
    with pytest.raises(Unavailable, match="no class is rare"):
        rare_class.compute(logits, np.arange(99) % 3)


def test_the_loss_on_the_rare_class_and_its_gap_are_those_of_the_means():
    rng = np.random.default_rng(0)
    labels, values = np.repeat([0, 1, 2], [30, 30, 20]), rng.standard_normal(80) - 5
    found = rare_loss.compute(likelihood(values), KNOWN, labels, Space((2,)))
    nats = -values / (2 * math.log(2))
    assert found["rare_nll"].value == pytest.approx(nats[60:].mean())
    assert found["rare_nll"].kind == "exact"
    peer = stats.ttest_ind(nats[60:], nats[:60], equal_var=False)
    assert found["rare_gap"].value == pytest.approx(nats[60:].mean() - nats[:60].mean())
    interval = peer.confidence_interval(0.95)
    assert found["rare_gap"].ci95 == pytest.approx((interval.low, interval.high))


def test_an_infinite_loss_makes_the_gap_infinite_and_has_no_interval():
    values = np.full(80, -5.0)
    values[70] = -math.inf
    found = rare_loss.compute(likelihood(values), KNOWN, np.repeat([0, 1, 2], [30, 30, 20]), Space((2,)))
    assert found["rare_gap"].value == math.inf
    assert (found["rare_gap"].n_nonfinite, found["rare_gap"].ci95) == (1, None)


def test_weights_are_as_copies_of_examples():
    """A chance of three times the others' is an example that stands three times; scaling is by the plain examples."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 2)) + KNOWN[:, None]
    y, asked = rng.standard_normal((60, 2)) + np.repeat([0, 1, 2], 20)[:, None], np.repeat([0, 1, 2], 20)
    W = np.where(KNOWN == 2, 3.0, 1.0)
    found = resampling.compute(W, x, KNOWN, y, asked)
    rows = np.repeat(np.arange(100), W.astype(int))
    z = (x - x.mean(0)) / x.std(0)
    peer = LogisticRegression(C=100 / W.sum(), tol=1e-8).fit(z[rows], KNOWN[rows])
    right = (peer.predict((y - x.mean(0)) / x.std(0)) == asked)[40:]
    assert found["rare_accuracy"].value == pytest.approx(right.mean())
    details = found["rare_accuracy"].details
    assert details["of_drawn"] == pytest.approx(15 / 110)
    plain = details["classes"]["2"]["without"]
    assert found["resampling_gain"].value == pytest.approx(right.mean() - plain)


def test_equal_chances_change_nothing_and_chances_that_are_none_are_the_model_s_error():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 2)) + KNOWN[:, None]
    same = resampling.compute(np.full(100, 0.01), x, KNOWN, x, KNOWN)
    assert same["resampling_gain"].value == 0
    for bad in (np.zeros(100), np.full(100, np.nan), np.ones(99), -np.ones(100)):
        with pytest.raises(ModelError, match="chances"):
            resampling.compute(bad, x, KNOWN, x, KNOWN)


@torch.no_grad()
def test_the_chances_are_those_of_the_model_over_all_training_examples():
    data = datasets.load("digits")
    model = load(checkpoint("debiasing-vae"))
    chances = model.chances(to_tensor(data.train, data.space))
    assert float(chances.sum()) == pytest.approx(1, abs=1e-5)
    assert evaluate(checkpoint("vae"), "digits", metrics=["resampling"])[0].status == "skipped"
