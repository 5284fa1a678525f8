"""VQ-VAE-2: the bound and both priors against enumeration, with and without the class; codes, stages, gradients."""

import math

import pytest
import torch

from draws import assert_drawn, every
from genbench.baselines.latent_variable import vqvae2
from genbench.baselines.latent_variable.vqvae2 import VQVAE2
from genbench.likelihood import log_likelihood
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((1, 4, 4), levels=2)  # one upper code and four lower ones, of 3: 243 rows
CLASSES = 2


def network(space: Space = SPACE, **options) -> VQVAE2:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        sizes = {"width": 6, "blocks": 1, "codes": 3, "dim": 2, "prior_width": 8, "prior_layers": 1, "prior_hidden": 8}
        net = vqvae2.build(space, classes=CLASSES, **{**sizes, **options})
        with torch.no_grad():
            for p in net.parameters():
                p.add_(0.3 * torch.randn_like(p))
            features = net.lower_encoder(images(space).float() * 2 - 1)
            upper = net.upper_encoder(features)
            net.upper_book.vectors.copy_(upper[:, :, 0, 0][: len(net.upper_book.vectors)])
            lower = net.details(features, net.upper_book(net.upper_book.nearest(upper)))
            net.lower_book.vectors.copy_(lower[:, :, 0, 0][: len(net.lower_book.vectors)])
    return net.eval().requires_grad_(False)


def images(space: Space = SPACE) -> torch.Tensor:
    return torch.randint(2, (30, *space.shape), generator=seeded("x"))


def of_class(y: int, n: int) -> torch.Tensor:
    return torch.full((n,), y)


def test_given_a_class_the_codes_sum_to_one_and_without_one_their_prior_is_the_mean():
    net = network()
    z = every(net.latent_space)
    given = torch.stack([net.log_prior(z, of_class(y, len(z))) for y in range(CLASSES)]).double()
    torch.testing.assert_close(given.exp().sum(1), torch.ones(CLASSES, dtype=torch.float64), rtol=0, atol=1e-5)
    assert float((given[0] - given[1]).abs().max()) > 0.1  # the class says something
    torch.testing.assert_close(net.log_prior(z).double().exp(), given.exp().mean(0), rtol=1e-4, atol=1e-7)


def test_the_lower_codes_know_the_upper_one_and_the_class():
    net = network()
    b = torch.zeros(1, 1, 2, 2, dtype=torch.int64)
    first, other = (torch.full((1, 1, 1, 1), t) for t in (0, 1))
    plain = net.lower_prior.log_conditionals(b, net.told(first, of_class(0, 1)))
    for told in (net.told(other, of_class(0, 1)), net.told(first, of_class(1, 1))):
        assert ((net.lower_prior.log_conditionals(b, told) - plain).abs() > 1e-4).all()  # at every place


@pytest.mark.parametrize("label", [None, 0, 1])
def test_codes_are_drawn_from_the_prior_that_is_scored(label):
    net, n = network(), 20_000
    z = every(net.latent_space)
    labels = (None, None) if label is None else (of_class(label, n), of_class(label, len(z)))
    assert_drawn(net.sample_prior(n, seeded(), labels[0]), net.log_prior(z, labels[1]), net.latent_space)


def test_where_codes_are_few_the_harness_sums_over_all_and_the_bound_is_below_by_what_q_leaves_out():
    net, x = network(), images()
    z = every(net.latent_space)
    joint = torch.stack([net.log_prior(c[None]) + net.log_likelihood(x, c.expand(len(x), -1)) for c in z])
    found = log_likelihood(net, x.numpy().astype(SPACE.dtype), k=1, seed=0, block_size=10)
    assert found.kind == "exact"
    torch.testing.assert_close(torch.from_numpy(found.values), joint.double().logsumexp(0), rtol=0, atol=1e-5)
    own = (net.codes(x)[:, None] == z).all(2).int().argmax(1)
    gap = joint.logsumexp(0) - net.elbo(x, seeded())
    torch.testing.assert_close(gap, -joint.log_softmax(0).gather(0, own[None])[0], rtol=0, atol=1e-5)
    assert (gap > 0).all()


