"""DDPM: every term of the bound and every step of the sampler against Gaussians by Bayes' rule, in float64."""

import math
from pathlib import Path

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from draws import assert_frequencies, assert_means, assert_moments
from genbench import datasets
from genbench.baselines._layers import log_normal_mass
from genbench.baselines.diffusion.ddpm import Schedule, bound, bound_term, build
from genbench.models.checkpoint import load, read_card
from genbench.models.sampling import seeded, to_tensor
from genbench.space import Space

SPACE = Space((1, 4, 4), levels=5)
SHIPPED = Path(__file__).parents[2] / "baselines/checkpoints/digits/ddpm.safetensors"


def linear_schedule(T, first=6.0, last=-12.0):
    return Schedule(torch.linspace(first, last, T, dtype=torch.float64))


def small(seed=0, space=SPACE):
    torch.manual_seed(seed)
    return build(space, T=8, width=8, embedding=8, dropout=0.0).eval()


def randomised(model):
    """No weight is zero, so that every path of the network carries something."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape))
    return model


def gaussian_denoiser(schedule, share):
    """The exact one for data N(0, 1): x_t is N(0, 1) too, and E[eps | x_t] = sqrt(1 - abar_t) x_t."""

    def denoiser(xt, t):
        # The decoder's variance is beta in either case, which is exact.
        return schedule.at("noise", t, xt).sqrt() * xt, torch.where(t == 0, 1.0, share)[:, None].expand_as(xt)

    return denoiser


def expected_bound(schedule, denoiser, x0):
    """E over the noise of the bound, exactly: where it is quadratic in eps, eps = +-1 give its mean."""
    ab = schedule.alpha_bar[-1].double()
    total = -0.5 * (ab * x0**2 - ab - torch.log1p(-ab)).flatten(1).sum(1)
    for t in range(len(schedule)):
        steps = torch.full((len(x0),), t)
        for sign in (-1.0, 1.0):
            total -= 0.5 * bound_term(schedule, denoiser, x0, steps, torch.full_like(x0, sign), None)
    return total


def log_standard_normal(x):
    return (-0.5 * x**2 - 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)


class Chain:
    """The chain by Bayes' rule in float64, one step at a time: what `Schedule` is held against.

    Arguments:
        log_snr: `[T]`, float64.
    """

    def __init__(self, log_snr):
        self.alpha_bar = [1.0, *log_snr.sigmoid().tolist()]  # of x_0, x_1, ..., x_T

    def __len__(self):
        return len(self.alpha_bar) - 1

    def marginal(self, x0, t):
        """q(x_{t+1} | x_0), where t counts from 0 as in `Schedule`."""
        return Normal(self.alpha_bar[t + 1] ** 0.5 * x0, (1 - self.alpha_bar[t + 1]) ** 0.5)

    def posterior(self, x0, xt, t):
        """q(x_t | x_{t+1}, x_0): N(x_t; ., .) times N(x_{t+1}; sqrt(alpha) x_t, beta), by precisions; t > 0."""
        alpha, noise = self.alpha_bar[t + 1] / self.alpha_bar[t], 1 - self.alpha_bar[t]
        precision = 1 / noise + alpha / (1 - alpha)
        mean = (self.alpha_bar[t] ** 0.5 * x0 / noise + alpha**0.5 * xt / (1 - alpha)) / precision
        return Normal(mean, precision**-0.5)

    def reverse(self, denoiser, xt, t, bounded):
        """p(x_t | x_{t+1}): the mean of the posterior at the predicted x_0, a variance between the two limits."""
        eps, share = denoiser(xt, torch.full((len(xt),), t))
        x0 = (xt - (1 - self.alpha_bar[t + 1]) ** 0.5 * eps) / self.alpha_bar[t + 1] ** 0.5
        if bounded:
            x0 = x0.clamp(-1, 1)
        beta = 1 - self.alpha_bar[t + 1] / self.alpha_bar[t]
        mean, low = (x0, beta / 100) if t == 0 else (self.posterior(x0, xt, t).mean, self.posterior(x0, xt, t).variance)
        return Normal(mean, (torch.as_tensor(low) ** (1 - share) * beta**share).sqrt())

    def term(self, denoiser, x0, t, eps, levels):
        """Term t of the bound -> [B]; a bin's mass by the cumulative distribution, on the side where it is small."""
        xt = self.marginal(x0, t).loc + self.marginal(x0, t).scale * eps
        p = self.reverse(denoiser, xt, t, bounded=levels is not None)
        if t > 0:
            return kl_divergence(self.posterior(x0, xt, t), p).flatten(1).sum(1)
        if levels is None:
            return -p.log_prob(x0).flatten(1).sum(1)
        half = 1 / (levels - 1)
        low = torch.where(x0 < -1 + half, -math.inf, (x0 - half - p.mean) / p.stddev)
        high = torch.where(x0 > 1 - half, math.inf, (x0 + half - p.mean) / p.stddev)
        cdf = torch.special.ndtr
        return -torch.where(low > 0, cdf(-low) - cdf(-high), cdf(high) - cdf(low)).log().flatten(1).sum(1)


