"""Annealed importance sampling against models whose log p(x), or its expectation, is known."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from scipy.special import logsumexp

from genbench.baselines.adversarial import gan
from genbench.baselines.latent_variable import vae
from genbench.errors import ModelError, Unavailable
from genbench.likelihood.ais import Block, Settings, ais, anneal, described, schedule
from genbench.likelihood.bdmc import bdmc
from genbench.likelihood.hmc import BURN_IN, HMC, Point, Posterior, adapt, leapfrog, transition
from genbench.likelihood.observation import GaussianObservation, fit_sigma
from genbench.models.sampling import seeded
from genbench.space import Space

F64 = torch.float64
LOG_2PI = math.log(2 * math.pi)
LOG_P_1 = -0.25 - 0.5 * math.log(4 * math.pi)  # of x = 1 under N(0, 2)


def normal(x, mean=0.0, sd=1.0):
    """log N(x; mean, sd^2), summed over all but the first dimension."""
    return (-0.5 * ((x - mean) / sd) ** 2 - math.log(sd) - 0.5 * LOG_2PI).flatten(1).sum(1)


class Curve:
    """z ~ N(0, 1), x | z ~ N(mean(z), sd^2) on the plane: two modes where the data lie between the arms."""

    space = Space((2,))
    sd = 0.3

    def sample_prior(self, n, generator):
        return torch.randn(n, 1, generator=generator, dtype=F64)

    def log_prior(self, z):
        return normal(z)

    def mean(self, z):
        return torch.cat([torch.sin(2 * z), 0.5 * z**2], 1)

    def log_likelihood(self, x, z):
        return normal(x, self.mean(z), self.sd)

    def observe(self, z, generator):
        mean = self.mean(z)
        return mean + self.sd * torch.randn(mean.shape, generator=generator, dtype=F64)


class Line(Curve):
    """The linear-Gaussian model: z ~ N(0, 1), x | z ~ N(z, 1), x ~ N(0, 2)."""

    space = Space((1,))
    sd = 1.0

    def mean(self, z):
        return z


def quadrature(model, x):
    """log p(x) `[n]` with z in one dimension, by 2,000 Legendre nodes on +-10."""
    node, weight = np.polynomial.legendre.leggauss(2000)
    z = torch.from_numpy(10 * node)[:, None]
    log_prior = model.log_prior(z).numpy() + np.log(10 * weight)
    return np.array([logsumexp(log_prior + model.log_likelihood(one[None], z).numpy()) for one in x])


# --- The path, with exact transitions


def exact_draw(beta, n, generator):
    """z from f_beta of the line at x = 1: N(beta / (1 + beta), 1 / (1 + beta))."""
    return beta / (1 + beta) + torch.randn(n, 1, generator=generator, dtype=F64) / math.sqrt(1 + beta)


def mean_log_likelihood(beta):
    """E log N(1; z, 1) under f_beta: the integral over beta in [0, 1] is log p(1)."""
    return -0.5 * LOG_2PI - 0.5 * ((1 / (1 + beta)) ** 2 + 1 / (1 + beta))


@pytest.mark.parametrize("name", ["linear", "sigmoid"])
@pytest.mark.parametrize("T", [10, 100])
def test_with_exact_transitions_both_directions_are_riemann_sums(name, T):
    n = 20_000
    at = Posterior(Line(), torch.ones(n, 1, dtype=F64))
    betas = schedule(name, T)
    generator = seeded("exact", T)

    def kernel(point, beta, generator):
        return at(exact_draw(beta, n, generator)), torch.ones(n, dtype=F64)

    below = anneal(at(exact_draw(0.0, n, generator)), betas, kernel, generator)[0]
    above = -anneal(at(exact_draw(1.0, n, generator)), betas[::-1], kernel, generator)[0]
    left = float(np.diff(betas) @ mean_log_likelihood(betas[:-1]))
    right = float(np.diff(betas) @ mean_log_likelihood(betas[1:]))
    for found, expected in ((below, left), (above, right)):
        assert abs(float(found.mean()) - expected) < 4 * float(found.std()) / math.sqrt(n)
    assert left < LOG_P_1 < right
    if name == "linear":
        assert right - left == pytest.approx(0.625 / T, rel=1e-12)


def test_weights_are_unbiased_both_ways():
    """E w = p(x) from the prior and E 1/w = 1/p(x) from the posterior, for T far too small for the logs to agree."""
    n, T = 20_000, 4
    at = Posterior(Line(), torch.ones(n, 1, dtype=F64))
    generator = seeded("unbiased")
    lengths = adapt(at, at(exact_draw(0.0, n, generator)), [0.25, 0.5, 0.75] * 10, n, 3, generator)
    kernel, betas = HMC(at, lengths, chains=n, steps=3), schedule("linear", T)
    for start, path, log_mean in ((0.0, betas, LOG_P_1), (1.0, betas[::-1], -LOG_P_1)):
        w = anneal(at(exact_draw(start, n, generator)), path, kernel, generator)[0].exp()
        assert abs(float(w.mean()) - math.exp(log_mean)) < 4 * float(w.std()) / math.sqrt(n)


def test_schedules_rise_from_zero_to_one():
    for name, T in itertools.product(("linear", "sigmoid"), (1, 2, 1000)):
        betas = schedule(name, T)
        assert len(betas) == T + 1
        assert betas[0] == 0
        assert betas[-1] == 1
        assert (np.diff(betas) > 0).all()
    sigmoid = schedule("sigmoid", 4)  # logistic(-4, -2, 0, 2, 4), stretched to [0, 1]; symmetric about 1/2
    quarter = (1 / (1 + math.exp(2)) - 1 / (1 + math.exp(4))) / (1 / (1 + math.exp(-4)) - 1 / (1 + math.exp(4)))
    np.testing.assert_allclose(sigmoid, [0, quarter, 0.5, 1 - quarter, 1], rtol=1e-12)


# --- Hamiltonian Monte Carlo


class Diagonal(Line):
    """A prior N(0, diag(sd^2)) over z `[n, 2, 2]`, and data that say nothing of it."""

    scale = torch.tensor([[0.5, 1.0], [1.5, 2.0]], dtype=F64)

    def log_prior(self, z):
        return normal(z / self.scale)

    def log_likelihood(self, x, z):
        return 0 * z.flatten(1).sum(1)


def test_hmc_leaves_a_gaussian_invariant_moves_and_accepts_as_it_was_told():
    n, generator = 10_000, seeded("diagonal")
    model = Diagonal()
    at = Posterior(model, torch.zeros(n, 1, dtype=F64))
    start = model.scale * torch.randn(n, 2, 2, generator=generator, dtype=F64)
    lengths = adapt(at, at(start), [0.5] * 100, n, 5, generator)
    kernel, point, acceptance = HMC(at, lengths, chains=n, steps=5), at(start), []
    for _ in range(40):
        point, probability = kernel(point, 0.5, generator)
        acceptance.append(float(probability.mean()))
    scale = model.scale
    assert (point.z.mean(0).abs() < 4 * scale / math.sqrt(n)).all()
    assert ((point.z.var(0) - scale**2).abs() < 4 * scale**2 * math.sqrt(2 / n)).all()
    correlation = (point.z * start).mean(0) / scale**2
    assert (correlation.abs() < 4 / math.sqrt(n)).all(), "the chains still know where they began"
    # The adaptation's own mean acceptance is off by (change of log length) / (0.2 * 100); ln 10 / 20 would be 0.1.
    assert np.mean(acceptance) == pytest.approx(0.65, abs=0.05)


def phase_space(at, beta, steps):
    """The leapfrog map on (z, v) of one chain, `[2]` -> `[2]`."""

    def move(zv):
        point, v = leapfrog(at, at(zv[None, :1]), zv[None, 1:], beta, torch.tensor([0.07], dtype=F64), steps)
        return torch.cat([point.z[0], v[0]])

    return move


def test_leapfrog_is_reversible_and_keeps_volume():
    move = phase_space(Posterior(Curve(), torch.tensor([[0.3, 0.4]], dtype=F64)), 0.8, 12)
    start, flip = torch.tensor([0.7, -1.1], dtype=F64), torch.tensor([1.0, -1.0], dtype=F64)
    back = flip * move(flip * move(start))
    # 24 steps, each with rounding of some 1e-16 that the map stretches by less than 100
    torch.testing.assert_close(back, start, rtol=0, atol=24 * 100 * 1e-15)
    h = 1e-5
    columns = [(move(start + h * e) - move(start - h * e)) / (2 * h) for e in torch.eye(2, dtype=F64)]
    determinant = torch.linalg.det(torch.stack(columns, 1))
    assert float(determinant) == pytest.approx(1, abs=1e-6)  # central differences: h^2 times a third derivative


def test_what_a_chain_carries_is_what_its_place_gives():
    """Log-densities and gradients are reused by the next transition: after a rejection they must be the old ones."""
    n, generator = 200, seeded("carried")
    at = Posterior(Curve(), torch.full((n, 2), 0.4, dtype=F64))
    start = at(torch.randn(n, 1, generator=generator, dtype=F64))
    point, probability = transition(at, start, 0.7, torch.full((n,), 0.4, dtype=F64), 3, generator)
    moved = (point.z != start.z).flatten()
    assert 20 < int(moved.sum()) < 180
    fresh = at(point.z)
    for name in ("log_prior", "log_likelihood", "prior_slope", "likelihood_slope"):
        torch.testing.assert_close(getattr(point, name), getattr(fresh, name), rtol=1e-12, atol=1e-12)
    assert (probability[~moved] < 1).all()


def test_the_bound_lies_below_and_rises_with_temperatures():
    n = 4000
    means, errors = [], []
    for T in (4, 40):
        settings = Settings(temperatures=T, chains=1, leapfrog=4, schedule="linear", adaptation=20)
        found = ais(Line(), np.ones((n, 1), np.float32), settings, seed=1, block_size=n, dtype=F64).values
        means.append(found.mean())
        errors.append(found.std(ddof=1) / math.sqrt(n))
        assert means[-1] < LOG_P_1 + 4 * errors[-1]
    assert means[0] < LOG_P_1 - 4 * errors[0], "with so few temperatures the slack shows"
    assert means[1] - means[0] > 4 * math.hypot(*errors)


@pytest.mark.parametrize("model", [Line(), Curve()], ids=["line", "curve"])
def test_many_chains_converge_to_the_quadrature(model):
    x = np.linspace(-1, 1.5, 5)[:, None].repeat(model.space.dim, 1).astype(np.float32)
    settings = Settings(temperatures=20, chains=2000, leapfrog=5, adaptation=30)
    found = ais(model, x, settings, seed=0, block_size=5, dtype=F64)
    expected = quadrature(model, torch.from_numpy(x).double())
    # mc_stderr is a delta method: of the next order is its square, 1 / (2 ESS)
    assert (np.abs(found.values - expected) < 4 * found.mc_stderr + 1 / found.ess).all()
    assert (found.ess > 20).all()
    assert found.kind == "lower_bound"


# --- Bidirectional


@pytest.mark.parametrize("model", [Line(), Curve()], ids=["line", "curve"])
def test_bidirectional_bounds_hold_the_truth_between_them_and_close_upon_it(model):
    n, gaps = 1000, []
    generator = seeded(0, "simulated", 0)
    truth = quadrature(model, model.observe(model.sample_prior(n, generator), generator))  # the same draws of x again
    for T in (4, 60):
        settings = Settings(temperatures=T, chains=2, leapfrog=4, adaptation=40)
        found = bdmc(model, n, settings, seed=0, block_size=n, dtype=F64)
        for slack in (truth - found.lower, found.upper - truth):
            assert slack.mean() > -4 * slack.std(ddof=1) / math.sqrt(n)
        gaps.append(found.gap)
        assert gaps[-1][0] == pytest.approx((found.upper - found.lower).mean())
        for ess in (found.lower_ess, found.upper_ess):
            assert ((ess > 1 - 1e-9) & (ess < 2 + 1e-9)).all()
    assert gaps[0][0] - gaps[1][0] > 4 * math.hypot(gaps[0][1], gaps[1][1])


def test_the_upper_bound_is_a_log_mean_exp_of_inverse_weights():
    """With T = 1 there is no transition: 1/w = 1/p(x|z) at the exact draw, the same for every chain."""
    model, settings = Line(), Settings(temperatures=1, chains=3, leapfrog=1, adaptation=2)
    z = torch.linspace(-1, 1, 4, dtype=F64)[:, None]
    x = z + 0.5
    state, _ = Block(model, x, settings, seed=0, number=0, dtype=F64).upper(z)
    np.testing.assert_allclose(-state.log_mean, model.log_likelihood(x, z), rtol=1e-12)


# --- Blocks


SMALL = Settings(temperatures=8, chains=3, leapfrog=2, adaptation=6)


def test_values_do_not_depend_on_who_measures_which_block():
    model, x = Curve(), np.random.default_rng(0).standard_normal((25, 2)).astype(np.float32)
    whole = ais(model, x, SMALL, seed=3, block_size=10, dtype=F64)
    for i in (2, 0, 1):
        part = torch.from_numpy(x[10 * i : 10 * i + 10]).double()
        state, acceptance = Block(model, part, SMALL, seed=3, number=i, dtype=F64).lower()
        np.testing.assert_array_equal(state.log_mean, whole.values[10 * i : 10 * i + 10])
        np.testing.assert_array_equal(acceptance, whole.rows["acceptance"][10 * i : 10 * i + 10])
    first = ais(model, x[:20], SMALL, seed=3, block_size=10, dtype=F64)
    np.testing.assert_array_equal(first.values, whole.values[:20])
    assert whole.rows["step_lengths"].shape == (25, len(schedule("linear", SMALL.adaptation)) - 2)


class Recorder(Curve):
    """Keeps what it draws, and counts its evaluations."""

    def __init__(self):
        self.draws, self.evaluations = [], 0

    def sample_prior(self, n, generator):
        self.draws.append(super().sample_prior(n, generator))
        return self.draws[-1]

    def log_likelihood(self, x, z):
        self.evaluations += 1
        return super().log_likelihood(x, z)


def test_the_measured_round_starts_afresh_with_fixed_lengths_and_decodes_once_for_a_step():
    model = Recorder()
    block = Block(model, torch.zeros(4, 2, dtype=F64), SMALL, seed=0, number=0, dtype=F64)
    lengths = block.kernel.lengths.lengths.clone()
    adapting = 1 + (BURN_IN + SMALL.adaptation - 1) * SMALL.leapfrog
    assert model.evaluations == adapting
    block.lower()
    assert model.evaluations == adapting + 1 + (SMALL.temperatures - 1) * SMALL.leapfrog
    block.upper(torch.zeros(4, 1, dtype=F64))
    assert torch.equal(lengths, block.kernel.lengths.lengths)
    first, measured = model.draws
    assert not torch.isin(first, measured).any(), "the rounds share their noise"


def test_an_interrupted_evaluation_goes_on_where_it_was():
    x = np.zeros((25, 2), np.float32)
    stored, made, done = {}, [], []

    def keep(i, make):
        if i not in stored:
            made.append(i)
            if made.count(1) == 1 and i == 1:
                raise KeyboardInterrupt
            stored[i] = make()
        return stored[i]

    def run(keep):
        return ais(Curve(), x, SMALL, seed=0, block_size=10, dtype=F64, progress=done.append, keep=keep)

    with pytest.raises(KeyboardInterrupt):
        run(keep)
    resumed = run(keep)
    assert made == [0, 1, 1, 2]
    done.clear()
    np.testing.assert_array_equal(resumed.values, run(lambda i, make: make()).values)
    assert done == sorted(done)
    assert done[-1] == 25
    assert len(done) > 3 * SMALL.temperatures, "progress within a block"


# --- Faults


def test_an_impossible_example_is_minus_infinity_and_nothing_is_repaired():
    class Half(Curve):
        """x < 0 is impossible, and NaN is NaN."""

        def log_likelihood(self, x, z):
            return super().log_likelihood(x, z) + torch.log((x[:, 0] >= 0).double()) + 0 * x[:, 1]

    x = np.array([[0.5, 0.5], [-0.5, 0.5], [0.5, np.nan]], np.float32)
    found = ais(Half(), x, SMALL, seed=0, block_size=3, dtype=F64).values
    assert np.isfinite(found[0])
    assert found[1] == -np.inf
    assert np.isnan(found[2])


def test_what_cannot_be_annealed_says_why():
    x = np.zeros((2, 2), np.float32)

    class Sampler:
        space = Space((2,))

        def sample(self, n, generator): ...

    class Codes(Curve):
        def sample_prior(self, n, generator):
            return torch.zeros(n, 1, dtype=torch.long)

    class Wide(Curve):
        def log_prior(self, z):
            return z

    with pytest.raises(Unavailable, match="the model provides: sample"):
        ais(Sampler(), x, SMALL, seed=0, block_size=2)
    with pytest.raises(Unavailable, match="and observe; the model provides: sample"):
        bdmc(Sampler(), 2, SMALL, seed=0, block_size=2)
    with pytest.raises(Unavailable, match="continuous latents"):
        ais(Codes(), x, SMALL, seed=0, block_size=2)
    with pytest.raises(ModelError, match=r"log_prior: expected \[6\], got \[6, 1\]"):
        ais(Wide(), x, SMALL, seed=0, block_size=2, dtype=F64)
    for wrong in ({"schedule": "cosine"}, {"chains": 0}, {"adaptation": 1}):
        with pytest.raises(ValueError, match=r"schedule|annealing"):
            Settings(**wrong)


# --- Generators with Gaussian noise


class LinearGenerator:
    """G(z) = A z: with noise sigma the data are N(0, A A' + sigma^2 I)."""

    A = torch.tensor(
        [[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-0.6, 0.8], [0.5, 0.5], [0.7, -0.7], [0.3, 0.9], [-0.2, 0.4]]
    )

    def __init__(self, levels=None, scale=1.0):
        self.space, self.A = Space((8,), levels), scale * type(self).A

    def sample_prior(self, n, generator):
        return torch.randn(n, 2, generator=generator)

    def log_prior(self, z):
        return normal(z)

    def decode(self, z):
        return z @ self.A.T.to(z)


def mean_log_density(model, x, sigma):
    covariance = (model.A @ model.A.T + sigma**2 * torch.eye(8)).double().numpy()
    return stats.multivariate_normal(np.zeros(8), covariance).logpdf(x).mean()


def test_the_fitted_sigma_of_a_linear_generator_is_that_of_the_closed_form():
    true, n = 0.3, 150
    model = LinearGenerator()
    x = GaussianObservation(model, true).sample(n, seeded("sigma")).numpy()
    fit = fit_sigma(model, x, seed=0, examples=n)
    best = optimize.minimize_scalar(lambda s: -mean_log_density(model, x, s), bounds=(0.05, 1), method="bounded").x
    # The slope, D (e^(2u) - 1) at u = log(best/sigma), is measured twice with Monte Carlo error sqrt(2 d / n) = 0.16, d
    # = 2 latents, which moves its zero by 0.16 / (2 D) = 1 %; the chord over ln(2) / 4 moves it by another 0.8 %.
    assert abs(math.log(fit.sigma / best)) < 4 * 0.01 + 0.008
    assert abs(math.log(fit.sigma / true)) < 0.05 + 4 / math.sqrt(2 * n * 6)  # 8 - 2 residuals in each example
    exact = np.array([mean_log_density(model, x, s) for s in fit.sigmas])
    assert (fit.values < exact + 0.1).all()
    assert abs(fit.values - exact).max() < 0.5
    assert fit.warnings == ()
    assert fit.examples == n


def test_the_fitted_sigma_of_integers_is_that_they_were_made_with():
    true, n = 0.3, 100
    model = LinearGenerator(levels=33, scale=0.3)
    x = GaussianObservation(model, true).sample(n, seeded("integers")).numpy().astype(np.uint8)
    fit = fit_sigma(model, x, seed=0, examples=n)
    assert abs(math.log(fit.sigma / true)) < 0.05 + 4 / math.sqrt(2 * n * 6)


def test_a_sigma_at_the_end_of_the_way_is_a_warning():
    class Perfect(LinearGenerator):
        """Every x is produced exactly: no noise is best."""

        def decode(self, z):
            return z.repeat_interleave(4, 1)

    x = torch.randn(20, 2, generator=seeded(0)).repeat_interleave(4, 1).numpy()
    fit = fit_sigma(Perfect(), x, seed=0, transitions=20)
    assert len(fit.warnings) == 1
    with pytest.raises(ValueError, match="without any spread"):
        fit_sigma(Perfect(), np.zeros((5, 8), np.float32), seed=0)


def test_sigma_is_fitted_to_a_sample_of_the_validation_data_and_not_to_the_first():
    model = LinearGenerator()
    calm, wild = (GaussianObservation(model, s).sample(60, seeded("sigma")).numpy() for s in (0.1, 0.8))
    ordered = np.concatenate([calm, wild])
    fits = [fit_sigma(model, x, seed=0, examples=40).sigma for x in (ordered, ordered[::-1].copy())]
    assert fits[0] == fits[1]
    assert fits[0] > 0.3  # the first are calm


@pytest.mark.parametrize("sigma", [0.01, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_masses_of_all_levels_sum_to_one(levels, sigma):
    class Point(LinearGenerator):
        def decode(self, z):
            return z

    model = Point()
    model.space = Space((1,), levels)
    for mean in (-1.0, -0.93, 0.2, 1.0):
        x = torch.arange(levels)[:, None]
        log_mass = GaussianObservation(model, sigma).log_likelihood(x, torch.full((levels, 1), mean, dtype=F64))
        # each mass errs by the rounding of x to float32, 6e-8 / sigma of a standard deviation
        assert float(log_mass.logsumexp(0)) == pytest.approx(0, abs=max(1e-6, 1e-7 / sigma))


def test_integers_are_drawn_from_the_masses_that_are_scored():
    n, model = 40_000, LinearGenerator(levels=5)
    observation = GaussianObservation(model, 0.6)
    z = torch.tensor([[0.4, -0.7]])
    x = observation.observe(z.expand(n, 2), seeded("masses"))
    for d in range(8):
        grid = torch.full((5, 8), 2)
        grid[:, d] = torch.arange(5)
        p = observation.log_likelihood(grid, z.expand(5, 2)).softmax(0).numpy()
        share = torch.bincount(x[:, d], minlength=5).numpy() / n
        assert (np.abs(share - p) < 4.5 * np.sqrt(p * (1 - p) / n)).all()  # 40 comparisons


@pytest.mark.parametrize("space", [Space((1, 8, 8), 17), Space((2,))], ids=["images", "points"])
def test_the_gan_and_the_vae_can_be_annealed(space):
    torch.manual_seed(0)
    generator = gan.build(space, latent=3, width=8, critic_width=8).eval()
    x = generator.sample(4, seeded(0)).detach().numpy()
    assert torch.equal(generator.decode(generator.sample_prior(3, seeded(1))), generator.generate(3, seeded(1)))
    for model in (GaussianObservation(generator, 0.2), vae.build(space, latent=3, hidden=8).eval()):
        found = ais(model, x, SMALL, seed=0, block_size=4)
        assert np.isfinite(found.values).all()
        assert np.isfinite(bdmc(model, 4, SMALL, seed=0, block_size=4).upper).all()
        assert not any(p.grad is not None for p in generator.parameters())


def test_a_chain_reports_its_mean_acceptance_and_its_weight():
    """Steps that are known, in place of chains: log w = sum (b_t - b_(t-1)) l_(t-1) (Neal, 2001, equation 8)."""
    z = torch.zeros(2, 1)
    likelihoods = iter([torch.tensor([1.0, -1.0]), torch.tensor([5.0, 2.0])])
    probabilities = iter([torch.tensor([0.2, 1.0]), torch.tensor([0.6, 0.5])])

    def at(log_likelihood):
        return Point(z, torch.zeros(2), log_likelihood, z, z)

    def kernel(point, beta, generator):
        return at(next(likelihoods)), next(probabilities)

    start = at(torch.tensor([2.0, 3.0]))
    w, accepted = anneal(start, [0.0, 0.25, 0.5, 1.0], kernel, seeded(0))
    np.testing.assert_allclose(accepted, [0.4, 0.75])
    np.testing.assert_allclose(w, [0.25 * 2 + 0.25 * 1 + 0.5 * 5, 0.25 * 3 - 0.25 * 1 + 0.5 * 2])
    w, accepted = anneal(start, [0.0, 1.0], kernel, seeded(0))
    np.testing.assert_allclose(w, [2.0, 3.0])
    assert accepted.isnan().all()


def test_details_say_how_chains_fared_at_both_ends():
    lengths = np.array([[0.1, 7.0, 0.5], [0.3, 7.0, 0.7]])  # [chains, transitions], from the prior to the posterior
    found = described(Settings(), {"acceptance": np.array([0.2, 0.4, 0.9]), "step_lengths": lengths})
    assert found["acceptance"] == pytest.approx({"0": 0.2, "0.5": 0.4, "1": 0.9})
    assert found["step_length_near_prior"] == pytest.approx({"0": 0.1, "0.5": 0.2, "1": 0.3})
    assert found["step_length_near_posterior"] == pytest.approx({"0": 0.5, "0.5": 0.6, "1": 0.7})
    assert found["temperatures"] == Settings().temperatures