def test_the_bound_is_summed_over_the_classes_and_given_one_it_says_more_only_on_average_over_them():
    net, x = network(), images()
    given = torch.stack([net.elbo(x, seeded(), of_class(y, len(x))) for y in range(CLASSES)])
    torch.testing.assert_close(net.elbo(x, seeded()), given.logsumexp(0) - math.log(CLASSES))


def test_samples_have_the_probabilities_of_the_sum_over_codes():
    """Of the upper left quarter, whose 16 pictures are summed from all 65,536 images' shares of each code."""
    net, n = network(), 20_000
    z = every(net.latent_space)
    white = net.decode(z).softmax(1)[:, 1, 0, :2, :2].flatten(1)  # of each pixel of the corner, given the codes
    corners = every(Space((4,), levels=2))
    given = torch.where(corners[:, None] == 1, white, 1 - white).prod(2)  # [16, codes]: pixels are independent
    log_p = (given.double() @ net.log_prior(z).double().exp()).log()
    assert_drawn(net.sample(n, seeded())[:, 0, :2, :2].flatten(1), log_p, Space((4,), levels=2))


def test_upper_codes_are_found_first_and_the_lower_ones_are_told():
    net, x = network(), images()
    features = net.lower_encoder(x.float() * 2 - 1)
    t, b = net.split(net.codes(x))
    assert torch.equal(t, net.upper_book.nearest(net.upper_encoder(features)))
    assert torch.equal(b, net.lower_book.nearest(net.details(features, net.upper_book(t))))
    assert not torch.equal(net.details(features, net.upper_book(t)), net.details(features, net.upper_book((t + 1) % 3)))
    assert net.encode(x).shape == (30, 2 * 5)
    levels = net.decode(net.codes(x)).softmax(1)[:, 1]
    torch.testing.assert_close(net.reconstruct(x), levels)  # of two levels the mean is the share of the second


def test_each_stage_moves_its_own_weights_and_together_all_of_them():
    space = Space((1, 8, 8), levels=2)  # places and codes enough that no ReLU is off everywhere
    net, x = network(space, width=12, codes=8).requires_grad_(True), images(space)
    moved = set()
    for stage in net.stages():
        (objective,) = stage.objectives
        own = {id(p) for p in objective.parameters}
        net.zero_grad()
        objective.loss(x, seeded(), torch.arange(len(x)) % 2).backward()
        for name, p in net.named_parameters():
            assert (p.grad is not None and bool(p.grad.abs().sum() > 0)) == (id(p) in own), name
        assert not moved & own
        moved |= own
    assert moved == {id(p) for p in net.parameters()}


def test_stages_lower_the_terms_of_what_is_reported():
    net, x = network(), images()
    codes, priors = net.stages()
    z, labels = net.codes(x), torch.arange(len(x)) % 2
    rate = -net.log_prior(z).mean()
    torch.testing.assert_close(
        priors.validate(x, seeded(), labels), codes.validate(x, seeded(), labels) + rate
    )  # whatever the labels
    torch.testing.assert_close(priors.objectives[0].loss(x, seeded(), labels), -net.log_prior(z, labels).mean())


def test_dropout_leaves_codes_what_they_are():
    net, x = network(dropout=0.5, prior_dropout=0.5), images()
    codes = net.codes(x)
    net.train()
    assert torch.equal(net.codes(x), codes)
    assert not torch.equal(net.log_likelihood(x, codes), net.log_likelihood(x, codes))
    assert not torch.equal(net.log_prior(codes), net.log_prior(codes))


def test_sides_that_cannot_be_halved_twice_are_refused():
    with pytest.raises(ValueError, match="halved twice"):
        vqvae2.build(Space((1, 6, 8), levels=2))
