"""Diffusion on codes: the bound against p(c) by quadrature, its limit of many steps, and what a density would do."""

import math

import pytest
import torch
from torch import Tensor

from draws import assert_drawn, assert_frequencies, assert_means, every
from genbench.baselines.diffusion import code_diffusion
from genbench.baselines.diffusion.code_diffusion import CodeDiffusion
from genbench.baselines.diffusion.ddpm import bound
from genbench.likelihood.enumerated import can_enumerate
from genbench.models.capabilities import Decoder
from genbench.models.sampling import seeded
from genbench.space import Space

TINY = Space((1, 2, 2), levels=2)  # one code
PRIOR = torch.tensor([0.6, 0.3, 0.1])


def network(space: Space = TINY, codes: int = 3, dim: int = 1, **options) -> CodeDiffusion:
    """A random model, whose beliefs are far from uniform and change with z and t."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        sizes = {"width": 6, "blocks": 1, "T": 4, "log_snr": (2.0, -3.0), "prior_width": 8, "prior_layers": 1}
        net = code_diffusion.build(space, codes=codes, dim=dim, **{**sizes, "embedding": 4, **options})
        with torch.no_grad():
            for p in net.parameters():
                p.add_(0.3 * torch.randn_like(p))
    return net.eval().requires_grad_(False)


def log_prior(net: CodeDiffusion) -> Tensor:
    """log p(c) of one code in one dimension, by the trapezoidal rule over each z_t from T to 1: [K]."""
    z = torch.linspace(-8, 8, 1601)
    step, nodes = 0.01, z.view(-1, 1, 1, 1)
    density = torch.distributions.Normal(0.0, 1.0).log_prob(z).double().exp()
    for t in reversed(range(1, len(net.schedule))):
        mean, log_sd = net.schedule.reverse(net.denoise, nodes, torch.full((len(z),), t), bounded=False)
        mean, sd = mean.flatten().double(), log_sd.flatten().double().exp()
        density = torch.distributions.Normal(mean[:, None], sd[:, None]).log_prob(z.double()).exp().T @ density * step
    logits, _ = net.belief(nodes, torch.zeros(len(z), dtype=torch.int64))
    return (logits.flatten(1).double().softmax(1) * density[:, None] * step).sum(0).log()


def code(k: int, n: int) -> Tensor:
    return torch.full((n, 1, 1, 1), k)


def believing(net: CodeDiffusion, share: float) -> CodeDiffusion:
    """With the belief that is exact for p(c) = PRIOR, and a share of the variance that is the same everywhere."""

    def others(zt: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        return PRIOR.log().view(1, 3, 1, 1).expand(len(zt), -1, 1, 1), torch.full_like(zt, share)

    net.believer.forward = others
    return net


@pytest.mark.parametrize("codes", [2, 3])
def test_the_prior_sums_to_one_codes_are_drawn_from_it_and_the_bound_is_below(codes):
    net, n = network(codes=codes), 20_000
    log_p = log_prior(net)
    # the Gaussians are 8 nodes wide or more and end 8 deviations out: what is left is the float32 of the network
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-5)
    assert float(log_p.max() - log_p.min()) > 0.05  # seven standard errors of a share of 20,000 draws
    drawn = net.sample_prior(n, seeded()).flatten()
    assert_frequencies(torch.bincount(drawn, minlength=codes), log_p.exp())
    for k in range(codes):
        values = net.log_prior_bound(code(k, n), seeded(k)).double()
        assert float(log_p[k] - values.mean()) > 4 * float(values.std()) / math.sqrt(n)


def test_with_the_exact_belief_the_bound_tends_to_the_truth_as_one_over_the_steps():
    """Were p(z_{t-1} | z_t) no Gaussian but a mixture, there would be no gap; a Gaussian is right in small steps."""
    n = 8_000

    def gap(T: int) -> tuple[float, float]:
        net = believing(network(T=T, log_snr=(7.0, -9.0)), share=0.0)
        values = torch.cat([PRIOR[k].log() - net.log_prior_bound(code(k, n), seeded(k)) for k in range(3)])
        weights = PRIOR.repeat_interleave(n) / n  # of the mean under p(c)
        error = sum(float(w * v.std()) ** 2 / n for w, v in zip(PRIOR, values.split(n), strict=True)) ** 0.5
        return float((weights * values).sum()), error

    (coarse, error), (fine, fine_error) = gap(50), gap(200)
    assert fine > 4 * fine_error
    assert coarse / fine == pytest.approx(4, abs=4 * 4 * (error / coarse + fine_error / fine) + 0.4)  # 1/T + O(1/T^2)


def test_a_density_in_the_place_of_the_last_step_is_no_probability():
    """The bound of latent diffusion at z_0 = e_c, with the same exact belief: it sums to far more than one."""
    net = believing(network(T=100, log_snr=(9.0, -9.0)), share=0.0)
    density, ours = [], []
    for k in range(3):
        z0 = net.start(code(k, 500))
        density.append(bound(net.schedule, net.denoise, z0, seeded(k), None).mean())
        ours.append(net.log_prior_bound(code(k, 500), seeded(k)).mean())
    assert float(torch.stack(density).exp().sum()) > 10
    assert 0.8 < float(torch.stack(ours).exp().sum()) < 1


def test_the_bound_on_images_is_below_the_sum_over_codes_that_samples_come_from():
    net, n = network(), 4_000
    x, p = every(TINY), log_prior(net)
    joint = torch.stack([p[k] + net.log_likelihood(x, code(k, 16)) for k in range(3)])
    log_x = joint.logsumexp(0)
    assert float(log_x.exp().sum()) == pytest.approx(1, abs=1e-5)
    assert_drawn(net.sample(20_000, seeded()), log_x, TINY)
    bounds = torch.stack([net.elbo(x, seeded(i)) for i in range(n // 16)]).double()
    below = log_x - bounds.mean(0)
    assert (below > 4 * bounds.std(0) / math.sqrt(len(bounds))).all()
    terms = torch.stack([net.log_prior_bound(net.codes(x), seeded(i)) for i in range(n // 16)])
    assert_means((bounds - terms).double(), net.log_likelihood(x, net.codes(x)))  # the rest has no noise


def test_the_chains_loss_is_its_bound_but_for_the_constant():
    """Times spread over a batch as large as the chain are each there once; else one of T, and the mean is the same."""
    net = network(Space((1, 4, 4), levels=2), dim=2)
    x = torch.randint(2, (40, 1, 4, 4), generator=seeded("x"))
    codes = net.codes(x)
    z0, last = net.start(codes), net.schedule.alpha_bar[-1]
    constant = 0.5 * (last * z0**2 - last - torch.log1p(-last)).flatten(1).sum(1).mean()
    losses = torch.stack([net.chain_loss(x[torch.randperm(40, generator=seeded(i))], seeded(i)) for i in range(250)])
    bounds = torch.stack([net.log_prior_bound(codes, seeded(i)).mean() for i in range(250)])
    assert_means((losses + bounds)[:, None], -constant)


def test_the_belief_is_bayes_rule_on_what_the_noise_says():
    net = network()
    net.believer.forward = lambda zt, time: (zt.new_zeros(len(zt), 3, 1, 1), torch.zeros_like(zt))
    z, t = torch.linspace(-2, 2, 9).view(-1, 1, 1, 1), torch.full((9,), 2)
    abar, noise = net.schedule.alpha_bar[2], net.schedule.noise[2]
    likelihood = torch.distributions.Normal(abar.sqrt() * net.points.T, noise.sqrt()).log_prob(z.view(-1, 1))
    torch.testing.assert_close(net.belief(z, t)[0].flatten(1).softmax(1), likelihood.softmax(1))
    eps, _ = net.denoise(z, t)
    mean = likelihood.softmax(1) @ net.points
    torch.testing.assert_close(eps.flatten(), ((z.view(-1, 1) - abar.sqrt() * mean) / noise.sqrt()).flatten())


def test_each_stage_moves_its_own_parameters_and_all_of_them():
    space = Space((1, 4, 4), levels=3)
    net = network(space, dim=2).requires_grad_(True)
    x = torch.randint(3, (16, *space.shape), generator=seeded("x"))
    moved = set()
    for stage in net.stages():
        (objective,) = stage.objectives
        own = {id(p) for p in objective.parameters}
        net.zero_grad()
        objective.loss(x, seeded(0)).backward()
        for name, p in net.named_parameters():
            assert (p.grad is not None and bool(p.grad.abs().sum() > 0)) == (id(p) in own), name
        moved |= own
    assert moved == {id(p) for p in net.parameters()}


def test_nothing_claims_a_prior_that_is_known_by_a_bound_alone():
    net = network()
    assert not isinstance(net, Decoder)
    assert not can_enumerate(net)


def test_chains_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="at least 2"):
        code_diffusion.build(TINY, T=1)
