"""Debiasing VAE: weights by hand, their limits in alpha, and a rare group in batches, in samples and in the bound."""

import math

import pytest
import torch

from draws import assert_frequencies
from genbench.baselines.latent_variable import debiasing_vae, vae
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((6,), levels=4)
X = torch.randint(4, (200, 6), generator=seeded("x"))


def small(**options) -> debiasing_vae.DebiasingVAE:
    """With posterior means that spread over many bins."""
    torch.manual_seed(0)
    net = debiasing_vae.build(SPACE, **{"latent": 2, "hidden": 8, "bins": 5, **options}).eval().requires_grad_(False)
    net.encoder[-1].weight.mul_(40)
    net.encoder[-1].bias.zero_()
    return net


def settled(net: debiasing_vae.DebiasingVAE, x: torch.Tensor) -> debiasing_vae.DebiasingVAE:
    """After so many batches of x that nothing of the first histogram is left."""
    for _ in range(1500):
        net.count(x)
    return net


def test_histograms_and_weights_are_those_of_a_loop():
    net, alpha = settled(small(alpha=0.07), X), 0.07
    z, width = net.encode(X), 8 / 5
    place = [[min(4, max(0, math.floor((float(v) + 4) / width))) for v in row] for row in z]
    q = [[sum(row[j] == b for row in place) / len(X) for b in range(5)] for j in range(2)]
    assert min(len({row[j] for row in place}) for j in range(2)) >= 3  # the means do spread
    torch.testing.assert_close(net.histogram, torch.tensor(q), rtol=0, atol=1e-5)
    weight = torch.tensor([1 / math.prod(q[j][row[j]] + alpha for j in range(2)) for row in place])
    torch.testing.assert_close(net.chances(X), weight / weight.sum(), rtol=1e-3, atol=0)


def test_a_histogram_is_a_running_one_and_part_of_the_state():
    net, other = small(), small()
    before = net.histogram.clone()
    assert torch.equal(before, torch.full((2, 5), 0.2))
    assert torch.equal(net.chances(X), torch.full((200,), 1 / 200))  # before anything is seen all examples weigh alike
    net.count(X)
    net.count(X[:50])
    whole, part = (torch.nn.functional.one_hot(net.places(x), 5).float().mean(0) for x in (X, X[:50]))
    torch.testing.assert_close(net.histogram, 0.98**2 * before + 0.98 * 0.02 * whole + 0.02 * part)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other.chances(X), net.chances(X))


def test_draws_have_the_frequencies_of_the_weights():
    net = settled(small(alpha=0.05, kept=1.0), X[:20])
    drawn = torch.cat([net.resampled(X[:20], seeded(i)) for i in range(500)])
    found = (drawn[:, None] == X[:20]).all(2).sum(0)
    assert int(found.sum()) == 10_000  # no two of the twenty are equal
    assert_frequencies(found, net.chances(X[:20]))
    assert len(small(kept=0.3).resampled(X, seeded("r"))) == 60


def test_the_limits_in_alpha():
    """Of one latent: infinite alpha leaves the data as they are, alpha near 0 gives each bin in use the same share."""
    plain = settled(small(latent=1, alpha=math.inf), X)
    assert torch.equal(plain.chances(X), torch.full((200,), 1 / 200))
    net = settled(small(latent=1, alpha=1e-6), X)
    share = torch.zeros(5).index_add(0, net.places(X)[:, 0], net.chances(X))
    used = share[share > 0]
    assert len(used) >= 3
    torch.testing.assert_close(used, torch.full_like(used, 1 / len(used)), rtol=1e-3, atol=0)


def test_only_the_objective_resamples():
    net, plain = settled(small(), X), vae.build(SPACE, latent=2, hidden=8).eval()
    plain.load_state_dict({name: value for name, value in net.state_dict().items() if name != "histogram"})
    (stage,) = net.stages()
    before = net.histogram.clone()
    assert torch.equal(stage.validate(X, seeded("z")), plain.loss(X, seeded("z")))
    assert torch.equal(net.log_weights(X, 5, seeded("z")), plain.log_weights(X, 5, seeded("z")))
    assert torch.equal(net.histogram, before)  # judging counts nothing


RARE, PIXELS = 0.05, Space((12,), levels=2)


def group_of(x: torch.Tensor) -> torch.Tensor:
    """Whether the second half is brighter than the first: [n, 12] -> [n] bool."""
    return x[:, 6:].sum(1) > x[:, :6].sum(1)


def groups(n: int, rare: float, generator: torch.Generator) -> torch.Tensor:
    """The first half bright, in the rare group the second, each pixel wrong one time in ten: [n, 12]."""
    pattern = (torch.arange(12) < 6) ^ (torch.rand(n, 1, generator=generator) < rare)
    return (pattern ^ (torch.rand(n, 12, generator=generator) < 0.1)).long()


def trained(alpha: float) -> debiasing_vae.DebiasingVAE:
    torch.manual_seed(0)
    net = debiasing_vae.build(PIXELS, alpha=alpha, latent=2, hidden=24)
    optimiser, generator = torch.optim.Adam(net.parameters(), lr=5e-3), seeded("train")
    for _ in range(500):
        optimiser.zero_grad()
        net.debiased(groups(256, RARE, generator), generator).backward()
        optimiser.step()
    return net.eval().requires_grad_(False)


def test_a_rare_group_is_less_rare_in_batches_and_in_samples_and_its_bound_is_better():
    plain, net = trained(math.inf), trained(0.02)
    x = groups(4000, RARE, seeded("batch"))
    batches = x, plain.resampled(x, seeded("r")), net.resampled(x, seeded("r"))
    before, same, after = (float(group_of(batch).float().mean()) for batch in batches)
    assert abs(before - RARE) < 0.015
    assert abs(same - RARE) < 0.02
    assert after > 3 * before
    sampled = [float(group_of(m.sample(4000, seeded("s"))).float().mean()) for m in (plain, net)]
    assert sampled[1] > 2 * sampled[0]
    few = groups(2000, 1.0, seeded("rare"))
    losses = [float(m.loss(few, seeded("z"))) for m in (plain, net)]
    assert losses[1] < losses[0] - 0.3
    common = groups(2000, 0.0, seeded("common"))
    assert float(plain.loss(common, seeded("z"))) < float(net.loss(common, seeded("z")))  # which is what it costs


@pytest.mark.parametrize("options", [{"alpha": 0.0}, {"bins": 1}, {"kept": 0.0}, {"kept": 1.5}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match="alpha"):
        small(**options)