def some_denoiser(x, t):
    """Of every value by itself, and another at every step; its predictions of x_0 leave [-1, 1] now and then."""
    t = t.view(-1, *[1] * (x.dim() - 1)).to(x.dtype)
    return torch.tanh(x + 0.5 * t - 1) + 0.3 * x, torch.sigmoid(x - t + 1)


@pytest.mark.parametrize("levels", [None, 2, 5])
def test_every_term_of_the_bound_is_the_divergence_that_it_should_be(levels):
    log_snr = torch.tensor([2.0, 0.5, -1.0, -4.0], dtype=torch.float64)
    schedule, chain = Schedule(log_snr).double(), Chain(log_snr)
    x0 = torch.randn(50, 3, dtype=torch.float64, generator=seeded("x"))
    if levels is not None:
        x0 = torch.randint(levels, (50, 3), generator=seeded("x")).double() * 2 / (levels - 1) - 1
    for t in range(4):
        eps = torch.randn(50, 3, dtype=torch.float64, generator=seeded("eps", t))
        found = bound_term(schedule, some_denoiser, x0, torch.full((50,), t), eps, levels)
        # float32 constants, right to 6e-8, next to which their differences are no smaller than 0.01
        torch.testing.assert_close(found, chain.term(some_denoiser, x0, t, eps, levels), rtol=1e-4, atol=1e-4)


def test_the_bound_is_the_sum_of_its_terms_and_of_what_the_last_step_leaves_of_the_image():
    log_snr = torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64)  # at x_T much is left of x_0
    chain, n = Chain(log_snr), 20_000
    x0 = torch.tensor([[1.0, -0.5]], dtype=torch.float64)
    prior = float(kl_divergence(chain.marginal(x0, 2), Normal(0.0, 1.0)).sum())
    assert prior > 0.5
    many = x0.expand(n, 2)
    eps = [torch.randn(n, 2, dtype=torch.float64, generator=seeded("eps", t)) for t in range(3)]
    independent = -prior - sum(chain.term(some_denoiser, many, t, eps[t], 5) for t in range(3))
    found = bound(Schedule(log_snr), some_denoiser, many.float(), seeded("bound"), 5)
    assert_means(found[:, None].double() - independent[:, None], 0.0)  # both are means over noise, drawn apart


def test_the_bound_of_a_chain_that_stops_early_is_tight_on_standard_normal_data():
    # x_T is N(0, 1) whatever is left of x_0, so every step of the chain is exact.
    schedule = linear_schedule(3, first=2.0, last=0.0)
    for value in (-2.0, 0.5, 1.5):
        x0 = torch.full((20_000, 1), value)
        found = bound(schedule, gaussian_denoiser(schedule, share=1.0), x0, seeded("bound", value), None)
        assert_means(found[:, None], log_standard_normal(x0[:1]))


