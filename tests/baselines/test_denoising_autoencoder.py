"""Denoising autoencoder: the corruption, the two stages, the Gaussian of the codes and what is decoded of it."""

import pytest
import torch
from torch.distributions import MultivariateNormal

from draws import assert_moments, assert_standard_normal
from genbench.baselines.autoencoders import denoising_autoencoder
from genbench.baselines.autoencoders._codes import LatentGaussian
from genbench.models.capabilities import capabilities
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((1, 4, 4), levels=17)


def small(space: Space = SPACE, **options) -> denoising_autoencoder.DenoisingAutoencoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = denoising_autoencoder.build(space, latent=3, hidden=16, **options)
        for p in model.codes.parameters():
            p.data += 0.5 * torch.randn(p.shape)  # no standard normal
    return model


def images(n: int) -> torch.Tensor:
    return torch.randint(17, (n, *SPACE.shape), generator=seeded("images"))


def test_it_claims_no_likelihood():
    assert capabilities(small()) == ["sample", "encode", "reconstruct"]


@pytest.mark.parametrize(("levels", "blank"), [(17, -1.0), (None, 0.0)])
def test_masking_blanks_the_share_it_says_and_leaves_the_rest(levels, blank):
    model = small(Space((1, 4, 4), levels=levels), noise=0.25)
    x = torch.rand(5000, 16, generator=seeded("x")) + 2  # no value is the blank by itself
    y = model.corrupted(x, seeded("corruption"))
    masked = y == blank
    assert torch.equal(y[~masked], x[~masked])
    sd = (0.25 * 0.75 / x.numel()) ** 0.5
    assert abs(float(masked.float().mean()) - 0.25) < 4 * sd


def test_gaussian_corruption_has_the_standard_deviation_it_says():
    model = small(corruption="gaussian", noise=0.5)
    x = torch.zeros(5000, 16)
    noise = model.corrupted(x, seeded("corruption"))
    assert abs(float(noise.std()) / 0.5 - 1) < 4 * (1 / (2 * x.numel())) ** 0.5


def test_without_corruption_the_loss_is_the_reconstruction_error():
    model, x = small(noise=0.0), images(8)
    for p in model.g[-1].parameters():
        p.data *= 0.1  # so that no output leaves [-1, 1], where `reconstruct` clamps
    error = ((model.reconstruct(x) - x) / 8).square().flatten(1).sum(1).mean()  # 17 levels are 8 per unit of [-1, 1]
    torch.testing.assert_close(model.denoising_error(x, seeded("corruption")), error)


@torch.no_grad()
def test_latent_density_is_the_gaussian_its_samples_have():
    codes = LatentGaussian(3).double()
    for p in codes.parameters():
        p.data = 0.5 * torch.randn(p.shape, dtype=torch.double, generator=seeded("W", p.shape))
    W = codes.W.detach()
    mean, covariance = torch.linalg.solve(W, codes.b), torch.linalg.inv(W.T @ W)
    z = torch.randn(10, 3, dtype=torch.double, generator=seeded("z"))
    torch.testing.assert_close(codes.log_density(z), MultivariateNormal(mean, covariance).log_prob(z))
    drawn = codes.float().sample(20_000, seeded("samples"))
    assert_moments(drawn, mean, covariance)
    assert_standard_normal(drawn @ W.float().T - codes.b)  # W whitens


def test_second_stage_ends_at_the_moments_of_the_codes():
    model, x = small(), images(200)
    _, stage = model.stages()
    optimiser = torch.optim.LBFGS(stage.objectives[0].parameters, max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = stage.objectives[0].loss(x, seeded("unused"))
        loss.backward()
        return loss

    optimiser.step(closure)
    assert all(p.grad is None for p in (*model.f.parameters(), *model.g.parameters()))
    z = model.encode(x).detach()
    W = model.codes.W.detach()
    torch.testing.assert_close(torch.linalg.solve(W, model.codes.b.detach()), z.mean(0), rtol=0.01, atol=0.01)
    torch.testing.assert_close(W @ torch.cov(z.T, correction=0) @ W.T, torch.eye(3), rtol=0, atol=0.01)


def test_the_error_is_that_of_the_clean_image():
    model, x = small(noise=0.5), images(8)
    clean = (x / 8 - 1).flatten(1)
    given_back = model.g(model.f(model.corrupted(clean, seeded("corruption"))))
    expected = ((given_back - clean) ** 2).sum(1).mean()
    torch.testing.assert_close(model.denoising_error(x, seeded("corruption")), expected)
    torch.testing.assert_close(model.encode(x), model.f(clean))  # once trained, nothing is corrupted


@torch.no_grad()
def test_samples_are_decoded_codes_at_the_nearest_level():
    model = small()
    model.g[-1].weight.mul_(20)  # far out of [-1, 1], too
    values = model.g(model.codes.sample(100, seeded("samples"))).view(100, *SPACE.shape)
    assert values.abs().max() > 1.2
    x = model.sample(100, seeded("samples"))
    assert x.dtype == torch.int64
    assert torch.equal(x, (values[..., None] - torch.linspace(-1, 1, 17)).abs().argmin(-1))


@torch.no_grad()
def test_real_samples_are_decoded_codes():
    model = small(Space((4,)))
    assert torch.equal(model.sample(9, seeded("samples")), model.g(model.codes.sample(9, seeded("samples"))))


def test_an_unknown_corruption_is_refused():
    with pytest.raises(ValueError, match="corruption is one of masking, gaussian"):
        denoising_autoencoder.build(SPACE, corruption="salt")
