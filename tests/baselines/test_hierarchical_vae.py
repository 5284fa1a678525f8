"""Hierarchical VAE: both passes agree, residual posteriors and their KL, what a group sees, singular values."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from draws import assert_drawn, assert_means, every
from genbench.baselines.latent_variable import hierarchical_vae
from genbench.baselines.latent_variable.hierarchical_vae import Conv, HierarchicalVAE
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((1, 1, 3), levels=3)  # two scales of 1x1 and 1x2 places
X = torch.tensor([[[[0, 2, 1]]]])


def small(**options) -> HierarchicalVAE:
    torch.manual_seed(0)
    net = hierarchical_vae.build(SPACE, **{"width": 4, "channels": 1, "groups": 1, **options})
    net.requires_grad_(False).eval()
    for layer in net.modules():
        if isinstance(layer, Conv):
            layer.weight.mul_(1.5)
    return net


def log_marginal(net: HierarchicalVAE, x: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """log E p(x | z) over draws of the prior, which has no encoder in it, with its relative error -> [B] each."""
    z = net.sample_prior(n, seeded("prior"))
    p = torch.stack([net.log_likelihood(row.expand(n, *SPACE.shape), z).double() for row in x]).exp()
    return p.mean(1).log(), p.std(1) / p.mean(1) / math.sqrt(n)


@pytest.mark.parametrize("prior", ["autoregressive", "markov"])
def test_weights_have_the_likelihood_as_their_mean(prior):
    net, k, x = small(prior=prior), 20_000, every(SPACE)[::5]
    for group in net.groups:  # q is near p, so that no weight is much above the others
        for p in group.posterior[-1].parameters():
            p.mul_(0.3)
    expected, error = log_marginal(net, x, k)
    relative = (net.log_weights(x, k, seeded("z")).double() - expected).exp()
    stderr = (relative.var(0) / k + error**2).sqrt()
    assert float(stderr.max()) < 0.05
    assert float(((relative.mean(0) - 1) / stderr).abs().max()) < 4.5


@pytest.mark.parametrize("prior", ["autoregressive", "markov"])
def test_samples_come_from_the_distribution_that_is_scored(prior):
    net = small(prior=prior)
    log_p, error = log_marginal(net, every(SPACE), 20_000)
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-5)  # the same draws for every x
    assert float(error.max()) < 0.02
    assert_drawn(net.sample(3_000, seeded("x")), log_p, SPACE)


def test_the_pass_that_draws_and_the_pass_that_is_given_latents_agree():
    net, x = small(groups=2), every(SPACE)
    z, log_p, _, _, outputs = net.infer(net.posterior(x), seeded("z"))
    again, same = net.given(z)
    torch.testing.assert_close(again, log_p)
    torch.testing.assert_close(same, outputs)
    torch.testing.assert_close(net.log_prior(z), log_p)


def test_the_kl_of_a_residual_posterior_is_that_of_two_normals():
    net = small(groups=2)
    z, _, _, kl, _ = net.infer(net.posterior(every(SPACE)), seeded("z"))
    assert (kl > 0).all()
    found, parts = [], [part.unflatten(1, shape) for part, shape in zip(net.split(z), net.shapes, strict=True)]
    features = net.posterior(every(SPACE))

    def choose(i, h, mean, log_sd):
        dmu, log_dsd = net.groups[i].residual(h, features[i // 2])
        q, p = Normal(mean + dmu, (log_sd + log_dsd).exp()), Normal(mean, log_sd.exp())
        found.append(kl_divergence(q, p).flatten(1).sum(1))
        return parts[i]

    net.descend(len(z), choose)
    torch.testing.assert_close(torch.stack(found, 1), kl, rtol=1e-4, atol=1e-5)


def test_the_bound_is_the_mean_log_weight():
    net, n = small(), 20_000
    x = X.expand(n, -1, -1, -1)
    _, log_p, log_q, kl, _ = net.infer(net.posterior(x), seeded("z"))
    assert_means((log_q - log_p - kl.sum(1))[:, None], 0.0)  # the KL by Monte Carlo, all groups together
    w = net.log_weights(X, n, seeded("a"))[:, 0]
    log_x = net.log_weights(x, 1, seeded("z"))[0] - log_p + log_q
    stderr = float(((w.var() + (log_x - kl.sum(1)).var()) / n).sqrt())
    assert abs(float(w.mean() + net.bound(x, seeded("b")))) < 4 * stderr


@pytest.mark.parametrize(("prior", "seen"), [("autoregressive", True), ("markov", False)])
def test_a_group_sees_all_before_it_or_the_last_alone(prior, seen):
    net = small(prior=prior, groups=3, halvings=1)
    z = torch.randn(1, sum(math.prod(shape) for shape in net.shapes), generator=seeded("z"))

    def priors(z):
        parts, means = [p.unflatten(1, s) for p, s in zip(net.split(z), net.shapes, strict=True)], []

        def choose(i, h, mean, log_sd):
            means.append(mean.flatten())
            return parts[i]

        out = net.descend(1, choose)
        return [*means, out.flatten()]

    for i in range(4):  # the last is what p(x | z) is made of
        jacobian = torch.autograd.functional.jacobian(lambda z, i=i: priors(z)[i], z)[:, 0]
        moved = [bool((part != 0).any()) for part in net.split(jacobian)]
        expected = [j < i and (seen or j == i - 1) for j in range(3)]
        assert moved == expected


def test_the_first_group_has_a_standard_normal_prior():
    net = small()
    z = net.sample_prior(20_000, seeded("z"))
    assert_means(z[:, :1], 0.0)
    assert_means(z[:, :1] ** 2, 1.0)


def test_power_iteration_finds_the_largest_singular_value():
    torch.manual_seed(0)
    layer = Conv(3, 5)
    for _ in range(200):
        norm = layer.norm()
    exact = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
    torch.testing.assert_close(norm, exact, rtol=1e-4, atol=0)
    (gradient,) = torch.autograd.grad(norm, layer.weight)
    (expected,) = torch.autograd.grad(exact, layer.weight)
    torch.testing.assert_close(gradient, expected, rtol=1e-2, atol=1e-3)


@torch.no_grad()
def test_regularisation_is_in_the_loss_and_in_no_report():
    net = small(spectral=0.5)
    (stage,) = net.stages()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    reported = stage.validate(X, seeded("z"))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())  # no step of the iteration
    loss = net.loss(X, seeded("z"))
    norms = []
    for name, layer in net.named_modules():
        if isinstance(layer, Conv):
            matrix = layer.weight.flatten(1)
            right = torch.nn.functional.normalize(matrix.T @ before[f"{name}.u"], dim=0)
            norms.append(float((matrix @ right).norm()))  # one step of the iteration from the state before
    assert float(loss - reported) == pytest.approx(0.5 * sum(norms), rel=1e-4)


def test_many_draws_come_in_slices():
    net, n = small(), hierarchical_vae.ROWS // 27 * 2 + 3  # two slices, and a short one
    x = every(SPACE)
    w = net.log_weights(x, n, seeded("z"))
    assert w.shape == (n, 27)
    assert len(w[:, 0].unique()) == n
    torch.testing.assert_close(net.log_weights(x, 2, seeded("z"), net.posterior(x)), net.log_weights(x, 2, seeded("z")))


def test_encoding_and_reconstruction_are_at_the_means():
    net, x = small(groups=2), every(SPACE)
    z = net.encode(x)
    torch.testing.assert_close(net.reconstruct(x), net.expected(z))


@pytest.mark.parametrize("options", [{"prior": "none"}, {"groups": 0}, {"decoder": "bernoulli"}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match=r"prior is|at least 1|pseudo"):
        hierarchical_vae.build(SPACE, **options)
