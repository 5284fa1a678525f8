"""PixelCNN++: its mixture against sums and differences of tails, what each value sees, caches at every resolution."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import logistic

from draws import assert_frequencies
from genbench.baselines._layers import normalised
from genbench.baselines.autoregressive import pixelcnn_pp
from genbench.baselines.autoregressive.pixelcnn_pp import PIXELS, ROWS, Gated, PixelCNNPP, Whole, concat_elu
from genbench.models.sampling import seeded
from genbench.space import Space


def network(space: Space, noise: float = 0.3, **options) -> PixelCNNPP:
    """A random network whose conditionals are far from uniform, and from each other."""
    torch.manual_seed(1)
    net = pixelcnn_pp.build(space, **{"width": 6, "depth": 1, "components": 3, **options})
    with torch.no_grad():
        for p in net.parameters():
            p.add_(noise * torch.randn_like(p))
    return net.double().eval().requires_grad_(False)


def mixtures(net: PixelCNNPP, n: int, log_scale: tuple[float, float]) -> torch.Tensor:
    """Random parameters of n pixels, with means inside and outside of the levels: [n, K, P]."""
    C = net.space.shape[0]
    parameters = 2 * torch.randn(n, net.components, sum(net.sizes), generator=seeded("mixtures"), dtype=torch.float64)
    low, high = log_scale
    scale = torch.rand(n, net.components, C, generator=seeded("scales"), dtype=torch.float64)
    parameters[:, :, 1 + C : 1 + 2 * C] = low + (high - low) * scale
    return parameters


def placed(x: torch.Tensor, levels: int, dtype: torch.dtype) -> torch.Tensor:
    """Levels on [-1, 1], rounded once."""
    return (2 * x.double() / (levels - 1) - 1).to(dtype)


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_masses_of_a_channel_sum_to_one_whatever_the_scales(levels, dtype):
    space = Space((2, 1, 1), levels=levels)
    net = network(space).to(dtype)
    parameters = mixtures(net, 50, (-9.0, 4.0)).to(dtype)  # below the narrowest, and wider than the levels
    red = torch.arange(50) * (levels - 1) // 49
    pairs = torch.stack([red[:, None].expand(-1, levels), torch.arange(levels).expand(50, -1)], 1)  # [50, C, L]
    x = placed(pairs, levels, dtype)
    _, first, both = (joint.logsumexp(1) for joint in net.log_joint(parameters[..., None], x, 2))
    assert torch.isfinite(both).all()
    tolerance = 1e-10 if dtype == torch.float64 else 2e-5
    torch.testing.assert_close(both.logsumexp(1), first[:, 0], rtol=0, atol=tolerance * 10)
    every = placed(torch.arange(levels).expand(50, 1, -1), levels, dtype)
    total = net.log_joint(parameters[..., None], every, 1)[1].logsumexp((1, 2))
    torch.testing.assert_close(total, torch.zeros_like(total), rtol=0, atol=tolerance)


@pytest.mark.parametrize("levels", [17, 256])
def test_the_mixture_is_equations_2_and_3(levels):
    """By differences of SciPy's distribution function, a component and a channel at a time."""
    space = Space((3, 2, 2), levels=levels)
    net = network(space, noise=0.1)
    x = torch.randint(levels, (20, 3, 2, 2), generator=seeded("x"))
    x[:5] = torch.tensor([0, levels - 1, 0])[:, None, None]  # edges
    parameters = net.parameters_of(x).movedim(1, -1).movedim(1, -1).flatten(0, 2).numpy()  # [pixels, K, P]
    pixels = x.movedim(1, -1).flatten(0, 2).numpy()
    v, half = 2 * pixels / (levels - 1) - 1, 1 / (levels - 1)
    found = []
    for p, level, value in zip(parameters, pixels, v, strict=True):
        log_weight, (r, g, b), scale, (gr, br, bg) = p[:, 0], p[:, 1:4].T, np.exp(p[:, 4:7].T), np.tanh(p[:, 7:].T)
        mean = [r, g + gr * value[0], b + br * value[0] + bg * value[1]]
        terms = log_weight - logsumexp(log_weight)
        for c in range(3):
            a, b = (value[c] - half - mean[c]) / scale[c], (value[c] + half - mean[c]) / scale[c]
            a, b = np.where(level[c] == 0, -np.inf, a), np.where(level[c] == levels - 1, np.inf, b)
            flip = a + b > 0  # of the two tails the smaller
            a, b = np.where(flip, -b, a), np.where(flip, -a, b)
            terms = terms + logistic.logcdf(b) + np.log1p(-np.exp(logistic.logcdf(a) - logistic.logcdf(b)))
        found.append(logsumexp(terms))
    expected = torch.tensor(found).view(20, -1).sum(1)
    assert torch.isfinite(expected).all()
    torch.testing.assert_close(net.log_prob(x), expected, rtol=1e-6, atol=1e-6)


