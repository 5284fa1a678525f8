"""Mixture with full covariances: SciPy, enumeration, the normal as its case of one component."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from draws import assert_drawn, assert_frequencies, assert_moments, every
from genbench.baselines.mixtures import full_mixture, multivariate_normal
from genbench.baselines.mixtures.full_mixture import LEAST, FullMixture
from genbench.baselines.mixtures.multivariate_normal import moments
from genbench.errors import GenbenchError
from genbench.models.sampling import seeded
from genbench.space import Space


def random_mixture(space: Space, components: int = 3) -> FullMixture:
    """Components of different weights, places, widths and tilts, in float64."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = full_mixture.build(space, components=components).double()
        for p in model.parameters():
            p.data += 0.5 * torch.randn_like(p)
        model.log_sd.data -= 0.7
    return model.requires_grad_(False)


def covariances(model: FullMixture) -> torch.Tensor:
    A = torch.linalg.inv(torch.eye(model.space.dim) - model.B)
    return A @ torch.diag_embed(model.sd.square()) @ A.mT


def test_log_density_agrees_with_scipy():
    model = random_mixture(Space((4,)))
    x = np.random.default_rng(0).normal(size=(20, 4))
    components = [
        stats.multivariate_normal(m, C).logpdf(x) for m, C in zip(model.mean, covariances(model), strict=True)
    ]
    expected = logsumexp(np.stack(components, 1) + model.logits.log_softmax(0).numpy(), axis=1)
    np.testing.assert_allclose(model.log_prob(torch.from_numpy(x)).numpy(), expected, rtol=1e-8, atol=1e-8)


def test_any_parameters_are_a_density():
    for seed in range(5):
        torch.manual_seed(seed)
        model = full_mixture.build(Space((6,)), components=4)
        for p in model.parameters():
            p.data += torch.randn_like(p)
        assert bool((torch.linalg.eigvalsh(covariances(model.double())) > 0).all())


def test_density_integrates_to_one():
    model = random_mixture(Space((2,)))
    line = torch.linspace(-20, 20, 1001, dtype=torch.float64)  # steps of 0.04, and no axis narrower than 0.1
    assert float(torch.linalg.eigvalsh(covariances(model)).min()) > 0.1**2
    total = float(model.log_prob(torch.cartesian_prod(line, line)).exp().sum() * (line[1] - line[0]) ** 2)
    assert total == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("space", [Space((3,), levels=5), Space((2, 1, 2), levels=3), Space((7,), levels=2)])
def test_integers_sum_to_one(space):
    log_p = random_mixture(space).log_prob(every(space))
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-10)
    assert float(log_p.max() - log_p.min()) > 1


def test_integers_are_drawn_as_they_are_scored():
    space = Space((3,), levels=4)
    model = random_mixture(space)
    model.mean.mul_(0.3)
    assert_drawn(model.sample(20_000, seeded("samples")), model.log_prob(every(space)), space)


def test_draws_of_real_numbers_follow_weights_means_and_covariances():
    model = random_mixture(Space((2,)))
    weights = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    model.logits.copy_(weights.log() + 5.0)  # up to a constant
    model.mean.copy_(torch.tensor([[-90.0, 0.0], [0.0, 90.0], [90.0, 0.0]]))  # so far apart that a draw shows its k
    x = model.sample(20_000, seeded("samples"))
    k = torch.cdist(x, model.mean).argmin(1)
    assert_frequencies(torch.bincount(k, minlength=3), weights)
    for j, C in enumerate(covariances(model)):
        assert_moments(x[k == j], model.mean[j], C)


@pytest.mark.parametrize("levels", [None, 5])
def test_one_component_is_the_multivariate_normal(levels):
    space = Space((4,), levels)
    generator = seeded("x")
    x = torch.randn(60, 4, generator=generator) @ torch.randn(4, 4, generator=generator)
    if levels:
        x = (x + 2).round().clamp(0, 4).long()
    normal = multivariate_normal.build(space).double()
    normal.fit(x)
    mixture = full_mixture.build(space, components=1).double()
    mixture.initialise(x, seeded("initialise"))
    with torch.no_grad():
        mixture.log_sd.copy_((mixture.log_sd.exp() - mixture.least).log())
        torch.testing.assert_close(mixture.log_prob(x), normal.log_prob(x), rtol=1e-9, atol=1e-9)
        a, b = mixture.sample(2000, seeded("a")), normal.sample(2000, seeded("b"))
    gap = (a.double().mean(0) - b.double().mean(0)).abs() / (b.double().std(0) * (2 / 2000) ** 0.5)
    assert float(gap.max()) < 4