def exact_denoiser(chain, mean, sd):
    """E[eps | x_t] and the variance of q(x_{t-1} | x_t), as a share between its limits, for data N(mean, sd^2)."""

    def denoiser(xt, t):
        (t,) = t.unique().tolist()
        kept, before = chain.alpha_bar[t + 1], chain.alpha_bar[t]
        eps = (1 - kept) ** 0.5 * (xt - kept**0.5 * mean) / (kept * sd**2 + 1 - kept)
        alpha = kept / before
        variance = 1 / (1 / (before * sd**2 + 1 - before) + alpha / (1 - alpha))
        low = (1 - alpha) / 100 if t == 0 else 1 / (1 / (1 - before) + alpha / (1 - alpha))
        share = (variance.log() - math.log(low)) / (math.log(1 - alpha) - math.log(low))
        assert bool((share >= 0).all() and (share <= 1).all())
        return eps, share.expand_as(xt)

    return denoiser


MEAN = torch.tensor([[1.5, -0.5], [0.0, 3.0]])
SD = torch.tensor([[0.9, 0.5], [0.7, 0.2]])


def gaussian_model(T=6):
    """The exact chain of Gaussian pixels, whose steps differ: x_0 is N(MEAN, SD^2)."""
    model = build(Space((1, 2, 2)), T=T, log_snr=(3.0, -14.0), width=4, embedding=2, dropout=0.0)
    chain = Chain(torch.linspace(3.0, -14.0, T, dtype=torch.float64))
    model.denoise = exact_denoiser(chain, MEAN, SD)
    return model


@torch.no_grad()
def test_samples_of_an_exact_chain_have_the_moments_of_the_data():
    x = gaussian_model().sample(20_000, seeded("samples"))
    assert_moments(x.flatten(1), MEAN.flatten(), SD.flatten().square().diag())


@torch.no_grad()
def test_the_bound_of_an_exact_chain_is_the_density_of_the_data():
    x0 = torch.tensor([[[[1.0, 0.0], [1.0, 3.1]]]])
    found = gaussian_model().elbo(x0.expand(20_000, 1, 2, 2), seeded("bound"))
    assert_means(found[:, None], Normal(MEAN, SD).log_prob(x0).sum())


@torch.no_grad()
def test_validation_from_every_fourth_term_has_the_mean_of_the_whole_bound():
    model = randomised(build(Space((1, 2, 2), levels=5), T=8, log_snr=(2.0, -4.0), width=4, embedding=2, dropout=0.0))
    x = torch.tensor([[[[0, 1], [4, 2]]]]).expand(200, 1, 2, 2)

    def values(thin):
        model.thin = thin
        return torch.stack([model.negative_elbo(x, seeded("thin", thin, seed)) for seed in range(50)])

    assert_means((values(4) - values(1))[:, None], 0.0)
    assert values(4).std() > 1.2 * values(1).std()


def test_what_validation_leaves_out_divides_the_steps():
    with pytest.raises(ValueError, match="a divisor of T"):
        build(SPACE, T=8, thin=3)


@torch.no_grad()
def test_the_sampler_takes_every_step_once_from_the_last_to_the_first():
    model, steps = small(), []
    denoise = model.denoise
    model.denoise = lambda xt, t: steps.append(t.unique().tolist()) or denoise(xt, t)
    model.sample(3, seeded(0))
    assert steps == [[t] for t in reversed(range(8))]


@torch.no_grad()
@pytest.mark.parametrize("levels", [2, 5])
def test_samples_of_integers_follow_the_chain_integrated_over_a_grid(levels):
    """A denoiser of every value by itself makes a Markov chain of numbers: its marginals follow by quadrature."""
    model = build(Space((1, 2, 2), levels), T=3, log_snr=(2.0, -3.0), width=4, embedding=2, dropout=0.0)
    model.denoise = some_denoiser
    chain = Chain(torch.linspace(2.0, -3.0, 3, dtype=torch.float64))
    x = torch.linspace(-9, 9, 1801, dtype=torch.float64)  # of x_T, then of x_{t+1}: steps far below every deviation
    p = Normal(0.0, 1.0).log_prob(x).exp() * 0.01
    for t in (2, 1):
        moves = chain.reverse(some_denoiser, x[:, None], t, bounded=True)
        p = p @ moves.log_prob(x).exp() * 0.01
    last = chain.reverse(some_denoiser, x[:, None], 0, bounded=True)
    ends = torch.linspace(-1, 1, 2 * levels - 1, dtype=torch.float64)[1::2]  # halfway between levels
    below = torch.cat([torch.zeros(len(x), 1), last.cdf(ends), torch.ones(len(x), 1)], 1)
    drawn = model.sample(20_000, seeded("samples"))
    assert_frequencies(torch.bincount(drawn.flatten(), minlength=levels), p @ below.diff(dim=1))


