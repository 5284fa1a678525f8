"""RealNVP: masks, inverses, log-determinants, densities that integrate to one and are those of the samples."""

import math

import pytest
import torch

from draws import assert_drawn, assert_frequencies, assert_standard_normal
from genbench import catalog
from genbench.baselines.flows import realnvp, variational_realnvp
from genbench.likelihood.dequantised import Dequantised, VariationallyDequantised
from genbench.models.sampling import seeded
from genbench.space import Space

IMAGES, VECTORS = (1, 8, 8), (3,)
DEEP = (1, 16, 16)  # squeezed twice


def random_flow(shape: tuple[int, ...], levels: int | None = None, size: float = 0.2) -> realnvp.RealNVP:
    """Away from the identity that a flow starts at: every parameter is moved at random."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = realnvp.RealNVP(shape, depth=2, hidden=8, dropout=0.0, levels=levels).double().eval()
        for p in flow.parameters():
            p.data += size * torch.randn_like(p)
    return flow.requires_grad_(False)


def points(shape: tuple[int, ...], levels: int | None, n: int = 4) -> torch.Tensor:
    if levels is None:
        return torch.randn(n, *shape, dtype=torch.double, generator=seeded("x"))
    return levels * torch.rand(n, *shape, dtype=torch.double, generator=seeded("x"))


def jacobian(bijection: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """dy/dx at one x [*shape] -> [D, D]."""

    def flat(v: torch.Tensor) -> torch.Tensor:
        return bijection(v.view(1, *x.shape))[0].flatten()

    return torch.autograd.functional.jacobian(flat, x.flatten(), vectorize=True)


CASES = pytest.mark.parametrize(
    ("shape", "levels"), [(IMAGES, None), (IMAGES, 17), ((3, 4, 4), 256), (VECTORS, None), ((2,), 17)]
)


def test_masks_are_a_checkerboard_and_halves_of_the_channels():
    board = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    assert torch.equal(realnvp.checkerboard((2, 2, 3), 0), board.expand(2, 2, 3))
    assert torch.equal(realnvp.checkerboard((2, 2, 3), 1), 1 - board.expand(2, 2, 3))
    assert torch.equal(realnvp.checkerboard((4,), 0), torch.tensor([0.0, 1.0, 0.0, 1.0]))
    assert torch.equal(realnvp.checkerboard((4,), 1), torch.tensor([1.0, 0.0, 1.0, 0.0]))
    halves = torch.tensor([0.0, 0.0, 1.0, 1.0]).view(4, 1, 1).expand(4, 2, 3)
    assert torch.equal(realnvp.channelwise((4, 2, 3), 0), halves)
    assert torch.equal(realnvp.channelwise((4, 2, 3), 1), 1 - halves)


def test_squeeze_makes_channels_of_2x2_pixels():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    y, logdet = realnvp.Squeeze()(x)
    assert float(logdet) == 0
    for channel, corner in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        assert torch.equal(y[0, channel], x[0, 0, corner[0] :: 2, corner[1] :: 2])


def test_coupling_is_equation_9():
    flow, x = random_flow(IMAGES), points(IMAGES, None)
    coupling = flow.scales[0].layers[1]
    m = coupling.mask
    s, t = coupling.network(m * x).split(1, dim=1)
    s = coupling.factor * torch.tanh(s)
    y, logdet = coupling(x)
    torch.testing.assert_close(y, m * x + (1 - m) * (x * torch.exp(s) + t))
    torch.testing.assert_close(logdet, ((1 - m) * s).sum((1, 2, 3)))


def test_a_new_flow_changes_nothing():
    x = points(VECTORS, None)
    z, logdet = realnvp.RealNVP(VECTORS, depth=3, hidden=8, dropout=0.0).double()(x)
    assert torch.equal(z, x)
    assert (logdet == 0).all()


def runs(flow):
    """The layers between one change of shape and the next: of each scale those before and after the squeeze."""
    for scale in flow.scales:
        run = []
        for layer in scale.layers:
            if isinstance(layer, realnvp.Squeeze):
                yield run
                run = []
            elif not isinstance(layer, realnvp.Logit):
                run.append(layer)
        yield run


@pytest.mark.parametrize(("shape", "count"), [(VECTORS, 1), ((3, 4, 4), 1), (IMAGES, 3), (DEEP, 5)])
def test_every_run_of_couplings_transforms_every_value_by_others(shape, count):
    found = list(runs(random_flow(shape)))
    assert len(found) == count
    for run in found:
        masks = [layer.mask for layer in run if isinstance(layer, realnvp.Coupling)]
        assert len(masks) == 2
        assert torch.equal(masks[0] + masks[1], torch.ones_like(masks[0]))
        inner = tuple(masks[0].shape)
        slopes = jacobian(realnvp.Composition(run), torch.randn(inner, dtype=torch.double, generator=seeded("x")))
        assert ((slopes != 0).sum(1) > 1).all()


def test_half_of_the_channels_is_done_after_each_squeeze():
    flow, x = random_flow(IMAGES), points(IMAGES, None)
    before = flow(x)[0]
    for p in flow.scales[1].parameters():
        p.add_(0.1)
    after = flow(x)[0]
    assert torch.equal(before[:, :32], after[:, :32])
    assert (before[:, 32:] != after[:, 32:]).all()
    assert random_flow(DEEP).shapes == [(2, 8, 8), (4, 4, 4), (4, 4, 4)]


def test_gradients_reach_every_parameter():
    flow = random_flow(IMAGES, 17).requires_grad_(True)
    flow.loss(points(IMAGES, 17), seeded("unused")).backward()
    for name, p in flow.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().sum() > 0, name


def test_dropout_is_in_every_coupling_and_rests_at_evaluation():
    flow = realnvp.RealNVP(IMAGES, depth=1, hidden=8, dropout=0.5)
    for run in runs(flow):
        coupling = run[1]
        torch.nn.init.normal_(coupling.network[-1].weight, generator=seeded("w"))
        kept = torch.ones(1, *coupling.mask.shape)
        assert not torch.equal(coupling.network(kept), coupling.network(kept))
        coupling.eval()
        assert torch.equal(coupling.network(kept), coupling.network(kept))


@CASES
def test_inverse_undoes_forward(shape, levels):
    flow, x = random_flow(shape, levels), points(shape, levels)
    z, _ = flow(x)
    torch.testing.assert_close(flow.inverse(z), x, rtol=1e-9, atol=1e-9)
    assert float(flow.round_trip_error(x).max()) < 1e-9 * max(1.0, float(x.abs().max()))


@pytest.mark.parametrize("shape", [IMAGES, VECTORS, DEEP])  # a logit saturates for noise this far out
def test_forward_undoes_inverse(shape):
    flow = random_flow(shape)
    z = torch.randn(4, math.prod(shape), dtype=torch.double, generator=seeded("z"))
    torch.testing.assert_close(flow(flow.inverse(z))[0], z, rtol=1e-8, atol=1e-8)


@CASES
def test_logdet_is_that_of_autograds_jacobian(shape, levels):
    flow = random_flow(shape, levels)
    for x in points(shape, levels, n=2):
        logdet = torch.linalg.slogdet(jacobian(flow, x)).logabsdet
        torch.testing.assert_close(flow(x[None])[1][0], logdet, rtol=1e-8, atol=1e-8)


def grid(start: float, end: float, cells: int) -> tuple[torch.Tensor, float]:
    """Midpoints of the cells of a square, and the area of one."""
    step = (end - start) / cells
    axis = start + step * (torch.arange(cells, dtype=torch.double) + 0.5)
    return torch.cartesian_prod(axis, axis), step**2


def test_density_in_the_plane_integrates_to_one_and_is_that_of_the_samples():
    flow = random_flow((2,))
    x, area = grid(-12.0, 12.0, 600)
    p = flow.log_prob(x).exp() * area
    assert float(p.sum()) == pytest.approx(1, abs=1e-4)
    edges = torch.tensor([-1.6, -0.8, 0.0, 0.8, 1.6])  # ends of grid cells: 36 boxes, the outer ones without end

    def box(points):
        first, second = torch.bucketize(points.contiguous(), edges, right=True).unbind(1)
        return 6 * first + second

    drawn = flow.float().sample(20_000, seeded("samples"))
    probabilities = torch.zeros(36, dtype=torch.double).index_add(0, box(x.float()), p)
    assert_frequencies(torch.bincount(box(drawn), minlength=36), probabilities)


def test_density_of_dequantised_integers_integrates_to_one_and_is_that_of_the_samples():
    levels, alpha = 3, 0.05
    margin = levels * alpha / (1 - 2 * alpha)  # logit(alpha + (1 - 2 alpha) x / L) is finite on (-margin, L + margin)
    flow = random_flow((2,), levels)
    x, area = grid(-margin, levels + margin, 600)  # 180 cells from one integer to the next
    p = flow.log_prob(x).exp() * area
    assert float(p.sum()) == pytest.approx(1, abs=1e-3)
    first, second = x.floor().clamp(0, levels - 1).long().unbind(1)  # what lies beyond an edge goes to its level
    probabilities = torch.zeros(levels**2, dtype=torch.double).index_add(0, levels * first + second, p)
    drawn = Dequantised(flow.float(), levels).sample(20_000, seeded("samples"))
    assert_drawn(drawn, (probabilities / p.sum()).log(), Space((2,), levels))


@pytest.mark.parametrize("shape", [(2,), IMAGES])
def test_samples_are_the_inverse_of_gaussian_noise(shape):
    flow = random_flow(shape).float()
    z, _ = flow(flow.sample(20_000 // math.prod(shape), seeded("samples")))
    assert_standard_normal(z)


def test_density_does_not_depend_on_the_batch():
    flow = random_flow(IMAGES).float()
    x = points(IMAGES, None, n=5).float()
    alone = torch.cat([flow.log_prob(one[None]) for one in x])
    torch.testing.assert_close(flow.log_prob(x), alone, rtol=1e-5, atol=1e-4)  # sums of 64 terms in another order


def test_integers_are_dequantised_and_real_numbers_are_not():
    integers = realnvp.build(Space(IMAGES, levels=17), depth=1, hidden=4)
    assert isinstance(integers, Dequantised)
    x = integers.sample(50, seeded("samples"))
    assert x.dtype == torch.int64
    assert 0 <= int(x.min()) <= int(x.max()) <= 16
    assert isinstance(realnvp.build(Space(VECTORS), depth=1, hidden=4), realnvp.RealNVP)


def test_the_variational_baseline_is_the_same_flow_with_learned_noise():
    options = catalog.options_of("realnvp")
    assert catalog.options_of("variational-realnvp") == {**options, "dequantisation": "variational"}
    model = variational_realnvp.build(Space(IMAGES, levels=17), depth=1, hidden=4, noise_hidden=3)
    assert isinstance(model, VariationallyDequantised)
    flow = realnvp.build(Space(IMAGES, levels=17), depth=1, hidden=4).density
    assert model.density.state_dict().keys() == flow.state_dict().keys()


@pytest.mark.parametrize("shape", [(1,), (4, 4)])
def test_spaces_it_cannot_split_are_refused(shape):
    with pytest.raises(ValueError, match=r"it takes images|needs at least two"):
        realnvp.build(Space(shape))
