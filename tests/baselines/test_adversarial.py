"""The adversarial models on one skeleton: each loss against its equation, and the game against what is known of it."""

import importlib.util
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from genbench.baselines.adversarial import (
    instance_noise_gan,
    lsgan,
    minimax_gan,
    nonsaturating_gan,
    pacgan,
    wgan,
    wgan_gp,
)
from genbench.models.sampling import seeded
from genbench.space import Space

spec = importlib.util.spec_from_file_location("vanishing", Path(__file__).with_name("vanishing.py"))
vanishing = importlib.util.module_from_spec(spec)
spec.loader.exec_module(vanishing)
IMAGES, POINTS = Space((1, 8, 8), levels=17), Space((2,))
MODULES = [minimax_gan, nonsaturating_gan, lsgan, wgan, wgan_gp, pacgan, instance_noise_gan]
NAMES = [m.__name__.rpartition(".")[2] for m in MODULES]


def small(module, space=POINTS, **options):
    torch.manual_seed(0)
    return module.build(space, latent=3, width=8, critic_width=8, **options)


def data(space, n):
    generator = seeded("data")
    if space.levels:
        return torch.randint(space.levels, (n, *space.shape), generator=generator)
    return torch.randn(n, *space.shape, generator=generator)


def first_coordinate(model, steepness=1.0):
    """Puts a critic there whose score is the first coordinate of what it is shown."""
    model.critic = nn.Sequential(nn.Flatten(), nn.Linear(2, 1, bias=False)).requires_grad_(False)
    model.critic[1].weight.copy_(torch.tensor([[steepness, 0.0]]))


REAL, FAKE = torch.tensor([[0.5, 7.0], [2.0, 7.0]]), torch.tensor([[-1.0, 7.0], [0.25, 7.0]])


def sigmoid(s):
    return 1 / (1 + math.exp(-s))


LOGISTIC = -sum(map(math.log, (sigmoid(0.5), sigmoid(2), 1 - sigmoid(-1), 1 - sigmoid(0.25)))) / 2  # minus the value V


@pytest.mark.parametrize(
    ("module", "critic", "generator"),
    [
        (
            minimax_gan,
            LOGISTIC,
            (math.log(1 - sigmoid(-1)) + math.log(1 - sigmoid(0.25))) / 2,
        ),
        (
            nonsaturating_gan,
            LOGISTIC,
            -(math.log(sigmoid(-1)) + math.log(sigmoid(0.25))) / 2,
        ),
        (lsgan, (0.5**2 + 1) / 4 + (1 + 0.25**2) / 4, (2**2 + 0.75**2) / 4),
        (wgan, -0.1 * (1.25 + 0.375), 0.1 * 0.375),  # the weight of 1 is clipped to 0.1
        (wgan_gp, -(1.25 + 0.375), 0.375),  # the critic's gradient has length one: no penalty
    ],
    ids=lambda v: v.__name__.rpartition(".")[2] if hasattr(v, "__name__") else "",
)  # fmt: skip
def test_losses_are_their_equations_by_hand(module, critic, generator):
    model = small(module)
    first_coordinate(model)
    assert float(model.critic_loss(REAL, FAKE, seeded(0))) == pytest.approx(critic, abs=1e-6)
    assert float(model.generator_loss(FAKE)) == pytest.approx(generator, abs=1e-6)


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
@pytest.mark.parametrize("space", [IMAGES, POINTS], ids=["images", "points"])
def test_each_player_moves_its_own_weights_and_no_other(module, space):
    model = small(module, space, **({"limit": 9.0} if module is wgan else {}))  # clipped critics are near to linear
    (stage,) = model.stages()
    for objective, other in zip(stage.objectives, reversed(stage.objectives), strict=True):
        model.zero_grad(set_to_none=True)
        objective.loss(data(space, 32), seeded(0)).backward()
        own = [p.grad for p in {"critic": model.critic, "generator": model.generator}[objective.name].parameters()]
        # The last bias of a Wasserstein critic stands in both means, and drops out of their difference.
        assert all(g is not None for g in own[:-1])
        assert all(g.abs().max() > 0 for g in own[:-1])
        if objective.name == "critic":
            assert all(p.grad is None for p in model.generator.parameters())
        assert {id(p) for p in objective_parameters(model, objective.name)}.isdisjoint(
            id(p) for p in objective_parameters(model, other.name)
        )