def test_levels_are_rounded_to_and_kept_in_range():
    x = torch.tensor([-3.0, -1.0, -0.76, -0.74, 0.1, 0.9, 1.4])
    assert small().to_levels(x).tolist() == [0, 0, 0, 1, 2, 4, 4]


def test_time_features_are_sines_and_cosines_of_the_share_of_the_chain():
    model = build(SPACE, T=4, width=4, embedding=6)
    expected = [[f(w * t / 4) for f in (math.sin, math.cos) for w in (1, 10, 100)] for t in range(4)]
    torch.testing.assert_close(model.time_features(torch.arange(4)), torch.tensor(expected))


def test_the_simple_objective_is_the_mean_error_in_the_noise():
    model = small()
    model.hybrid = 0.0
    steps = []
    # A prediction of 1/2 errs by 1 + 1/4 in the mean, and (eps - 1/2)^2 has variance 2 + 4/4.
    model.denoise = lambda xt, t: steps.append(t) or (torch.full_like(xt, 0.5), torch.full_like(xt, 0.5))
    x = torch.zeros(20_000, 1, 4, 4, dtype=torch.int64)
    assert float(model.loss(x, seeded("loss"))) == pytest.approx(1.25, abs=4 * (3 / x.numel()) ** 0.5)
    assert_frequencies(torch.bincount(steps[0], minlength=8), torch.ones(8) / 8)


@torch.no_grad()
def test_the_hybrid_objective_adds_the_bound_by_value():
    model = randomised(build(Space((1, 2, 2), levels=5), T=3, log_snr=(2.0, 0.0), width=4, embedding=2, dropout=0.0))
    x = torch.tensor([[[[0, 1], [4, 2]]]]).expand(100, 1, 2, 2)

    def losses(hybrid):
        model.hybrid = hybrid
        return torch.stack([model.loss(x, seeded(seed)) for seed in range(50)])

    added = (losses(0.5) - losses(0.0)) / 0.5  # with the same draws of t and eps
    chain = Chain(torch.linspace(2.0, 0.0, 3, dtype=torch.float64))
    prior = kl_divergence(chain.marginal(x[0] / 2 - 1, 2), Normal(0.0, 1.0)).sum()  # nothing to be learned: not in it
    bounds = torch.stack([-model.elbo(x, seeded("elbo", seed)).mean() for seed in range(50)])
    assert_means((added - (bounds - prior) / 4)[:, None], 0.0)  # 4 values


def test_dropout_rests_at_evaluation():
    model = randomised(build(SPACE, T=8, width=8, embedding=8, dropout=0.5))
    x, t = torch.randn(2, 1, 4, 4, generator=seeded("x")), torch.tensor([1, 5])
    for block in (model.net.fine, model.net.coarse, model.net.merge):
        features = torch.ones(2, block.first[0].num_channels, 4, 4)
        assert not torch.equal(block(features, torch.ones(2, 8)), block(features, torch.ones(2, 8)))
    model.eval()
    assert torch.equal(model.denoise(x, t)[0], model.denoise(x, t)[0])


@torch.no_grad()
def test_the_shipped_network_is_the_one_that_was_trained():
    """The bound of some validation images against that of all of them when training ended (all take 10 s)."""
    data = datasets.load("digits")
    values = load(SHIPPED).elbo(to_tensor(data.validation[:20], data.space), seeded("validation"))
    assert_means(-values[:, None], read_card(SHIPPED).training["validation"])


