"""Latent diffusion: the chained bound where it is known, both stages, and what samples and representations are."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence

from draws import assert_means
from genbench.baselines.diffusion.latent_diffusion import LatentDiffusion, build
from genbench.models.sampling import seeded
from genbench.space import Space

IMAGES = Space((1, 4, 4), levels=3)


def small(**options) -> LatentDiffusion:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"latent": 3, "hidden": 8, "width": 4, "T": 8, "prior_width": 8, "embedding": 4, "dropout": 0.0}
        return build(IMAGES, **{**sizes, **options}).eval()


class Linear(nn.Module):
    """x | z ~ N(z, 1) for z ~ N(0, I): q(z | x) is the posterior N(x/2, 1/2), moved by `off` and stretched."""

    def __init__(self, off: float, stretch: float) -> None:
        super().__init__()
        self.off, self.log_sd = off, math.log(stretch * math.sqrt(0.5))

    def posterior(self, x):
        return x / 2 + self.off, torch.full_like(x, self.log_sd)

    def log_likelihood(self, x, z):
        return Normal(z, 1.0).log_prob(x).sum(1)


def linear_gaussian(T: int, share: float, off: float = 0.0, stretch: float = 1.0) -> LatentDiffusion:
    """With the denoiser that is exact for z ~ N(0, I), E[eps | z_t] = sqrt(1 - abar_t) z_t, and its exact last step."""
    model = build(Space((2,)), latent=2, hidden=2, T=T, log_snr=(8.0, -10.0), prior_width=4, embedding=2)
    model.vae = Linear(off, stretch)

    def denoise(zt, t):
        return model.schedule.at("noise", t, zt).sqrt() * zt, torch.where(t == 0, 1.0, share)[:, None].expand_as(zt)

    model.denoise = denoise
    return model.eval()


X = torch.tensor([[0.3, -1.2]])
LOG_P = Normal(0.0, math.sqrt(2.0)).log_prob(X).sum()


def bounds(model: LatentDiffusion, n: int) -> torch.Tensor:
    return model.elbo(X.expand(n, -1), seeded("bound"))[:, None]


def test_with_the_exact_posterior_and_a_chain_that_is_exact_the_bound_is_log_p():
    """With the largest variances p(z_{t-1} | z_t) is the reverse of the chain for z ~ N(0, I)."""
    assert_means(bounds(linear_gaussian(T=20, share=1.0), 20_000), LOG_P)


def test_the_bound_is_short_by_the_divergence_of_q():
    model = linear_gaussian(T=20, share=1.0, off=0.4, stretch=0.6)
    exact, own = Normal(X / 2, math.sqrt(0.5)), Normal(X / 2 + 0.4, 0.6 * math.sqrt(0.5))
    gap = kl_divergence(Independent(own, 2), Independent(exact, 2))
    assert float(gap) > 0.3
    assert_means(bounds(model, 20_000), LOG_P - gap)


def test_the_bound_is_short_by_the_chain_too_which_falls_as_one_over_its_steps():
    def gap(T):
        values = LOG_P - bounds(linear_gaussian(T, share=0.0), 40_000)
        return float(values.mean()), float(values.std() / len(values) ** 0.5)

    (coarse, error), (fine, fine_error) = gap(50), gap(200)
    assert fine > 4 * fine_error
    assert coarse / fine == pytest.approx(4, abs=4 * 4 * (error / coarse + fine_error / fine) + 0.4)  # 1/T + O(1/T^2)


def test_the_bound_has_beta_one_whatever_the_stages_were_trained_with():
    x = torch.randint(3, (6, *IMAGES.shape), generator=seeded("x"))
    torch.testing.assert_close(small(beta=0.3).elbo(x, seeded(0)), small(beta=1.0).elbo(x, seeded(0)))


def test_stage_one_is_the_vaes_own_loss_at_beta_one_and_weighs_its_divergence():
    x = torch.randint(3, (6, *IMAGES.shape), generator=seeded("x"))
    model = small(beta=1.0)
    torch.testing.assert_close(model.vae_loss(x, seeded(0)), model.vae.loss(x, seeded(0)))
    mean, log_sd = model.vae.posterior(x)
    kl = kl_divergence(Normal(mean, log_sd.exp()), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(small(beta=3.0).vae_loss(x, seeded(0)) - model.vae_loss(x, seeded(0)), 2 * kl)


def test_each_stage_moves_its_own_parameters_and_all_of_them():
    model = small()
    x = torch.randint(3, (16, *IMAGES.shape), generator=seeded("x"))
    moved = set()
    for stage in model.stages():
        (objective,) = stage.objectives
        own = {id(p) for p in objective.parameters}
        model.zero_grad()
        objective.loss(x, seeded(0)).backward()
        for name, p in model.named_parameters():
            if id(p) in own:
                assert p.grad is not None, name
                assert p.grad.abs().sum() > 0, name
            else:
                assert p.grad is None, name
        moved |= own
    assert moved == {id(p) for p in model.parameters()}


@torch.no_grad()
def test_samples_are_decoded_from_latents_of_the_chain():
    model = small()
    z = model.sample_prior(5, seeded(0))
    assert z.shape == (5, 3)
    generator = seeded(0)
    again = model.sample(5, generator)
    assert again.shape == (5, *IMAGES.shape)
    assert again.dtype == torch.int64
    assert 0 <= int(again.min()) <= int(again.max()) <= 2
    exact = linear_gaussian(T=20, share=1.0)
    drawn = exact.sample_prior(20_000, seeded(1))
    assert_means(drawn, 0.0)
    assert_means(drawn**2, 1.0)


@torch.no_grad()
def test_representation_is_the_vaes():
    model = small()
    x = torch.randint(3, (6, *IMAGES.shape), generator=seeded("x"))
    assert torch.equal(model.encode(x), model.vae.posterior(x)[0])
    assert torch.equal(model.reconstruct(x), model.expected(model.encode(x)))
    assert model.reconstruct(x).shape == x.shape


def test_a_chain_of_one_step_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        build(IMAGES, T=1)