def objective_parameters(model, name):
    (stage,) = model.stages()
    return [p for o in stage.objectives if o.name == name for p in o.parameters]


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
def test_samples_of_images_are_the_levels_nearest_to_the_generator(module):
    model = small(module, IMAGES).eval()
    with torch.no_grad():
        made = model.generator(model.sample_prior(20, seeded(1)))
        nearest = (made[..., None] - torch.linspace(-1, 1, 17)).abs().argmin(-1)
        assert torch.equal(model.sample(20, seeded(1)), nearest)


@pytest.mark.parametrize("module", MODULES, ids=NAMES)
@pytest.mark.parametrize("space", [Space((20,), 65), Space((1, 8, 8))], ids=["text", "real images"])
def test_spaces_without_a_continuous_output_are_refused(module, space):
    with pytest.raises(ValueError, match="integer"):
        module.build(space)


# The game on a discrete toy: x is one of five, as the corners of a simplex; P and Q in twentieths.
P, Q = torch.tensor([8, 6, 4, 2, 0]), torch.tensor([1, 3, 4, 6, 6])


@pytest.fixture(scope="module")
def trained_critic():
    """A minimax critic trained against the fixed Q, to the end (all expectations are exact)."""
    model = small(minimax_gan, Space((5,)))
    real, fake = torch.eye(5).repeat_interleave(P, 0), torch.eye(5).repeat_interleave(Q, 0)
    optimiser = torch.optim.Adam(model.critic.parameters(), lr=1e-2)
    for _ in range(1500):
        loss = model.critic_loss(real, fake, seeded(0))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model, float(loss.detach())


def test_the_trained_critic_is_the_optimal_one(trained_critic):
    """Proposition 1 of Goodfellow et al.: D*(x) = p(x) / (p(x) + q(x))."""
    model, _ = trained_critic
    found = torch.sigmoid(model.critic(torch.eye(5)))[:, 0].detach()
    torch.testing.assert_close(found, P / (P + Q), atol=5e-3, rtol=0)


def test_its_value_is_twice_the_jensen_shannon_divergence_less_log_4(trained_critic):
    """Theorem 1: V(D*, G) = 2 JSD(p, q) - log 4, the divergence here from its definition."""
    _, loss = trained_critic
    p, q = (P / 20).double(), (Q / 20).double()
    middle = (p + q) / 2
    jsd = float(torch.special.xlogy(p, p / middle).sum() + torch.special.xlogy(q, q / middle).sum()) / 2
    # No critic does better than the optimal one, and this one is trained to within 0.001 nats of it.
    assert 2 * jsd - math.log(4) - 1e-3 < -loss < 2 * jsd - math.log(4) + 1e-6


def test_minimax_gradient_vanishes_where_the_critic_is_sure_and_the_other_does_not():
    """Through a score s: -sigmoid(s) against -(1 - sigmoid(s)), the ratio exp(s)."""
    for s in (-12.0, -4.0, 0.0, 3.0):
        slopes = []
        for module in (minimax_gan, nonsaturating_gan):
            model, x = small(module), torch.tensor([[s, 0.0]], requires_grad=True)
            first_coordinate(model)
            model.generator_loss(x).backward()
            slopes.append(float(x.grad[0, 0]))
        assert slopes == pytest.approx([-sigmoid(s), -sigmoid(-s)], rel=1e-4)
        assert slopes[0] / slopes[1] == pytest.approx(math.exp(s), rel=1e-3)


def test_training_the_critic_longer_leaves_the_minimax_generator_without_a_gradient():
    """Theorem 2.4 of Arjovsky and Bottou, 2017, in numbers: data 3 to the right of everything that is generated."""
    minimax, other = (vanishing.measured(name, 300) for name in vanishing.MODELS)
    assert minimax[-1] < minimax[0] / 20
    assert other[-1] > other[0]