def test_components_start_on_clusters():
    """Three clusters far apart: means by hand, covariances shrunk by D/10 examples of that of all."""
    generator = seeded("clusters")
    centres = torch.tensor([[-90.0, 0.0], [0.0, 90.0], [90.0, 0.0]])
    parts = [c + torch.randn(40, 2, generator=generator) @ torch.randn(2, 2, generator=generator) for c in centres]
    x = torch.cat(parts)
    starts = (full_mixture.build(Space((2,)), components=3).double() for _ in range(20))
    for i, model in enumerate(starts):
        model.initialise(x, seeded("initialise", i))
        if len(torch.cdist(model.mean, centres.double()).argmin(1).unique()) == 3:  # two may begin in one cluster
            break
    mean, everything = moments(x)
    for part in parts:
        own_mean, own = moments(part)
        k = int((model.mean - own_mean).norm(dim=1).argmin())
        shrunk = (40 * own_mean + mean) / 41
        torch.testing.assert_close(model.mean[k], shrunk, rtol=1e-9, atol=1e-9)
        about = own + (own_mean - shrunk).outer(own_mean - shrunk)
        expected = (40 * about + 0.2 * everything) / 40.2
        torch.testing.assert_close(covariances(model)[k].detach(), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model.logits.softmax(0), torch.full((3,), 1 / 3, dtype=torch.float64))


def test_a_component_that_no_example_belongs_to_starts_as_wide_as_the_data():
    x = torch.zeros(30, 2)
    x[:3] = torch.randn(3, 2, generator=seeded("three"))  # and twenty-seven copies of one example
    model = full_mixture.build(Space((2,)), components=8)
    model.initialise(x, seeded("initialise"))
    assert all(bool(p.isfinite().all()) for p in model.parameters())


def test_no_component_is_narrower_than_float32_can_score():
    """However far training has pushed log s down, the masses that a value may have sum to one."""
    space = Space((2,), levels=256)
    model = full_mixture.build(space, components=2)
    with torch.no_grad():
        model.log_sd.fill_(-30.0)
        model.below.fill_(0.7)
        model.mean.copy_(torch.tensor([[0.123, -0.456], [-1.5, 0.003]]))
        assert float(model.sd.min()) * 255 / 2 == pytest.approx(LEAST)
        total = sum(float(model.log_prob(part).double().exp().sum()) for part in every(space).split(1 << 14))
    # An edge of a bin is rounded by 6e-8, which moves at most 6e-8 / (sd sqrt(2 pi)) of mass, 3e-5 at two edges twice
    assert total == pytest.approx(1, abs=1.2e-4)


def test_gradients_reach_every_parameter():
    model = random_mixture(Space((4,), levels=5)).requires_grad_(True)
    model.loss(torch.randint(5, (8, 4), generator=seeded("x")), seeded("unused")).backward()
    for name, p in model.named_parameters():
        assert p.grad.isfinite().all(), name
        assert (p.grad != 0).all(), name


def test_loss_is_the_mean_negative_log_likelihood():
    model, x = random_mixture(Space((2,))), torch.randn(7, 2, generator=seeded("x"))
    torch.testing.assert_close(model.loss(x, seeded("unused")), -model.log_prob(x).mean())


def test_constant_dimensions_are_refused():
    model = full_mixture.build(Space((2,)), components=2)
    with pytest.raises(GenbenchError, match="constant or a linear function"):
        model.initialise(torch.tensor([[1.0, 0.0], [1.0, 2.0], [1.0, 3.0]]), seeded("initialise"))


def test_no_components_are_refused():
    with pytest.raises(ValueError, match="components is at least 1, not 0"):
        full_mixture.build(Space((2,)), components=0)
