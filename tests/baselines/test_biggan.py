"""BigGAN: each of its parts against its definition, and the spectral norms of what was trained."""

import math

import pytest
import torch
from scipy.stats import kstest, truncnorm
from torch import nn

from genbench import catalog
from genbench.baselines.adversarial import biggan
from genbench.models.checkpoint import load
from genbench.models.sampling import seeded
from genbench.space import Space

IMAGES = Space((1, 8, 8), levels=17)
SHIPPED = [catalog.BASELINES / "checkpoints" / f"{name}.safetensors" for name in ("digits/gan", "ring8/gan")]


def small(**options):
    torch.manual_seed(0)
    return biggan.build(IMAGES, latent=6, width=8, critic_width=8, **options)


@torch.no_grad()
def test_class_conditional_norm_is_batch_norm_with_gain_and_bias_of_the_condition():
    norm = biggan.ConditionalNorm(3, 2).train()
    x, c = torch.randn(50, 3, 4, 4) * 3 + 1, torch.randn(50, 2)
    plain = (x - x.mean((0, 2, 3), keepdim=True)) / x.var((0, 2, 3), keepdim=True, correction=0).add(1e-5).sqrt()
    gain, bias = c @ norm.gain.weight.T, c @ norm.bias.weight.T
    torch.testing.assert_close(norm(x, c), plain * (1 + gain)[..., None, None] + bias[..., None, None])


@torch.no_grad()
def test_attention_is_its_equations_place_by_place():
    layer = biggan.Attention(8).eval()
    layer.gamma.fill_(0.7)
    x = torch.randn(2, 8, 3, 4)
    q, k, v = (f(x).flatten(2) for f in (layer.q, layer.k, layer.v))
    expected = torch.empty(2, 4, 12)
    for j in range(12):  # equation 1 of Zhang et al.: beta_{j,i} = softmax over i of q_j . k_i
        weights = torch.softmax((q[:, :, j, None] * k).sum(1), -1)
        expected[:, :, j] = (weights[:, None] * v).sum(-1)
    torch.testing.assert_close(layer(x), x + 0.7 * layer.out(expected.view(2, 4, 3, 4)))
    layer.gamma.zero_()
    assert torch.equal(layer(x), x)


@torch.no_grad()
def test_hinge_losses_are_hand_computed():
    model = small(beta=0.0, slope=3.0)
    model.critic = nn.Identity()
    real, fake = torch.tensor([[0.1], [2.0]]), torch.tensor([[-1.0], [0.5]])  # scores 0.3, 6, -3 and 1.5
    assert float(model.critic_loss(real, fake, seeded(0))) == pytest.approx((0.7 + 0) / 2 + (0 + 2.5) / 2)
    assert float(model.generator_loss(fake)) == pytest.approx(-(-3 + 1.5) / 2)


@torch.no_grad()
def test_orthogonal_regularisation_is_of_different_rows_alone():
    net = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Conv2d(1, 2, (1, 2)))
    net[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 9.0], [2.0, 1.0]]))  # inner products 0, 2 and 9
    net[1].weight.copy_(torch.tensor([[3.0, 4.0], [-4.0, 3.0]]).view(2, 1, 1, 2))  # orthogonal: nothing
    assert float(biggan.orthogonality(net)) == pytest.approx(2 * (2**2 + 9**2))


@torch.no_grad()
def test_projection_critic_is_linear_in_the_class():
    """D(x, y) = psi(phi(x)) + <v(y), phi(x)>: half of each of two classes scores the mean of both."""
    critic = small().critic.eval()
    x, y = torch.randn(4, 64), torch.eye(10)
    scores = [critic(torch.cat([x, row.expand(4, 10)], 1)) for row in (y[2], y[5], (y[2] + y[5]) / 2)]
    torch.testing.assert_close(scores[2], (scores[0] + scores[1]) / 2)
    assert not torch.allclose(scores[0], scores[1])


@torch.no_grad()
@pytest.mark.parametrize("t", [0.5, 2.0])
def test_truncated_latents_are_of_the_truncated_normal(t):
    model = small(truncation=t).eval()
    z = model.sample_prior(5_000, seeded(0))[:, : model.latent].flatten().double().numpy()
    assert abs(z).max() <= t * (1 + 1e-5)
    assert kstest(z, truncnorm(-t, t).cdf).pvalue > 1e-4


@torch.no_grad()
def test_no_truncation_in_training_and_none_by_default():
    cut, whole = small(truncation=0.5), small()
    for model, training, same in ((cut, True, True), (cut, False, False), (whole, False, True)):
        model.train(training)
        plain = torch.randn(50, model.latent, generator=seeded(0))
        z = model.sample_prior(50, seeded(0), torch.zeros(50, dtype=torch.int64))[:, :6]
        assert torch.equal(z, plain) == same
    for t in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="truncation"):
            small(truncation=t)


def normalised_weights(model):
    """The matrices [out, in] of every layer with a spectral norm."""
    return [m.weight.detach().flatten(1) for m in model.modules() if nn.utils.parametrize.is_parametrized(m, "weight")]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: f"{p.parent.name}/{p.stem}")
@torch.no_grad()
def test_spectral_norms_of_what_was_trained(path):
    """At most 1.05 in every layer, and looking twice changes nothing."""
    model = load(path)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    weights = normalised_weights(model)
    assert weights
    assert max(float(torch.linalg.svdvals(w)[0]) for w in weights) <= 1.05
    again = normalised_weights(model)
    assert all(torch.equal(a, b) for a, b in zip(weights, again, strict=True))
    assert torch.equal(model.sample(4, seeded(0)), model.sample(4, seeded(0)))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


@pytest.mark.parametrize(("space", "options"), [(Space((2,)), {}), (IMAGES, {"latent": 7})])
def test_what_it_cannot_be_is_refused(space, options):
    with pytest.raises(ValueError, match="multiple"):
        biggan.build(space, **options)