def test_reverse_steps_with_the_largest_variance_are_exact_on_standard_normal_data():
    schedule = linear_schedule(20).double()
    x0 = torch.linspace(-2, 2, 9, dtype=torch.float64).view(-1, 1)
    value = expected_bound(schedule, gaussian_denoiser(schedule, share=1.0), x0)
    # What p(x_T) = N(0, 1) says of the data is exact here, so nothing but rounding of the constants is left:
    # 20 terms, each a ratio of float32 constants.
    torch.testing.assert_close(value, log_standard_normal(x0), atol=1e-4, rtol=0)


def test_gap_of_the_bound_with_the_smallest_variance_falls_as_one_over_t():
    x0 = torch.linspace(-2, 2, 9, dtype=torch.float64).view(-1, 1)
    gaps = []
    for T in (100, 200, 400):
        schedule = linear_schedule(T).double()
        gap = log_standard_normal(x0) - expected_bound(schedule, gaussian_denoiser(schedule, share=0.0), x0)
        gaps.append(float(gap.mean()))
    assert min(gaps) > 0
    # gap = a/T + b/T^2: the ratio of two neighbours tends to 2, and the next ratio is nearer to it.
    ratios = [gaps[0] / gaps[1], gaps[1] / gaps[2]]
    assert abs(ratios[1] - 2) < abs(ratios[0] - 2) < 0.1


def test_bound_is_unbiased_for_its_expectation_over_the_noise():
    schedule = linear_schedule(20)
    denoiser = gaussian_denoiser(schedule, share=0.0)
    x0 = torch.full((20_000, 1), 0.7)
    values = bound(schedule, denoiser, x0, seeded(1), None).double()
    exact = expected_bound(schedule, denoiser, x0[:1])
    assert abs(float(values.mean() - exact)) < 4 * float(values.std()) / math.sqrt(len(values)) + 1e-4


def test_bound_stays_below_the_truth_and_tends_to_it_on_discrete_data():
    levels, p = 3, torch.tensor([0.6, 0.1, 0.3])
    values = torch.linspace(-1, 1, levels)

    def at(T):
        """E over data and noise of the bound, with the exact E[eps | x_t] by enumeration of x_0."""
        schedule = linear_schedule(T, first=6.0)

        def denoiser(xt, t):
            ab, noise = schedule.at("alpha_bar", t, xt), schedule.at("noise", t, xt)
            logits = p.log() - 0.5 * (xt - ab.sqrt() * values) ** 2 / noise  # [B, levels]
            x0 = (logits.softmax(1) * values).sum(1, keepdim=True)
            return (xt - ab.sqrt() * x0) / noise.sqrt(), torch.zeros_like(xt)

        # Equal numbers of every level, weighted by p: the choice of x_0 adds no noise.
        n = 20_000 * 40 // T
        estimates = bound(schedule, denoiser, values.repeat_interleave(n)[:, None], seeded(2), levels).view(levels, n)
        stderr = float((p**2 * estimates.var(1) / n).sum().sqrt())
        return float((p * estimates.mean(1)).sum()), stderr

    truth = float((p * p.log()).sum())
    coarse, coarse_stderr = at(10)
    fine, fine_stderr = at(160)
    assert coarse < truth + 4 * coarse_stderr
    assert fine < truth + 4 * fine_stderr
    assert truth - fine < (truth - coarse) / 4 + 4 * (fine_stderr + coarse_stderr)


def test_first_step_leads_to_the_predicted_image_itself():
    schedule = linear_schedule(6)
    x0, x1, first = torch.tensor([[0.3]]), torch.tensor([[-1.1]]), torch.tensor([0])
    torch.testing.assert_close(schedule.posterior_mean(x0, x1, first), x0)


