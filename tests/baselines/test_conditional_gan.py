"""Conditional GAN, and what every class-conditional adversarial model shares: the class reaches both players."""

import pytest
import torch

from genbench.baselines.adversarial import biggan, conditional_gan
from genbench.models.sampling import seeded
from genbench.space import Space

IMAGES = Space((1, 8, 8), levels=17)


def small(module):
    torch.manual_seed(0)
    return module.build(IMAGES, latent=6, width=8, critic_width=8)


@pytest.fixture(params=[conditional_gan, biggan], ids=["conditional_gan", "biggan"])
def model(request):
    return small(request.param).eval()


@torch.no_grad()
def test_the_class_stands_one_hot_beside_z_and_beside_x(model):
    labels = torch.tensor([3, 0, 9])
    z = model.sample_prior(3, seeded(0), labels)
    assert z.shape == (3, model.latent + 10)
    assert torch.equal(z[:, model.latent :].argmax(1), labels)
    assert torch.equal(z[:, model.latent :].sum(1), torch.ones(3))
    x = torch.randn(3, *IMAGES.shape)
    shown = model.shown(x, seeded(0), labels)
    assert torch.equal(shown[:, :64], x.flatten(1))
    assert torch.equal(shown[:, 64:].argmax(1), labels)


@torch.no_grad()
def test_both_players_hear_the_class(model):
    for norm in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.running_var.fill_(1e-4)  # an untrained generator is nearly flat: this makes its differences large
    a, b = (torch.full((20,), y) for y in (2, 7))
    made = model.generate(20, seeded(0), a), model.generate(20, seeded(0), b)
    assert not torch.allclose(*made)
    x = torch.randn(20, *IMAGES.shape)
    assert not torch.allclose(*(model.critic(model.shown(x, seeded(0), y)) for y in (a, b)))


@torch.no_grad()
def test_samples_are_of_the_labels_given_and_of_uniform_ones_otherwise(model):
    labels = torch.arange(30) % 10
    z = model.sample_prior(30, seeded(0), labels)
    assert torch.equal(model.sample(30, seeded(0), labels=labels), model.expected(z).round().long())
    counts = model.sample_prior(10_000, seeded(0))[:, model.latent :].sum(0)
    # Chi-square with 9 degrees of freedom: above 33.7 with a chance of 1e-4.
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 33.7


@torch.no_grad()
def test_the_distance_that_keeps_the_weights_knows_the_classes(model):
    """Samples under the labels of other samples: the images are distributed alike, the pairs are not."""
    labels = torch.arange(200) % 10
    x = model.sample(200, seeded("x"), labels=labels)
    right, wrong = (float(model.distance(x, seeded(0), y)) for y in (labels, (labels + 1) % 10))
    pairs = model.beside(x, labels, 16)
    assert abs(right) < 6 * float(torch.cdist(pairs, pairs).mean()) / 200
    # The labels are as many of each class on both sides: nothing but which image goes with which.
    if isinstance(model, conditional_gan.ConditionalGAN):
        assert wrong > right


def test_losses_take_labels_and_move_their_own_weights(model):
    model.train()
    x, labels = torch.randint(17, (32, *IMAGES.shape), generator=seeded("x")), torch.arange(32) % 10
    (stage,) = model.stages()
    for objective in stage.objectives:
        model.zero_grad(set_to_none=True)
        objective.loss(x, seeded(0), labels).backward()
        parts = {"critic": model.critic, "generator": model.generator}
        own = parts.pop(objective.name)
        assert all(p.grad is not None for p in own.parameters())
        if objective.name == "critic":
            assert all(p.grad is None for p in model.generator.parameters())


def test_the_critic_sees_the_class_as_planes():
    x, y = torch.randn(2, 1, 8, 8), torch.eye(10)[[3, 0]]
    seen = conditional_gan.Planes(IMAGES, 10)(torch.cat([x.flatten(1), y], 1))
    assert seen.shape == (2, 11, 8, 8)
    assert torch.equal(seen[:, :1], x)
    assert torch.equal(seen[:, 1:], y[:, :, None, None].expand(2, 10, 8, 8))
