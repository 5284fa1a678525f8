"""VQ-VAE: the bound and the sampler against enumeration, the codebook, straight-through gradients."""

import pytest
import torch
from torch import nn

from draws import assert_drawn, every
from genbench.baselines.latent_variable import vqvae
from genbench.baselines.latent_variable.vqvae import VQVAE, Codebook
from genbench.models.sampling import seeded
from genbench.space import Space

TINY = Space((1, 2, 2), levels=3)  # 81 images; one code, of 5
SPACES = [TINY, Space((1, 2, 4), levels=2), Space((2, 2, 2), levels=2)]  # two codes; two channels


def network(space: Space = TINY, codes: int = 5, **options) -> VQVAE:
    """A random model whose codes and conditionals are far from uniform."""
    torch.manual_seed(1)
    net = vqvae.build(space, width=8, blocks=1, codes=codes, dim=3, prior_width=6, prior_depth=2, **options)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn_like(p))
        net.codebook.vectors.copy_(net.encoder(torch.randn(codes, *space.shape, generator=seeded()))[:, :, 0, 0])
    return net.eval().requires_grad_(False)


def enumerated(net: VQVAE, x: torch.Tensor) -> torch.Tensor:
    """log sum_c p(c) p(x | c), over all grids of codes."""
    grids = every(net.latent_space)[:, None]
    terms = [net.log_prior(c) + net.log_likelihood(x, c.expand(len(x), -1, -1, -1)) for c in grids]
    return torch.logsumexp(torch.stack(terms), dim=0)


@pytest.mark.parametrize("space", SPACES)
def test_enumerated_probabilities_sum_to_one(space):
    # up to 8 values and 2 codes, float32 log-softmaxes right to a few 1e-7: about 1e-5 in the sum
    assert float(enumerated(network(space), every(space)).double().exp().sum()) == pytest.approx(1, abs=1e-5)


def test_the_bound_is_below_the_enumerated_likelihood():
    net, x = network(), every(TINY)
    assert net.codes(x).unique().numel() > 1
    gap = enumerated(net, x) - net.elbo(x, seeded())
    assert (gap > 0).all()  # five codes give every image some probability: strictly below
    # The gap is -log p(c(x) | x): all codes share the posterior, so it is what q leaves out.
    codes = torch.arange(5).view(5, 1, 1, 1)
    joint = torch.stack([net.log_prior(c[None]) + net.log_likelihood(x, c.expand(81, 1, 1, 1)) for c in codes])
    posterior = joint.log_softmax(0).gather(0, net.codes(x).view(1, -1))[0]
    torch.testing.assert_close(gap, -posterior, rtol=0, atol=1e-5)


def test_the_bound_has_no_noise():
    net, x = network(), every(TINY)
    generator = seeded()
    assert torch.equal(net.elbo(x, generator), net.elbo(x, generator))


@pytest.mark.parametrize("space", SPACES)
def test_samples_come_from_the_distribution_that_is_scored(space):
    net = network(space)
    assert_drawn(net.sample(20_000, seeded()), enumerated(net, every(space)), space)


def test_codes_are_drawn_from_the_prior_that_is_scored():
    net = network(SPACES[1])
    assert net.latent_space == Space((1, 1, 2), levels=5)
    assert_drawn(net.sample_prior(20_000, seeded()), net.log_prior(every(net.latent_space)), net.latent_space)


def test_stages_lower_the_two_terms_of_the_bound():
    net, x = network(SPACES[1]), every(SPACES[1])
    codes, prior = net.stages()
    distortion, bound = codes.validate(x, seeded()), prior.validate(x, seeded())
    grids = every(net.latent_space)
    chosen = (net.codes(x)[:, None] == grids).flatten(2).all(2).int().argmax(1)  # which grid is c(x)
    joint = torch.stack([net.log_likelihood(x, c.expand(len(x), -1, -1, -1)) for c in grids[:, None]])
    torch.testing.assert_close(distortion, -joint.gather(0, chosen[None]).mean())
    torch.testing.assert_close(net.prior_loss(x, seeded()), -net.log_prior(grids)[chosen].mean())
    torch.testing.assert_close(bound, distortion + net.prior_loss(x, seeded()))


def test_each_stage_teaches_its_own_weights_only():
    space = Space((1, 6, 6), levels=3)  # codes enough that some stand above others
    net = network(space).requires_grad_(True)
    x = torch.randint(3, (20, *space.shape), generator=seeded("x"))
    for stage, still in zip(net.stages(), ((net.prior,), (net.encoder, net.decoder)), strict=True):
        net.zero_grad(set_to_none=True)
        (objective,) = stage.objectives
        objective.loss(x, seeded()).backward()
        for p in objective.parameters:
            assert p.grad is not None
            assert p.grad.abs().sum() > 0
        assert all(p.grad is None for network in still for p in network.parameters())


