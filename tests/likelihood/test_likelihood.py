"""Likelihoods against models whose log p(x) is known."""

import itertools
import math
from importlib import import_module

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from genbench import catalog
from genbench.errors import ModelError, Unavailable
from genbench.likelihood import log_likelihood
from genbench.likelihood.dequantised import Dequantised
from genbench.likelihood.iwae import CHUNK, GROUPS, importance_weighted
from genbench.likelihood.jackknife import jackknife_groups
from genbench.metrics.nll import compute
from genbench.models.sampling import seeded
from genbench.space import Space
from genbench.studies.calibration.likelihoods import expected_bound
from oracles import LinearGaussian, estimate

LOG_2PI = math.log(2 * math.pi)


def test_with_the_true_posterior_every_weight_is_the_likelihood():
    x = np.linspace(-3, 3, 7, dtype=np.float32)[:, None]
    exact = -(x[:, 0].astype(float) ** 2) / 4 - 0.5 * math.log(4 * math.pi)
    for k in (1, 5, 120):
        found = estimate(LinearGaussian("posterior"), x, k)
        np.testing.assert_allclose(found.values, exact, atol=1e-6)
        np.testing.assert_allclose(found.ess, k, rtol=1e-6)


@pytest.mark.parametrize("k", [1, 5, 50])
def test_the_expected_importance_weighted_bound_is_a_known_integral(k):
    n = 20_000
    found = estimate(LinearGaussian("prior"), np.full((n, 1), 1.0, np.float32), k).values
    error = found.std(ddof=1) / math.sqrt(n)
    assert abs(found.mean() - expected_bound(1.0, k)) < 4 * error


def test_the_integral_itself_is_right_where_it_is_closed():
    """K = 1: E log N(x; z, 1) = -(x^2 + 1) / 2 - log(2 pi) / 2."""
    assert expected_bound(1.0, 1) == pytest.approx(-1 - 0.5 * LOG_2PI, abs=1e-6)


def test_the_bound_rises_with_k_to_the_truth():
    x = np.full((5000, 1), 2.0, np.float32)
    means = [estimate(LinearGaussian("prior"), x, k).values.mean() for k in (1, 5, 50)]
    exact = -1 - 0.5 * math.log(4 * math.pi)
    assert means[0] < means[1] < means[2] < exact


def test_the_monte_carlo_error_is_that_of_repeats():
    x = np.full((4000, 1), 1.0, np.float32)
    found = estimate(LinearGaussian("prior"), x, 50)
    spread = found.values.std(ddof=1)
    assert found.mc_stderr.mean() == pytest.approx(spread, rel=4 / math.sqrt(2 * 4000) + 0.1)  # delta method: O(1/K)


def test_chunks_are_one_stream_of_weights():
    model, x, k = LinearGaussian("prior"), torch.linspace(-1, 1, 4)[:, None], 2 * CHUNK + 7
    found = importance_weighted(model, x, k, lambda j: seeded("chunk", j))
    sizes = (CHUNK, CHUNK, 7)
    w = torch.cat([model.log_weights(x, size, seeded("chunk", j)) for j, size in enumerate(sizes)])
    np.testing.assert_allclose(found.state.log_mean, logsumexp(w.numpy(), axis=0) - math.log(k), rtol=1e-12)


class Uniform(torch.nn.Module):
    """The uniform density on [0, 256)^D."""

    space = Space((3, 4, 4))

    def log_prob(self, y):
        inside = ((y >= 0) & (y < 256)).flatten(1).all(1)
        return torch.where(inside, -self.space.dim * math.log(256), -torch.inf)

    def sample(self, n, generator):
        return 256 * torch.rand(n, *self.space.shape, generator=generator)


def test_uniform_bytes_dequantised_have_eight_bits_per_dimension():
    model = Dequantised(Uniform(), 256)
    x = np.random.RandomState(0).randint(256, size=(20, 3, 4, 4)).astype(np.uint8)
    found = estimate(model, x, 10)
    assert found.kind == "lower_bound"
    measure = compute(found, model.space, None)["nll"]
    assert measure.kind == "upper_bound"
    assert measure.value == pytest.approx(8, rel=1e-6)


