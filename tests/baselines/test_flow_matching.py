"""Flow matching: its paths, the field that is best for known data, samples and densities of the flow."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from draws import assert_frequencies, assert_means
from genbench import catalog, datasets
from genbench.baselines.diffusion.flow_matching import FlowMatching, build
from genbench.likelihood.probability_flow import HasVelocity, probability_flow
from genbench.models.checkpoint import load
from genbench.models.sampling import seeded
from genbench.space import Space

IMAGES = Space((1, 4, 4), levels=5)


def small(space: Space = IMAGES, **options) -> FlowMatching:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(space, **{"width": 8, "embedding": 4, **options}).eval()


class Exact(FlowMatching):
    """The best field for a mixture sum_k pi_k N(m_k, s^2 I): E[(1 - sigma) e - x_0 | x_t] in closed form."""

    def __init__(self, weights, means, sd, sigma=0.1, evaluations=200):
        self.weights, self.means = torch.tensor(weights).double(), torch.tensor(means).double()  # [K], [K, D]
        super().__init__(Space((self.means.shape[1],)), sigma=sigma, width=4, embedding=2, evaluations=evaluations)
        self.sd = sd

    def velocity(self, x, t):
        a, s = 1 - t[:, None, None].double(), self.sigma + (1 - self.sigma) * t[:, None, None].double()
        variance = (a * self.sd) ** 2 + s**2  # [B, 1, 1]
        off = x[:, None].double() - a * self.means  # [B, K, D]
        log_w = self.weights.log() - 0.5 * (off**2 / variance).sum(2)
        x0, e = self.means + a * self.sd**2 / variance * off, s / variance * off
        return (log_w.softmax(1)[..., None] * ((1 - self.sigma) * e - x0)).sum(1).to(x)

    def log_density(self, x):
        """Of x at t = 0: data and noise of deviation sigma."""
        variance = self.sd**2 + self.sigma**2
        squares = ((x[:, None] - self.means.numpy()) ** 2).sum(2) / variance
        dim = self.space.dim
        return np.log((self.weights.numpy() * np.exp(-0.5 * squares)).sum(1)) - dim / 2 * math.log(
            2 * math.pi * variance
        )


def test_paths_lead_from_data_to_noise_at_the_velocity_that_is_learned():
    model = small(sigma=0.1)
    x0, e = torch.randn(2, 3, 1, 4, 4, generator=seeded("x"), dtype=torch.double)
    start, velocity = model.path(x0, e, torch.zeros(3))
    torch.testing.assert_close(start, x0 + 0.1 * e)
    torch.testing.assert_close(model.path(x0, e, torch.ones(3))[0], e)
    later = model.path(x0, e, torch.full((3,), 0.25))[0]
    torch.testing.assert_close((later - start) / 0.25, velocity)  # straight


def test_the_loss_is_least_at_the_conditional_mean():
    exact = Exact([0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], 0.3)
    k = torch.multinomial(exact.weights, 4000, replacement=True, generator=seeded("k"))
    x = (exact.means[k] + 0.3 * torch.randn(4000, 2, generator=seeded("x"))).float()
    best = exact.velocity

    def losses(change):
        exact.velocity = lambda x, t: best(x, t) + change(x, t[:, None])
        return torch.stack([exact.loss(x, seeded(i)) for i in range(20)])

    least = losses(lambda x, t: 0)
    for change in (lambda x, t: 0.2, lambda x, t: 0.2 * x, lambda x, t: 0.4 * t * x.flip(1), lambda x, t: torch.sin(x)):
        extra = losses(change)
        assert_means(
            (extra - least)[:, None], torch.stack([mean_square(exact, x, change, i) for i in range(20)]).mean()
        )
        assert float((extra - least).mean()) > 0


def mean_square(model, x, change, seed):
    """E |change(x_t)|^2 by the draws of t and e that `loss` makes from a seed."""
    generator = seeded(seed)
    t = torch.rand(len(x), generator=generator)
    xt, _ = model.path(x, torch.randn(x.shape, generator=generator), t)
    return (change(xt, t[:, None]) * torch.ones_like(xt)).square().mean()


def test_focus_draws_times_near_the_data():
    model, seen = small(Space((2,)), focus=2.0), []
    model.velocity = lambda x, t: seen.append(t) or torch.zeros_like(x)
    model.loss(torch.zeros(20_000, 2), seeded("t"))
    cells = (seen[0].sqrt() * 10).long()  # the root of t is uniform
    assert_frequencies(torch.bincount(cells, minlength=10), torch.full((10,), 0.1))


def test_samples_of_the_exact_field_are_the_data_with_noise():
    model = Exact([0.3, 0.7], [[-1.0], [1.0]], 0.2)
    drawn = model.sample(20_000, seeded("samples"))[:, 0]
    edges = torch.linspace(-1.6, 1.6, 9)
    sd = math.hypot(0.2, 0.1)
    below = 0.3 * norm.cdf(edges.numpy(), -1, sd) + 0.7 * norm.cdf(edges.numpy(), 1, sd)
    p = torch.from_numpy(np.diff(np.concatenate([[0.0], below, [1.0]])))
    assert_frequencies(torch.bincount(torch.bucketize(drawn, edges), minlength=10), p)


def test_the_midpoint_rule_is_of_second_order_in_the_number_of_evaluations():
    def drawn(evaluations):
        model = Exact([0.5, 0.5], [[-1.0], [1.0]], 0.5, evaluations=evaluations).double()
        with torch.no_grad():
            return model.sample(50, seeded("samples"))

    truth = drawn(1600)
    errors = [float((drawn(n) - truth).abs().max()) for n in (50, 100, 200)]
    assert 3 < errors[0] / errors[1] < 5
    assert 3 < errors[1] / errors[2] < 5
    counted = []
    model = small(evaluations=10)
    model.velocity = lambda x, t: counted.append(1) or torch.zeros_like(x)
    model.sample(2, seeded("samples"))
    assert len(counted) == 10


@pytest.mark.parametrize("sigma", [0.05, 0.3])
def test_the_flow_of_the_exact_field_has_the_density_of_the_data_with_noise(sigma):
    model = Exact([0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], 0.3, sigma=sigma)
    assert isinstance(model, HasVelocity)
    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    found = probability_flow(model, x, 0, probes=0, rtol=1e-7, atol=1e-7, dtype=torch.float64)
    np.testing.assert_allclose(found.values, model.log_density(x), atol=1e-4)


def test_the_ring_of_8_has_its_known_entropy_under_the_exact_field():
    data = datasets.load("ring8")
    centres, sd = data.modes
    model = Exact([1 / 8] * 8, centres.tolist(), sd, sigma=1e-4)
    x = data.test[:100]
    found = probability_flow(model, x, 0, probes=0, rtol=1e-6, atol=1e-6, dtype=torch.float64)
    np.testing.assert_allclose(found.values, data.log_density(x), atol=2e-3)  # noise of 1e-4 beside 1e-2


def test_the_shipped_model_of_the_ring_is_within_a_tenth_of_a_bit_of_its_entropy():
    data = datasets.load("ring8")
    model = load(catalog.BASELINES / "checkpoints" / "ring8" / "flow-matching.safetensors")
    x = data.test[:500]
    excess = data.log_density(x) - probability_flow(model, x, 0, probes=0, rtol=1e-4, atol=1e-4).values
    stderr = float(excess.std() / math.sqrt(len(x)))  # of the KL divergence, which is paired
    assert -4 * stderr < excess.mean() < 0.1 * 2 * math.log(2)


def test_integers_are_rounded_to_the_nearest_level():
    model = small()
    model.velocity = lambda x, t: torch.zeros_like(x)  # noise stays as it is
    x = torch.randn(50, *IMAGES.shape, generator=seeded("samples"))
    drawn = model.sample(50, seeded("samples"))
    assert drawn.dtype == torch.int64
    assert torch.equal(drawn, (x.clamp(-1, 1) * 2 + 2).round().long())


@pytest.mark.parametrize("space", [IMAGES, Space((2,))])
def test_an_example_does_not_depend_on_its_batch_mates_and_gradients_reach_every_parameter(space):
    model = small(space)
    x, t = torch.randn(5, *space.shape, generator=seeded("x")), torch.rand(5, generator=seeded("t"))
    for p in model.parameters():
        p.data += 0.1 * torch.randn(p.shape, generator=seeded("p"))
    together = model.velocity(x, t)
    alone = torch.cat([model.velocity(x[i : i + 1], t[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    data = torch.randint(5, (8, *space.shape), generator=seeded("x"))
    model.loss(data if space.levels else data.float(), seeded(0)).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().max() > 0, name


@pytest.mark.parametrize("space", [Space((4, 4)), Space((1, 7, 8), 17)])
def test_spaces_it_cannot_model_are_refused(space):
    with pytest.raises(ValueError, match="even sides"):
        build(space)