def test_steps_of_the_chain_compose_to_the_marginal():
    schedule = linear_schedule(6).double()
    kept, noise = 1.0, 0.0  # x_t = kept x_0 + N(0, noise)
    for t in range(6):
        beta = float(schedule.log_largest[t].exp())
        kept, noise = kept * math.sqrt(1 - beta), noise * (1 - beta) + beta
        assert kept == pytest.approx(float(schedule.alpha_bar[t].sqrt()), rel=1e-5)
        assert noise == pytest.approx(float(schedule.noise[t]), rel=1e-5)


def test_decoder_sums_to_one_over_all_images():
    space = Space((1, 2, 2), levels=5)
    model = randomised(small(space=space))
    schedule = model.schedule
    images = torch.cartesian_prod(*[torch.linspace(-1, 1, 5)] * 4).view(-1, 1, 2, 2)  # all 625
    x1, first = torch.randn(1, 1, 2, 2).expand_as(images), torch.zeros(len(images), dtype=torch.int64)
    # The noise that leads from each image to the one x_1
    eps = (x1 - schedule.at("alpha_bar", first, x1).sqrt() * images) / schedule.at("noise", first, x1).sqrt()
    with torch.no_grad():
        log_p = -bound_term(schedule, model.denoise, images, first, eps, 5)
    assert float(log_p.exp().double().sum()) == pytest.approx(1, abs=1e-4)


def test_samples_are_drawn_from_the_decoder_that_is_scored():
    model = randomised(small())
    schedule, n = model.schedule, 20_000
    x1, first = torch.randn(1, 1, 4, 4), torch.zeros(1, dtype=torch.int64)
    with torch.no_grad():
        mean, log_sd = schedule.reverse(model.denoise, x1, first, bounded=True)
    y = mean + log_sd.exp() * torch.randn(n, 1, 4, 4, generator=seeded(3))
    drawn = model.to_levels(y)
    for level in range(5):
        x0 = torch.full_like(mean, level / 2 - 1)
        p = log_normal_mass(x0, mean, log_sd, 5).exp()
        error = ((drawn == level).float().mean(0, keepdim=True) - p).abs()
        # 80 comparisons at 4.5 standard errors: a false alarm in 1,800 seeds
        assert (error <= 4.5 * (p * (1 - p) / n).sqrt() + 1e-6).all()


def test_gradients_reach_every_parameter():
    model = randomised(small())
    model.loss(torch.randint(5, (16, 1, 4, 4)), seeded(0)).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 0, name


def test_variance_learns_from_the_bound_and_the_mean_from_the_simple_objective():
    model = randomised(small())
    x = torch.randint(5, (16, 1, 4, 4), generator=seeded("x"))

    def gradients(hybrid):
        """Of the last layer: of the part that predicts eps, and of the part that predicts the share."""
        model.hybrid = hybrid
        model.zero_grad()
        model.loss(x, seeded(0)).backward()
        return model.net.out[-1].weight.grad.clone().chunk(2)

    (eps, share), (eps_too, share_too) = gradients(0.0), gradients(1.0)
    assert eps.abs().max() > 0
    assert share.abs().max() == 0
    torch.testing.assert_close(eps_too, eps)
    assert share_too.abs().max() > 0


def test_samples_are_in_the_space_and_repeatable():
    model = small()
    with torch.no_grad():
        a, b, c = model.sample(6, seeded(1)), model.sample(6, seeded(1)), model.sample(6, seeded(2))
    assert a.shape == (6, 1, 4, 4)
    assert a.dtype == torch.int64
    assert 0 <= int(a.min()) <= int(a.max()) < 5
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_denoising_does_not_depend_on_block_mates():
    model = randomised(small())
    x, t = torch.randn(6, 1, 4, 4), torch.arange(6)
    with torch.no_grad():
        together = model.denoise(x, t)
        alone = [model.denoise(x[i : i + 1], t[i : i + 1]) for i in range(6)]
    for k in range(2):
        torch.testing.assert_close(together[k], torch.cat([a[k] for a in alone]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("space", [Space((2,)), Space((1, 7, 8), 17)])
def test_spaces_it_cannot_model_are_refused(space):
    with pytest.raises(ValueError, match="even sides"):
        build(space)