class Ramp(torch.nn.Module):
    """Density 2y/L^2 on [0, L): P(x) = (2x + 1) / L^2."""

    space = Space((1,))
    L = 4

    def log_prob(self, y):
        return torch.log(2 * y[:, 0] / self.L**2)

    def sample(self, n, generator):
        return self.L * torch.rand(n, 1, generator=generator).sqrt()


def test_dequantised_probabilities_converge_to_the_mass_of_the_cell():
    model = Dequantised(Ramp(), Ramp.L)
    x = np.arange(4, dtype=np.uint8)[:, None]
    found = estimate(model, x, 5000)
    exact = np.log((2 * x[:, 0] + 1) / 16)
    assert (np.abs(found.values - exact) < 4 * found.mc_stderr + 1e-6).all()
    drawn = model.sample(40_000, seeded(0))[:, 0]
    share = torch.bincount(drawn, minlength=4).numpy() / 40_000
    p = (2 * np.arange(4) + 1) / 16
    assert (np.abs(share - p) < 4 * np.sqrt(p * (1 - p) / 40_000)).all()


def test_a_model_without_a_likelihood_says_what_it_has():
    class Gan:
        space = Space((1,))

        def sample(self, n, generator): ...

    with pytest.raises(Unavailable, match="the model provides: sample"):
        estimate(Gan(), np.zeros((3, 1), np.float32), 1)


def test_a_likelihood_of_the_wrong_shape_is_an_error():
    class Wrong:
        space = Space((2,))

        def log_prob(self, x):
            return x

    with pytest.raises(ModelError, match="expected \\[3\\]"):
        estimate(Wrong(), np.zeros((3, 2), np.float32), 1)


class Table:
    """Given weights, dealt out in order: the noise does not depend on the chunk."""

    space = Space((1,))

    def __init__(self, w: np.ndarray) -> None:
        self.w, self.dealt, self.encoded = torch.from_numpy(w), 0, 0

    def posterior(self, x):
        self.encoded += 1

    def log_weights(self, x, k, generator, q):
        self.dealt += k
        return self.w[self.dealt - k : self.dealt]


