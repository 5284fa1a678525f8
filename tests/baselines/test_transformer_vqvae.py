"""VQ-VAE with a Transformer prior: the prior by enumeration, what a code may know, and the stage that it shares."""

import pytest
import torch

from draws import assert_drawn, every
from genbench.baselines.latent_variable import transformer_vqvae, vqvae
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((1, 4, 4), levels=2)  # four codes, of 3: 81 grids
SIZES = {"width": 6, "blocks": 1, "codes": 3, "dim": 2, "prior_width": 8}


def network(space: Space = SPACE):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = transformer_vqvae.build(space, **SIZES, prior_layers=1, prior_hidden=8)
        with torch.no_grad():
            for p in net.parameters():
                p.add_(0.3 * torch.randn_like(p))
    return net.eval().requires_grad_(False)


def test_the_prior_sums_to_one_over_all_grids_and_codes_are_drawn_from_it():
    net = network()
    log_p = net.log_prior(every(net.latent_space))
    assert float(log_p.double().exp().sum()) == pytest.approx(1, abs=1e-5)
    assert float(log_p.std()) > 0.3  # far from uniform, so that draws of anything else would differ
    assert_drawn(net.sample_prior(20_000, seeded()), log_p, net.latent_space)


def test_samples_come_from_the_sum_over_codes_and_the_bound_is_one_of_its_terms():
    net = network(Space((1, 2, 2), levels=3))  # one code
    x, codes = every(net.space), every(net.latent_space)
    joint = torch.stack([net.log_prior(c[None]) + net.log_likelihood(x, c.expand(81, 1, 1, 1)) for c in codes])
    assert_drawn(net.sample(20_000, seeded()), joint.logsumexp(0), net.space)
    torch.testing.assert_close(net.elbo(x, seeded()), joint.gather(0, net.codes(x).view(1, -1))[0])


def test_the_last_code_knows_all_others_and_the_first_none():
    net, c = network(), torch.zeros(1, 1, 2, 2, dtype=torch.int64)
    told = net.prior.log_conditionals(c).flatten()
    for i in range(3):
        changed = c.flatten().clone()
        changed[i] = 1
        moved = (net.prior.log_conditionals(changed.view_as(c)).flatten() - told).abs() > 1e-6
        assert moved.tolist() == [j >= i for j in range(4)]


def test_stage_one_is_that_of_vqvae_from_the_first_weights_on():
    """So that the difference of the two bounds is that of their priors."""
    nets = []
    for build, prior in ((vqvae.build, {"prior_depth": 1}), (transformer_vqvae.build, {"prior_layers": 1})):
        torch.manual_seed(0)
        nets.append(build(SPACE, **SIZES, **prior))
    x = every(Space((1, 2, 4), levels=2)).repeat(1, 1, 2, 1)[:20]
    first, second = (net.stages()[0] for net in nets)
    losses = [stage.objectives[0].loss(x, seeded()) for stage in (first, second)]
    assert torch.equal(*losses)
    for a, b in zip(first.objectives[0].parameters, second.objectives[0].parameters, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(nets[0].codebook.vectors, nets[1].codebook.vectors)