def test_wgan_is_clipped_whenever_the_critic_is_used():
    model = small(wgan, limit=0.05)
    with torch.no_grad():
        for p in model.critic.parameters():
            p.copy_(torch.randn(p.shape, generator=seeded("w")))
    for used in (
        lambda: model.critic_step(data(POINTS, 8), seeded(0)),
        lambda: model.generator_step(data(POINTS, 8), seeded(0)),
    ):
        with torch.no_grad():
            model.critic[1].weight[0, 0] = 3.0
        used().detach()
        assert max(float(p.detach().abs().max()) for p in model.critic.parameters()) == pytest.approx(0.05)


def test_gradient_penalty_is_that_of_the_closed_form():
    """f(x) = |x|^2 / 2 has gradient x: between 0 and (4, 0) its length is uniform on [0, 4]."""
    model = small(wgan_gp)
    model.critic = Half()
    n = 40_000
    real, fake = torch.tensor([[4.0, 0.0]]).expand(n, 2), torch.zeros(n, 2)
    # E (u - 1)^2 for u uniform on [0, 4] is 7/3, and its fourth moment of 61/5 bounds the error of a mean.
    found = float(model.gradient_penalty(real, fake, seeded(0)).detach())
    assert found == pytest.approx(7 / 3, abs=4 * math.sqrt(61 / 5 / n))
    # The penalty goes into the loss with its weight, beside the difference of the means: 8 - 0.
    assert float(model.critic_loss(real, fake, seeded(0)).detach()) == pytest.approx(
        -8 + model.penalty * found, rel=1e-5
    )


class Half(nn.Module):
    def forward(self, x):
        return (x**2).sum(1, keepdim=True) / 2


def test_packs_are_of_independent_observations_and_reach_the_critic_whole():
    model = small(pacgan, m=3)
    x = data(POINTS, 10)
    shown = model.shown(x, seeded(0))
    assert torch.equal(shown, x[:9].view(3, 3, 2))  # the tenth fills no pack
    scores = model.critic(shown)
    assert scores.shape == (3, 1)
    others = shown.clone()
    others[1, 2] += 1  # one observation of one pack
    assert [bool(s) for s in (model.critic(others) != scores)[:, 0]] == [False, True, False]
    with pytest.raises(ValueError, match="fill no pack"):
        model.shown(x[:2], seeded(0))


def test_a_pack_of_one_is_the_nonsaturating_gan():
    one, plain = small(pacgan, m=1), small(nonsaturating_gan)
    for a, b in zip(one.stages()[0].objectives, plain.stages()[0].objectives, strict=True):
        assert float(a.loss(data(POINTS, 16), seeded(0))) == float(b.loss(data(POINTS, 16), seeded(0)))


def test_instance_noise_is_what_it_says_and_fades_to_none():
    model = small(instance_noise_gan, noise=0.5, fade=4)
    x = torch.zeros(20_000, 2)
    found = []
    for _ in range(6):
        found.append(float(model.shown(x, seeded(0)).std()))
        model.critic_step(data(POINTS, 4), seeded(0))
    # The deviation of n normal draws is right to 1 / sqrt(2 n).
    assert found == pytest.approx([0.5, 0.375, 0.25, 0.125, 0, 0], rel=4 / math.sqrt(2 * 40_000))
    plain = small(nonsaturating_gan)
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if k != "steps"})
    assert float(model.critic_step(x, seeded(0))) == float(plain.critic_step(x, seeded(0)))


def test_noise_fades_by_steps_of_training_alone():
    model = small(instance_noise_gan).eval()
    model.critic_step(data(POINTS, 4), seeded(0))
    assert int(model.steps) == 0


def test_the_distance_that_keeps_the_weights_is_zero_for_the_generator_itself():
    model = small(nonsaturating_gan).eval()
    with torch.no_grad():
        own = model.sample(300, seeded("other"))
        spread = float(torch.cdist(own, own).mean()) / 300  # under equality its deviation is of the order E|X-X'| / n
        assert abs(float(model.distance(own, seeded(0)))) < 6 * spread
        assert float(model.distance(own + 100, seeded(0))) == pytest.approx(2 * 100 * 2**0.5, rel=0.05)