def dealt(w, chunk):
    table = Table(w)
    bound = importance_weighted(table, torch.zeros(w.shape[1], 1), len(w), lambda j: seeded(j), chunk)
    assert table.encoded == 1, "what depends on x alone is computed once"
    return bound


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_chunk_changes_neither_the_bound_nor_its_curve(chunk):
    w = (100 * np.random.RandomState(0).standard_normal((1203, 5))).astype(np.float32)
    bound = dealt(w, chunk)
    np.testing.assert_allclose(bound.state.log_mean, logsumexp(w.astype(float), axis=0) - math.log(1203), rtol=1e-12)
    assert list(bound.curve) == [1, 5, 50, 500]
    for size, mean in bound.curve.items():
        groups = w[: len(w) // size * size].astype(float).reshape(-1, size, 5)
        np.testing.assert_allclose(mean, (logsumexp(groups, axis=1) - math.log(size)).mean(0), rtol=1e-12)


def test_a_factor_of_all_weights_shifts_the_value_to_the_last_bit():
    w = np.random.RandomState(0).standard_normal((60, 4))
    w = np.round(w * 2**20) / 2**20  # so that subtracting 2000 loses no digit
    shifted, value = dealt(w - 2000, 7).state.log_mean, dealt(w, 7).state.log_mean
    np.testing.assert_array_max_ulp(shifted, value - 2000, maxulp=1)


def test_one_weight_of_zero_is_finite_and_an_example_of_zeros_is_not():
    w = np.zeros((10, 2))
    w[3, 0] = -np.inf
    w[:, 1] = -np.inf
    bound = dealt(w, 4)
    np.testing.assert_allclose(bound.state.log_mean, [math.log(0.9), -np.inf])


def test_the_estimated_bias_is_the_true_one():
    """c = E w^2 / (E w)^2 - 1 in closed form; K is large enough for the second order not to show."""
    k, n, x = 50, 20_000, 1.0
    found = estimate(LinearGaussian("prior"), np.full((n, 1), x, np.float32), k)
    true = expected_bound(x, k) - (-(x**2) / 4 - 0.5 * math.log(4 * math.pi))
    assert found.bias.mean() == pytest.approx(true, rel=0.15)  # the next term of the series is c^2/K smaller: 5-10 %


def test_few_codes_are_summed_out_exactly():
    """A VQ-VAE with one code of five: all probabilities sum to one, and the bound lies below."""
    space = Space((1, 2, 2), 3)
    options = {"width": 8, "codes": 5, "dim": 2, "prior_width": 4, "prior_depth": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = catalog.build("vqvae", space, options).eval()
    states = np.array(list(itertools.product(range(3), repeat=4)), np.uint8).reshape(-1, 1, 2, 2)
    found = log_likelihood(model, states, 1, seed=0, block_size=10)
    assert found.kind == "exact"
    assert np.exp(found.values).sum() == pytest.approx(1, abs=1e-5)
    bound = model.elbo(torch.from_numpy(states).long(), seeded(0)).detach().numpy()
    assert (bound < found.values).all()


def test_a_flow_reports_its_round_trip_error():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = catalog.build("realnvp", Space((2,)), {"depth": 4, "hidden": 8}).eval()
    x = np.random.RandomState(0).standard_normal((30, 2)).astype(np.float32)
    found = estimate(flow, x, 1)
    assert found.kind == "exact"
    assert 0 <= found.details["round_trip_error"] < 1e-5
    assert compute(found, flow.space, None)["nll"].details["round_trip_error"] == found.details["round_trip_error"]


def test_a_hundred_thousand_weights_cost_no_more_memory_than_a_hundred_groups(monkeypatch):
    seen = []
    module = import_module("genbench.likelihood.iwae")
    monkeypatch.setattr(module, "jackknife_groups", lambda parts: seen.append(len(parts)) or jackknife_groups(parts))
    model, x, k = LinearGaussian("prior"), torch.tensor([[0.5], [1.5]]), 100_000
    bound = importance_weighted(model, x, k, lambda j: seeded("many", j))
    exact = (-(x[:, 0] ** 2) / 4 - 0.5 * math.log(4 * math.pi)).numpy()
    assert (np.abs(bound.state.log_mean - exact) < 4 * np.sqrt(bound.state.variance)).all()
    assert list(bound.curve) == [1, 5, 50, 500, 5000, 50_000]
    assert seen == [GROUPS]


class ProbabilisticPCA:
    """x = W z + noise in four dimensions, with the best mean-field q, which ignores how z_1 and z_2 depend.

    z | x ~ N(P^-1 W'x / s2, P^-1), P = I + W'W / s2; the best factorised Gaussian has the same mean and variances
    1 / P_ii (Bishop 2006, section 10.1.2), and loses KL = (sum log P_ii - log det P) / 2 nats.
    """

    space = Space((4,))
    W = torch.tensor([[1.0, 0.8], [0.5, -0.2], [0.3, 0.9], [-0.7, 0.4]], dtype=torch.float64)
    s2 = 0.3
    P = torch.eye(2, dtype=torch.float64) + W.T @ W / s2

    def log_prob_exact(self, x):
        covariance = self.W @ self.W.T + self.s2 * torch.eye(4, dtype=torch.float64)
        return torch.distributions.MultivariateNormal(torch.zeros(4, dtype=torch.float64), covariance).log_prob(x)

    def log_weights(self, x, k, generator):
        mean = x.double() @ self.W @ torch.linalg.inv(self.P) / self.s2  # [B, 2]
        sd = self.P.diagonal().rsqrt()
        z = mean + sd * torch.randn(k, len(x), 2, generator=generator, dtype=torch.float64)
        normal = torch.distributions.Normal
        log_joint = normal(z @ self.W.T, math.sqrt(self.s2)).log_prob(x.double()).sum(-1) + normal(0.0, 1.0).log_prob(
            z
        ).sum(-1)
        return log_joint - normal(mean, sd).log_prob(z).sum(-1)


def test_the_mean_field_bound_of_probabilistic_pca_is_the_closed_form():
    model, n = ProbabilisticPCA(), 20_000
    x = np.tile(np.array([0.4, -1.0, 0.7, 0.2], np.float32), (n, 1))
    found = estimate(model, x, 1).values
    loss = 0.5 * float(model.P.diagonal().log().sum() - torch.logdet(model.P))
    error = found.std(ddof=1) / math.sqrt(n)
    assert loss > 10 * error, "the posterior is far enough from factorised for the test to see it"
    expected = float(model.log_prob_exact(torch.from_numpy(x[0]).double())) - loss
    assert abs(found.mean() - expected) < 4 * error
    many = estimate(model, x[:50], 2000)
    exact = expected + loss
    assert abs(many.values.mean() - exact) < 4 * many.mc_stderr.mean() / math.sqrt(50) + abs(many.bias.mean())


class HalfBlind:
    """x | z ~ N(|z|, s^2): the posterior has two equal modes, and q sees the positive one."""

    space = Space((1,))
    s2 = 0.01

    def log_weights(self, x, k, generator):
        mean, variance = x[:, 0].double() / (1 + self.s2), self.s2 / (1 + self.s2)
        z = mean + math.sqrt(variance) * torch.randn(k, len(x), generator=generator, dtype=torch.float64)
        normal = torch.distributions.Normal
        log_joint = normal(z.abs(), math.sqrt(self.s2)).log_prob(x[:, 0].double()) + normal(0.0, 1.0).log_prob(z)
        return log_joint - normal(mean, math.sqrt(variance)).log_prob(z)


def test_a_q_that_misses_a_mode_is_wrong_by_log_2_with_perfect_weights():
    """Why a good effective sample size is no proof: p(x) = 2 N(x; 0, 1 + s^2) for x >> s, and q finds half of it."""
    x = np.full((5, 1), 1.0, np.float32)
    found = estimate(HalfBlind(), x, 500)
    log_p = math.log(2) - 0.5 / (1 + HalfBlind.s2) - 0.5 * math.log(2 * math.pi * (1 + HalfBlind.s2))
    np.testing.assert_allclose(found.values, log_p - math.log(2), atol=1e-6)
    np.testing.assert_allclose(found.ess, 500, rtol=1e-6)
    np.testing.assert_allclose(found.bias, 0, atol=1e-6)


def test_an_affine_flow_is_a_gaussian():
    flow = catalog.build(
        "realnvp", Space((3,)), {"depth": 1, "hidden": 4}
    ).eval()  # its coupling begins as the identity
    affine = flow.scales[0].layers[0]
    with torch.no_grad():
        affine.log_scale.copy_(torch.tensor([0.5, -1.0, 0.2]))
        affine.shift.copy_(torch.tensor([1.0, 0.0, -2.0]))
    sd = (-affine.log_scale).exp().detach()
    x = torch.randn(6, 3, generator=seeded("affine"))
    expected = torch.distributions.Normal(-affine.shift.detach() * sd, sd).log_prob(x).sum(1)
    np.testing.assert_allclose(estimate(flow, x.numpy(), 1).values, expected.numpy(), rtol=1e-5, atol=1e-5)


class Bounded:
    """A log_prob that is a bound without chance, and says so."""

    space = Space((2,), 4)
    log_prob_kind = "lower_bound"

    def log_prob(self, x):
        return torch.full((len(x),), -3.0)

    def log_prob_details(self, x, values):
        return {"rows": len(x), "sum": float(values.sum())}


def test_a_log_prob_that_is_a_bound_says_so_and_what_a_reader_has_to_know():
    found = log_likelihood(Bounded(), np.zeros((5, 2), np.uint8), 1, 0, 3)
    assert (found.kind, found.method) == ("lower_bound", "log_prob")
    assert found.details == {"rows": 5, "sum": -15.0}