def test_dropout_is_in_decoder_and_prior_and_a_code_stays_a_function_of_its_image():
    net, x = network(SPACES[1], dropout=0.5, prior_dropout=0.5), every(SPACES[1])
    codes = net.codes(x)
    terms = (lambda: net.log_likelihood(x, codes), lambda: net.log_prior(codes))
    assert all(torch.equal(term(), term()) for term in terms)
    net.train()
    assert torch.equal(net.codes(x), codes)
    assert not any(torch.equal(term(), term()) for term in terms)


def test_codes_are_the_nearest_vectors():
    net = network()
    z = torch.randn(7, 3, 2, 4, generator=seeded())
    distance = (z.movedim(1, -1)[..., None, :] - net.codebook.vectors).square().sum(-1)
    assert torch.equal(net.codebook.nearest(z)[:, 0], distance.argmin(-1))


def test_the_codebook_is_the_ratio_of_moving_averages():
    book = Codebook(3, 2, decay=0.9)
    book.vectors.copy_(torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]]))
    book.count.fill_(4.0)
    mass, count = book.vectors * 4, book.count.clone()  # m_k and N_k of the paper
    z = torch.tensor([[1.0, 0.0], [0.0, 2.0], [9.0, 0.0]]).view(3, 2, 1, 1)  # two near code 0, one near code 1
    sums = torch.tensor([[1.0, 2.0], [9.0, 0.0], [0.0, 0.0]])
    count, mass = 0.9 * count + 0.1 * torch.tensor([2.0, 1.0, 0.0]), 0.9 * mass + 0.1 * sums
    book.update(z, seeded())
    torch.testing.assert_close(book.count, count)
    torch.testing.assert_close(book.vectors, mass / count[:, None])
    assert torch.equal(book.vectors[2], torch.tensor([0.0, 10.0]))  # a code without outputs does not move at all


def test_dead_codes_are_put_on_outputs_by_the_generator():
    z = torch.randn(20, 2, 3, 3, generator=seeded(1))
    books = [Codebook(4, 2), Codebook(4, 2), Codebook(4, 2)]
    for book, seed in zip(books, (0, 0, 1), strict=True):
        book.count[1:3] = 9.0
        book.vectors.copy_(torch.tensor([[90.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 90.0]]))
        book.decay = 1.0  # so that only the revival moves anything
        book.update(z, seeded(seed))
    outputs = z.movedim(1, -1).reshape(-1, 2)
    for code in (0, 3):
        assert (books[0].vectors[code] == outputs).all(1).any()
    assert torch.equal(books[0].vectors[1:3], torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
    assert torch.equal(books[0].vectors, books[1].vectors)
    assert not torch.equal(books[0].vectors, books[2].vectors)


def test_gradients_pass_straight_through_the_codes():
    class Constant(nn.Module):
        def __init__(self, z):
            super().__init__()
            self.z = nn.Parameter(z)

        def forward(self, x):
            return self.z

    net, x = network(), every(TINY)[:4]
    z = torch.randn(4, 3, 1, 1, generator=seeded())
    net.encoder, net.beta = Constant(z), 0.5
    net.codebook.count.fill_(1.0)
    net.code_loss(x, seeded()).backward()
    e = net.codebook(net.codebook.nearest(z)).requires_grad_()
    vqvae.categorical_log_likelihood(net.logits(e), x).neg().mean().backward()
    torch.testing.assert_close(net.encoder.z.grad, e.grad + 0.5 * 2 * (z - e.detach()) / 4)


def test_stages_share_no_weights_and_leave_none_out():
    stages = network().stages()
    parts = [set(map(id, o.parameters)) for stage in stages for o in stage.objectives]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == set(map(id, network_parameters(stages)))


def network_parameters(stages):
    """All parameters of the model whose bound method is the first stage's loss."""
    return stages[0].objectives[0].loss.__self__.parameters()


def test_representation_and_reconstruction():
    space = Space((3, 8, 4), levels=256)
    net = vqvae.build(space, width=6, codes=7, dim=3, halvings=2, prior_width=4, prior_depth=1).eval()
    x = torch.randint(256, (5, *space.shape), generator=seeded())
    assert net.codes(x).shape == (5, 1, 2, 1)
    assert torch.equal(net.encode(x), net.codebook(net.codes(x)).flatten(1))
    outputs = net.decoder(net.codebook(net.codes(x)))  # the 256 levels of the first channel come first
    assert torch.equal(net.logits(net.codebook(net.codes(x)))[:, 7, 2], outputs[:, 2 * 256 + 7])
    mean = net.reconstruct(x)
    levels = torch.arange(256.0).view(1, -1, 1, 1, 1)
    expected = (net.logits(net.codebook(net.codes(x))).softmax(1) * levels).sum(1)
    torch.testing.assert_close(mean, expected)
    assert mean.shape == x.shape


def test_sides_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="halved"):
        vqvae.build(Space((1, 6, 6), levels=2), halvings=2)
