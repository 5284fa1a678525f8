"""VAE without an encoder: the q that it finds against known posteriors and integrals, and the amortisation gap."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from draws import every
from genbench import datasets
from genbench.baselines.latent_variable import non_amortised_vae, vae
from genbench.baselines.latent_variable.non_amortised_vae import NonAmortisedVAE
from genbench.cli import shipped
from genbench.models.checkpoint import load
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((2, 2), levels=3)


def small(space: Space = SPACE, **options) -> NonAmortisedVAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return non_amortised_vae.build(space, **{"latent": 1, "hidden": 16, **options}).eval()


def telling(**options) -> NonAmortisedVAE:
    """A model with a decoder in which x depends on z."""
    model = small(**options)
    for layer in (model.decoder[0], model.decoder[-1]):
        layer.weight.data.mul_(5)
    return model.requires_grad_(False)


def linear_gaussian(**options) -> NonAmortisedVAE:
    """z ~ N(0, 1), x | z ~ N(z, 1), hence z | x ~ N(x/2, 1/2), and x ~ N(0, 2)."""
    model = small(Space((1,)), decoder="gaussian-predicted", **options)
    model.decoder = nn.Linear(1, 2)
    model.decoder.weight.data, model.decoder.bias.data = torch.tensor([[1.0], [0.0]]), torch.zeros(2)
    return model.requires_grad_(False)


def exact_bound(model: NonAmortisedVAE, x: torch.Tensor, q: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """L(x; q) of one latent, its expectation by the trapezoid rule over six sd either way -> [B] float64."""
    mean, log_sd = q
    noise = torch.linspace(-6, 6, 61)
    weight = Normal(0.0, 1.0).log_prob(noise.double()).exp() * 12 / 60
    z = mean + log_sd.exp() * noise[:, None, None]  # [m, B, 1]
    kl = 0.5 * (mean**2 + (2 * log_sd).exp() - 1 - 2 * log_sd).sum(1)
    return (weight[:, None] * model.log_likelihood(x, z).double()).sum(0) - kl


def log_marginal(model: NonAmortisedVAE, x: torch.Tensor) -> torch.Tensor:
    """log int p(x | z) N(z; 0, 1) dz -> [B] float64."""
    z = torch.linspace(-10, 10, 801)
    weight = Normal(0.0, 1.0).log_prob(z.double()) + math.log(20 / 800)
    return torch.logsumexp(
        model.log_likelihood(x, z[:, None, None].expand(-1, len(x), -1)).double() + weight[:, None], 0
    )


def trained_encoder(model: NonAmortisedVAE, x: torch.Tensor, hidden: int) -> tuple[torch.Tensor, ...]:
    """Mean and log sd for all x, by an encoder that has climbed the same bounds of the same decoder together."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = vae.perceptron(SPACE.dim, hidden, 2, 0.0)
    optimiser = torch.optim.Adam(encoder.parameters(), lr=1e-2)
    with torch.enable_grad():
        for _ in range(200):
            q = encoder(x.flatten(1) - 1.0).chunk(2, dim=1)
            optimiser.zero_grad()
            (-exact_bound(model, x, q).mean()).backward()
            optimiser.step()
    return tuple(t.detach() for t in q)


def test_the_search_finds_the_true_posterior_where_it_is_a_gaussian():
    model, x = linear_gaussian(search=400, draws=16), torch.linspace(-3, 3, 13)[:, None]
    mean, log_sd = model.posterior(x)
    torch.testing.assert_close(mean, x / 2, atol=0.05, rtol=0)
    torch.testing.assert_close(log_sd, torch.full_like(x, 0.5 * math.log(0.5)), atol=0.05, rtol=0)
    torch.testing.assert_close(exact_bound(model, x, (mean, log_sd)), log_marginal(model, x), atol=5e-3, rtol=0)


def test_the_amortisation_gap_is_not_negative_and_the_bound_is_below_the_likelihood():
    """The optimised bound is at least as good as an encoder's for every x that there is, and larger in the mean."""
    model, x = telling(search=200, draws=32), every(SPACE)[::2]
    optimised = exact_bound(model, x, model.posterior(x))
    gaps = [optimised - exact_bound(model, x, trained_encoder(model, x, hidden)) for hidden in (1, 8)]
    assert (optimised <= log_marginal(model, x) + 1e-4).all()
    for gap in gaps:
        assert gap.min() > 0
        assert gap.mean() > 0.05
    assert gaps[0].mean() > gaps[1].mean()  # a larger encoder loses less


def test_more_steps_lose_less():
    model, x = telling(draws=8), every(SPACE)
    bounds = []
    for model.search in (1, 5, 25, 125):
        bounds.append(float(exact_bound(model, x, model.posterior(x)).mean()))
    assert bounds == sorted(bounds)
    assert bounds[-1] - bounds[0] > 0.1


def test_q_is_a_function_of_one_example():
    """Not of the others in its batch, of the global generator, or of how often it was asked."""
    model, x = telling(latent=3), every(SPACE)[:20]
    together = model.posterior(x)
    torch.rand(5)
    for found, expected in zip(model.posterior(x[7:9]), together, strict=True):
        torch.testing.assert_close(found, expected[7:9], rtol=1e-3, atol=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(model.posterior(x), together, strict=True))
    assert not any(t.requires_grad for t in together)


def test_training_moves_the_decoder_by_the_gradient_of_its_own_bound():
    """At lambdas held still: the search leaves nothing in the gradient, and none on the weights by itself."""
    model, x = small(latent=2, decoder="logistic").train(), every(SPACE)[:10]
    noise = torch.randn((model.train_search + 1, model.draws, len(x), 2), generator=seeded("l"))
    q = tuple(t.clone() for t in model.ascend(x, noise[:-1]))
    assert all(p.grad is None for p in model.parameters())
    z = q[0] + q[1].exp() * noise[-1]
    expected = torch.autograd.grad(-model.log_likelihood(x, z).mean(), list(model.parameters()))
    found = torch.autograd.grad(model.loss(x, seeded("l")), list(model.parameters()))
    torch.testing.assert_close(found, expected)


def test_weights_average_to_the_likelihood():
    model, x = telling(), every(SPACE)[::9]
    weights = model.log_weights(x, 20_000, seeded("w")).double().exp()
    error = weights.std(0) / math.sqrt(len(weights))
    assert ((weights.mean(0) - log_marginal(model, x).exp()).abs() <= 4 * error).all()


def test_on_digits_the_encoder_of_the_shipped_vae_has_a_gap():
    """Paired differences on test images, with one decoder and the same draws of the noise."""
    amortised = load(next(p for p in map(Path, shipped("digits")) if p.stem == "vae"))
    model = small(amortised.space, latent=16, hidden=64)
    model.decoder = amortised.decoder
    x, noise = (
        torch.from_numpy(datasets.load("digits").test[:100]).long(),
        torch.randn(64, 1, 16, generator=seeded("n")),
    )
    gap = (model.bound(x, model.posterior(x), noise) - model.bound(x, amortised.posterior(x), noise)).detach()
    assert gap.mean() - 2.576 * gap.std() / 10 > 0.5


@pytest.mark.parametrize("options", [{"search": 0}, {"train_search": 0}, {"draws": 0}])
def test_no_search_is_refused(options):
    with pytest.raises(ValueError, match="at least 1"):
        small(**options)