def test_scales_have_a_floor_that_no_probability_depends_on_below():
    net = network(Space((1, 1, 1), levels=256))
    parameters = mixtures(net, 5, (-7.0, -7.0))
    lower = parameters.clone()
    lower[:, :, 2] = -20
    x = torch.zeros(5, 1, dtype=torch.float64)
    assert torch.equal(net.log_joint(parameters, x, 1)[1], net.log_joint(lower, x, 1)[1])


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_draws_fall_into_bins_with_their_masses(channel):
    space, n = Space((3, 1, 1), levels=17), 20_000
    net = network(space)
    parameters = mixtures(net, 1, (-3.0, -1.0))
    x = torch.tensor([[0, 9, 4]])
    drawn = net.draw(parameters.expand(n, -1, -1), x.expand(n, -1), channel, seeded("draws"))
    states = x.repeat(17, 1)
    states[:, channel] = torch.arange(17)
    joint = net.log_joint(parameters.expand(17, -1, -1), normalised(states, space).double(), channel + 1)
    p = (joint[-1].logsumexp(1) - joint[-2].logsumexp(1)).exp()
    assert_frequencies(torch.bincount(drawn, minlength=17), p)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resolutions", [1, 2, 3])
def test_every_value_sees_all_of_its_past_and_nothing_else(channels, resolutions):
    """By the Jacobian, in raster order with R before G before B."""
    space = Space((channels, 5, 4), levels=256)
    # Little noise: where a scale is huge, the derivative by a value rounds to zero.
    net = network(space, noise=0.1, depth=3 if resolutions == 1 else 2, resolutions=resolutions)
    strength = 0
    for seed in range(3):
        x = torch.randint(1, 255, (1, *space.shape), generator=seeded(seed)).float()  # a level, and not at an edge
        jacobian = torch.autograd.functional.jacobian(lambda x: net.log_conditionals(x)[0], x, vectorize=True)
        strength += jacobian.squeeze(3).abs()  # [C, H, W, C, H, W]
    raster = strength.permute(1, 2, 0, 4, 5, 3).reshape(space.dim, space.dim)
    assert torch.equal(raster > 0, torch.ones(space.dim, space.dim).tril().bool())


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 5), (2, 6, 8), (1, 1, 6), (3, 5, 1)])
@pytest.mark.parametrize("resolutions", [1, 2, 3])
def test_caches_of_every_resolution_give_the_naive_samples(shape, resolutions):
    net = network(Space(shape, levels=17), resolutions=resolutions)
    assert torch.equal(net.sample(5, seeded()), net.sample_naive(5, seeded()))


def test_a_place_at_half_the_resolution_is_computed_once():
    net = network(Space((1, 5, 7), levels=4), resolutions=3)
    calls = {ROWS: [0, 0, 0], PIXELS: [0, 0, 0]}

    def count(module, inputs):
        calls[inputs[1]][module.level] += 1

    level = net.layers
    while level is not None:
        level.register_forward_pre_hook(count)
        level = level.inner
    net.sample(1, seeded())
    assert calls == {ROWS: [5, 3, 2], PIXELS: [35, 12, 4]}


def test_the_gate_of_figure_2():
    torch.manual_seed(0)
    gated = Gated(2, 3, PIXELS, 0, 0.0)
    h, beside = torch.randn(1, 2, 3, 3, generator=seeded("h")), torch.randn(1, 3, 3, 3, generator=seeded("beside"))

    def filtered(conv, a):
        out = torch.zeros(1, len(conv.weight), 3, 3)
        for di in (0, 1):
            for dj in (0, 1):  # a tap of the pixel itself is the last
                shifted = torch.zeros_like(a)
                shifted[:, :, di:, dj:] = a[:, :, : 3 - di, : 3 - dj]
                out += torch.einsum("oi,bihw->bohw", conv.weight[:, :, 1 - di, 1 - dj], shifted)
        return out + conv.bias[:, None, None]

    inner = filtered(gated.first, concat_elu(h))
    inner = inner + torch.einsum("oi,bihw->bohw", gated.beside.weight[..., 0, 0], concat_elu(beside))
    inner = inner + gated.beside.bias[:, None, None]
    out = filtered(gated.second, concat_elu(inner))
    expected = h + out[:, :2] / (1 + torch.exp(-out[:, 2:]))
    torch.testing.assert_close(gated(h, [beside], Whole()), expected)


def test_concat_elu_gives_both_signs():
    h = torch.tensor([[-1.0, 2.0]])
    e = float(np.exp(-1) - 1)
    torch.testing.assert_close(concat_elu(h), torch.tensor([[e, 2.0, 1.0, float(np.exp(-2) - 1)]]))


def test_dropout_is_of_training_alone():
    net = network(Space((1, 4, 4), levels=5), dropout=0.5)
    x = torch.randint(5, (4, 1, 4, 4), generator=seeded("x"))
    assert torch.equal(net.log_prob(x), net.log_prob(x))
    net.train()
    assert not torch.equal(net.log_prob(x), net.log_prob(x))


def test_components_start_apart():
    net = pixelcnn_pp.build(Space((3, 4, 4), levels=256), width=4, components=4)
    parameters = net.output.bias.view(4, -1)
    assert parameters[:, 1].tolist() == [-0.75, -0.25, 0.25, 0.75]
