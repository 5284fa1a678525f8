"""GAN: the critic's norms, the two objectives, the energy distance, the prior and what is made of it."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal

from draws import assert_standard_normal
from genbench.baselines.adversarial.gan import build, energy_distance
from genbench.models.sampling import seeded
from genbench.space import Space

IMAGES, POINTS = Space((1, 8, 8), levels=17), Space((2,))


def small(space, seed=0):
    torch.manual_seed(seed)
    return build(space, latent=4, width=8, critic_width=8, slope=3.0)


def data(space, n):
    return torch.randint(17, (n, *space.shape)) if space.levels else torch.randn(n, *space.shape)


@pytest.fixture(params=[IMAGES, POINTS], ids=["images", "points"])
def model(request):
    return small(request.param)


def weights(model):
    """The matrices [out, in] by which the critic multiplies."""
    return [m.weight.detach().flatten(1) for m in model.critic if isinstance(m, nn.Linear | nn.Conv2d)]


def test_spectral_norms_of_the_critic_are_one(model):
    x = data(model.space, 4)
    # Each pass in training is one step of power iteration. Its estimate never exceeds the norm, and after k steps
    # falls short of it by at most a relative tan^2(angle) (s2/s1)^(2k): even at s2/s1 = 0.99, 1,000 steps leave e-9.
    with torch.no_grad():
        for _ in range(1000):
            model.critic_loss(x, seeded(0))
    model.eval()
    for w in weights(model):
        assert float(torch.linalg.svdvals(w)[0]) == pytest.approx(1, abs=1e-4)


def test_critic_of_points_is_no_steeper_than_slope():
    model = small(POINTS)
    with torch.no_grad():
        for _ in range(1000):
            model.critic_loss(data(POINTS, 4), seeded(0))
    model.eval()
    x = torch.randn(200, 2, requires_grad=True)
    (steepness,) = torch.autograd.grad(model.slope * model.critic(x).sum(), x)
    assert float(steepness.norm(dim=1).max()) <= model.slope * (1 + 1e-3)


def test_power_iteration_rests_at_evaluation(model):
    x = data(model.space, 4)
    model.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with torch.no_grad():
        model.critic_loss(x, seeded(0))
        model.generator_loss(x, seeded(0))
        model.distance(x, seeded(0))
    after = model.state_dict()
    assert any(k.endswith("_u") for k in before)
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_each_objective_reaches_all_of_its_parameters_and_keeps_to_them(model):
    model.slope = 1000.0  # far from the margin some scores are at rest: otherwise the last bias has gradient 1 - 1
    (stage,) = model.stages()
    x = data(model.space, 32)
    parameters = {o.name: list(o.parameters) for o in stage.objectives}
    assert sum(map(len, parameters.values())) == len(list(model.parameters()))
    for objective in stage.objectives:
        model.zero_grad(set_to_none=True)
        objective.loss(x, seeded(0)).backward()
        for p in parameters[objective.name]:
            assert p.grad is not None
            assert p.grad.abs().max() > 0
    model.zero_grad(set_to_none=True)
    model.critic_loss(x, seeded(0)).backward()
    assert all(p.grad is None for p in parameters["generator"])


def test_hinge_loss_is_hand_computed():
    model = small(POINTS)
    model.critic = nn.Linear(2, 1, bias=False).requires_grad_(False)
    nn.init.eye_(model.critic.weight)  # the score is the first coordinate
    model.generate = lambda n, generator: torch.tensor([[-1.0, 0.0], [0.5, 0.0]])  # type: ignore[method-assign]
    x = torch.tensor([[0.1, 5.0], [2.0, 5.0]])
    # slope 3: real scores 0.3 and 6, fake scores -3 and 1.5
    assert float(model.critic_loss(x, seeded(0))) == pytest.approx((0.7 + 0) / 2 + (0 + 2.5) / 2)
    assert float(model.generator_loss(x, seeded(0))) == pytest.approx(-(-3 + 1.5) / 2)


def test_the_critic_takes_its_repeats_and_the_generator_one_step():
    model = build(POINTS, latent=2, width=4, critic_width=4, repeats=3)
    (stage,) = model.stages()
    assert [(o.name, o.repeats) for o in stage.objectives] == [("critic", 3), ("generator", 1)]


@torch.no_grad()
def test_the_prior_is_the_standard_normal(model):
    z = model.sample_prior(20_000, seeded("z"))
    assert_standard_normal(z)
    torch.testing.assert_close(model.log_prior(z), Normal(0.0, 1.0).log_prob(z).sum(1))


@torch.no_grad()
def test_samples_and_what_the_critic_sees_are_the_generator_of_prior_draws(model):
    model.eval()
    made = model.generator(model.sample_prior(50, seeded(1)))
    assert torch.equal(model.generate(50, seeded(1)), made)
    if model.space.levels is None:
        assert torch.equal(model.sample(50, seeded(1)), made)
    else:  # -1 is level 0 and 1 is level 16
        levels = torch.linspace(-1, 1, 17)
        nearest = (made[..., None] - levels).abs().argmin(-1)
        assert torch.equal(model.sample(50, seeded(1)), nearest)


@torch.no_grad()
def test_weights_are_kept_by_the_distance_to_samples_of_the_generator():
    model = small(POINTS).eval()
    (stage,) = model.stages()
    n, own = 300, model.sample(300, seeded("other"))
    # Under equality the estimate is degenerate: its deviation is of the order E|X-X'| / n.
    spread = float(torch.cdist(own, own).mean()) / n
    assert abs(float(stage.validate(own, seeded(0)))) < 6 * spread
    # Two distributions far apart: 2 E|X-Y| - E|X-X'| - E|Y-Y'| is 2 |shift| less what the clouds are wide.
    assert float(stage.validate(own + 100, seeded(0))) == pytest.approx(2 * 100 * 2**0.5, rel=0.05)


def test_samples_are_in_the_space_and_repeatable(model):
    model.eval()
    with torch.no_grad():
        a, b, c = (model.sample(50, seeded(s)) for s in (1, 1, 2))
    assert a.shape == (50, *model.space.shape)
    assert a.dtype == (torch.int64 if model.space.levels else torch.float32)
    if model.space.levels:
        assert 0 <= int(a.min()) <= int(a.max()) < 17
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_a_sample_does_not_depend_on_its_block_mates(model):
    model.eval()
    z = torch.randn(5, model.latent)
    with torch.no_grad():
        together = model.generator(z)
        alone = torch.cat([model.generator(z[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_energy_distance_is_hand_computed():
    x, y = torch.tensor([[0.0], [3.0]]), torch.tensor([[1.0], [5.0], [7.0]])
    # |x-y|: 1 5 7 2 2 4, mean 21/6; |x-x'|: 3; |y-y'|: 4 6 2, mean 4
    assert float(energy_distance(x, y)) == pytest.approx(2 * 21 / 6 - 3 - 4)


def test_energy_distance_between_normals_is_the_closed_form():
    n, shift = 2000, 0.8
    x = torch.randn(n, 1, generator=seeded(1))
    y = torch.randn(n, 1, generator=seeded(2)) + shift
    # |X-Y| is a folded normal of mean `shift`, standard deviation sqrt(2); |X-X'| the same with mean 0.
    s = math.sqrt(2)
    cross = s * math.sqrt(2 / math.pi) * math.exp(-(shift**2) / 4) + shift * math.erf(shift / 2)
    truth = 2 * cross - 2 * s * math.sqrt(2 / math.pi)
    # First-order terms of the U-statistic: 2/sqrt(n) times the spread of E|x-Y| - E|x-X'|, which is at most shift.
    assert float(energy_distance(x, y)) == pytest.approx(truth, abs=4 * 2 * shift * math.sqrt(2 / n))


@pytest.mark.parametrize("space", [Space((20,), 65), Space((1, 7, 8), 17), Space((1, 8, 8))])
def test_spaces_it_cannot_model_are_refused(space):
    with pytest.raises(ValueError, match=r"continuous|multiples of 4"):
        build(space)
