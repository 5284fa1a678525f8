import math

import pytest
import torch

from genbench.baselines._layers import log_normal_mass
from genbench.baselines.diffusion.ddpm import Schedule, bound, bound_term, build
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((1, 4, 4), levels=5)


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


def test_posterior_is_bayes_rule():
    schedule = linear_schedule(6).double()
    alpha_bar = torch.linspace(6.0, -12.0, 6, dtype=torch.float64).sigmoid()
    x0, xt = torch.tensor([[0.3]], dtype=torch.float64), torch.tensor([[-1.1]], dtype=torch.float64)
    for t in range(1, 6):
        # N(x_{t-1}; sqrt(abar_{t-1}) x_0, 1 - abar_{t-1}) times N(x_t; sqrt(alpha) x_{t-1}, beta), by precisions
        alpha, before = alpha_bar[t] / alpha_bar[t - 1], 1 - alpha_bar[t - 1]
        precision = 1 / before + alpha / (1 - alpha)
        mean = (alpha_bar[t - 1].sqrt() * x0 / before + alpha.sqrt() * xt / (1 - alpha)) / precision
        step = torch.tensor([t])
        torch.testing.assert_close(schedule.posterior_mean(x0, xt, step), mean, atol=0, rtol=1e-5)
        torch.testing.assert_close(schedule.log_smallest[t], -precision.log(), atol=1e-5, rtol=0)
        torch.testing.assert_close(schedule.log_largest[t], (1 - alpha).log(), atol=1e-5, rtol=0)


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
    model.hybrid = 0.0
    model.loss(torch.randint(5, (16, 1, 4, 4)), seeded(0)).backward()
    eps_grad, share_grad = model.net.out[-1].weight.grad.chunk(2)
    assert eps_grad.abs().max() > 0
    assert share_grad.abs().max() == 0


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
