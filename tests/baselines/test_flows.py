"""NICE, MAF, NSF and Glow: inverses, log-determinants against autograd, bases, and densities that are the samples'."""

import math

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, Normal

from draws import assert_frequencies, assert_standard_normal
from genbench.baselines.flows import _bijections, glow, maf, nice, nsf
from genbench.likelihood.dequantised import Dequantised
from genbench.models.sampling import seeded
from genbench.space import Space

IMAGES, COLOUR, PLANE = Space((1, 4, 4), 17), Space((3, 4, 4), 256), Space((2,))
SMALL = {
    "nice": (nice, {"couplings": 3, "hidden": 8, "depth": 1}),
    "maf": (maf, {"maps": 2, "hidden": 8, "depth": 1}),
    "maf, direct": (maf, {"maps": 2, "hidden": 8, "depth": 1, "direct": True}),
    "maf of mixtures": (maf, {"maps": 3, "hidden": 8, "depth": 2, "components": 3}),
    "nsf": (nsf, {"depth": 2, "hidden": 8, "bins": 5}),
    "glow": (glow, {"depth": 2, "scales": 2, "hidden": 8}),
}
IN_THE_PLANE = [name for name in SMALL if name != "glow"]
CASES = [(name, space) for name in SMALL for space in (IMAGES, COLOUR, PLANE) if name in IN_THE_PLANE or space.is_image]


def random_flow(name: str, space: Space, size: float = 0.1) -> _bijections.Flow:
    """Away from the identity: every parameter is moved at random."""
    module, options = SMALL[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = module.build(space, **options).double().eval()
        for p in model.parameters():
            p.data += size * torch.randn_like(p)
    flow = model.density if isinstance(model, Dequantised) else model
    return flow.requires_grad_(False)


def points(space: Space, n: int) -> torch.Tensor:
    if space.levels is None:
        return torch.randn(n, *space.shape, dtype=torch.double, generator=seeded("x"))
    return space.levels * torch.rand(n, *space.shape, dtype=torch.double, generator=seeded("x"))


def jacobian(f: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """df/dx at one x [*shape] -> [D, D]."""

    def flat(v: torch.Tensor) -> torch.Tensor:
        return f(v.view(1, *x.shape))[0].flatten()

    return torch.autograd.functional.jacobian(flat, x.flatten(), vectorize=True)


@pytest.mark.parametrize(("name", "space"), CASES)
def test_inverse_undoes_forward_and_forward_the_inverse(name, space):
    flow, x = random_flow(name, space), points(space, 5)
    z, _ = flow(x)
    torch.testing.assert_close(flow.inverse(z), x, rtol=1e-7, atol=1e-7 * (space.levels or 1))
    torch.testing.assert_close(flow(flow.inverse(z))[0], z, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(("name", "space"), CASES)
def test_logdet_is_that_of_autograds_jacobian(name, space):
    flow = random_flow(name, space)
    for x in points(space, 2):
        slopes = jacobian(flow, x)
        torch.testing.assert_close(flow(x[None])[1][0], torch.linalg.slogdet(slopes).logabsdet, rtol=1e-7, atol=1e-7)
        assert float((slopes != 0).double().mean()) > 0.2  # values do depend on others


@pytest.mark.parametrize("name", IN_THE_PLANE)
def test_density_in_the_plane_integrates_to_one_and_is_that_of_the_samples(name):
    flow = random_flow(name, PLANE, size=0.2)
    step = 0.1
    axis = step * (torch.arange(-250, 250, dtype=torch.double) + 0.5)
    x = torch.cartesian_prod(axis, axis)
    p = flow.log_prob(x).exp() * step**2
    assert float(p.sum()) == pytest.approx(1, abs=2e-3)  # the corners of splines and of ReLUs meet the grid anywhere
    edges = torch.tensor([-1.5, -0.5, 0.0, 0.5, 1.5])  # ends of grid cells: 36 boxes, the outer ones without end

    def box(points: torch.Tensor) -> torch.Tensor:
        first, second = torch.bucketize(points.contiguous(), edges, right=True).unbind(1)
        return 6 * first + second

    drawn = flow.float().sample(10_000, seeded("samples"))
    probabilities = torch.zeros(36, dtype=torch.double).index_add(0, box(x.float()), p)
    assert_frequencies(torch.bincount(box(drawn), minlength=36), probabilities / probabilities.sum())


@pytest.mark.parametrize("name", SMALL)
def test_density_does_not_depend_on_the_batch(name):
    flow = random_flow(name, IMAGES).float()
    x = points(IMAGES, 5).float()
    alone = torch.cat([flow.log_prob(one[None]) for one in x])
    torch.testing.assert_close(flow.log_prob(x), alone, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["nsf", "glow", "maf"])
def test_samples_are_the_inverse_of_gaussian_noise(name):
    flow = random_flow(name, IMAGES).float()
    # A logit saturates for what lies far out, so what comes before it is asked for alone.
    drawn = flow.sample(500, seeded("samples")).clamp(-0.9, 17.9)
    z = flow.double()(drawn.double())[0]
    again = flow.draw_base(500, seeded("samples"))
    assert float((z - again).abs().median()) < 1e-3
    assert_standard_normal(again)


@pytest.mark.parametrize(("name", "space"), CASES)
def test_gradients_reach_every_parameter(name, space):
    flow = random_flow(name, space).requires_grad_(True)
    flow.loss(points(space, 8), seeded("unused")).backward()
    for key, p in flow.named_parameters():
        assert p.grad is not None, key
        assert p.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", ["maf", "nsf", "glow"])
@torch.no_grad()
def test_actnorm_is_set_by_data_before_training_and_by_nothing_afterwards(name):
    module, options = SMALL[name]
    model = module.build(IMAGES, **options)
    x = torch.randint(17, (64, *IMAGES.shape), generator=seeded("x"))
    model.initialise(x, seeded("noise"))
    first = next(layer for layer in model.modules() if isinstance(layer, _bijections.ActNorm))
    seen = []
    hook = first.register_forward_hook(lambda layer, inputs, output: seen.append(output[0]))
    model.density(x + torch.rand(x.shape, generator=seeded("noise")))
    hook.remove()
    channels = seen[0].transpose(0, 1).flatten(1)
    torch.testing.assert_close(channels.mean(1), torch.zeros(len(channels)), atol=1e-4, rtol=0)
    torch.testing.assert_close(channels.std(1, correction=0), torch.ones(len(channels)), atol=1e-4, rtol=0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for mode in (model.train, model.eval):
        mode()
        model.log_weights(torch.zeros_like(x), 2, seeded("other"))
        model.sample(2, seeded("other"))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_an_additive_coupling_preserves_volume_and_changes_half():
    flow = random_flow("nice", PLANE)
    flow.log_scale.zero_()
    x = points(PLANE, 6)
    assert (flow(x)[1] == 0).all()
    assert torch.linalg.det(jacobian(flow, x[0])).abs() == pytest.approx(1, abs=1e-10)


def test_the_base_of_nice_is_logistic_in_the_density_and_in_the_sampler():
    flow = random_flow("nice", PLANE)
    z = torch.linspace(-6, 6, 7, dtype=torch.double)[:, None].expand(-1, 2)
    torch.testing.assert_close(flow.log_base(z), 2 * (torch.sigmoid(z) * torch.sigmoid(-z)).log()[:, 0])
    drawn = flow.draw_base(10_000, seeded("z")).flatten()
    edges = torch.linspace(0.1, 0.9, 9).logit()  # ten intervals of one tenth each
    assert_frequencies(torch.bincount(torch.bucketize(drawn, edges), minlength=10), torch.full((10,), 0.1))


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_masks_let_every_value_see_all_before_it_and_nothing_else(backwards, direct):
    net = maf.MaskedNetwork(5, 2, hidden=64, depth=2, dropout=0.0, backwards=backwards, direct=direct).double()
    for weight in (net.direct.weights,) if direct else (net.last.weights,):
        torch.nn.init.normal_(weight, generator=seeded("w"))
    slopes = torch.zeros(5, 5, dtype=torch.bool)
    for x in torch.randn(20, 5, dtype=torch.double, generator=seeded("x")):
        found = torch.autograd.functional.jacobian(lambda v: net(v[None])[0], x)  # [each, D, D]
        slopes |= (found != 0).any(0)
    expected = torch.ones(5, 5, dtype=torch.bool).tril(-1)
    assert torch.equal(slopes, expected.T if backwards else expected)


@pytest.mark.parametrize(("dim", "hidden"), [(1, 4), (2, 7), (9, 3), (9, 8), (9, 20)])
def test_hidden_units_are_spread_over_all_values_however_few_they_are(dim, hidden):
    """Units that see the first values alone leave the later conditionals blind to all others."""
    net = maf.MaskedNetwork(dim, 2, hidden=hidden, depth=1, dropout=0.0, backwards=False)
    degrees = (net.layers[0].weight != 0).sum(1)
    assert (degrees.diff() >= 0).all()
    assert (degrees[0], degrees[-1] <= max(1, dim - 1)) == (1, True)
    steps = torch.cat([degrees, torch.tensor([max(1, dim - 1)])]).diff()
    assert steps.max() <= -(-max(1, dim - 1) // hidden)  # no gap wider than a fair share


def test_the_base_of_maf_is_a_mixture_in_every_conditional():
    flow = random_flow("maf of mixtures", PLANE)
    z = points(PLANE, 4)
    log_w, mean, log_sd = (part.movedim(1, -1) for part in flow.conditionals(z))  # [B, D, C]
    expected = MixtureSameFamily(Categorical(logits=log_w), Normal(mean, log_sd.exp())).log_prob(z).sum(1)
    torch.testing.assert_close(flow.log_base(z), expected)


class TestSpline:
    def spline(self, n: int, bins: int = 5, size: float = 1.0) -> nsf.Spline:
        parameters = size * torch.randn(1, 3 * bins - 1, dtype=torch.double, generator=seeded("p"))
        return nsf.Spline(parameters.expand(n, -1), bound=3.0)

    def test_it_passes_its_knots_with_its_slopes(self):
        spline = self.spline(6)
        y, log_slope = spline.forward(spline.x.diagonal())
        torch.testing.assert_close(y, spline.y.diagonal())
        torch.testing.assert_close(log_slope, spline.slopes.diagonal().log())

    def test_it_is_monotonic_and_its_slope_is_autograds(self):
        x = torch.linspace(-4, 4, 401, dtype=torch.double, requires_grad=True)
        y, log_slope = self.spline(401).forward(x)
        assert (y.diff() > 0).all()
        (slope,) = torch.autograd.grad(y.sum(), x)
        torch.testing.assert_close(log_slope, slope.log())

    def test_tails_are_the_identity_and_meet_the_spline_with_slope_one(self):
        edge = 3.0 - 1e-9
        x = torch.tensor([-100.0, -3.0, -edge, edge, 3.0, 50.0], dtype=torch.double)
        y, log_slope = self.spline(6).forward(x)
        torch.testing.assert_close(y, x, atol=1e-7, rtol=0)
        torch.testing.assert_close(log_slope, torch.zeros_like(x), atol=1e-6, rtol=0)

    def test_extreme_parameters_can_still_be_inverted(self):
        spline = self.spline(1001, size=20.0)
        x = torch.linspace(-3.5, 3.5, 1001, dtype=torch.double)
        torch.testing.assert_close(spline.inverse(spline.forward(x)[0]), x, atol=1e-6, rtol=0)

    def test_zeros_are_the_identity(self):
        x = torch.linspace(-4, 4, 9, dtype=torch.double)
        y, log_slope = nsf.Spline(torch.zeros(9, 11, dtype=torch.double), bound=3.0).forward(x)
        torch.testing.assert_close(y, x)
        torch.testing.assert_close(log_slope, torch.zeros_like(x), atol=1e-12, rtol=0)


def test_mixing_is_a_matrix_whose_determinant_it_knows_and_starts_at_a_rotation():
    mixing = glow.Mixing(6).double()
    start = jacobian(mixing, torch.zeros(6, 1, 1, dtype=torch.double))
    torch.testing.assert_close(start @ start.T, torch.eye(6, dtype=torch.double), atol=1e-5, rtol=0)
    for p in mixing.parameters():
        torch.nn.init.normal_(p, std=0.5, generator=seeded("w"))
    matrix = jacobian(mixing, torch.zeros(6, 1, 1, dtype=torch.double)).detach()
    x = torch.randn(3, 6, 2, 5, dtype=torch.double, generator=seeded("x"))
    y, logdet = mixing(x)
    torch.testing.assert_close(y, torch.einsum("ij,bjhw->bihw", matrix, x))
    torch.testing.assert_close(logdet, 10 * torch.linalg.slogdet(matrix).logabsdet.expand(3))


def test_half_of_the_channels_is_done_after_each_scale_but_the_last():
    flow = random_flow("glow", Space((1, 8, 8), 17))
    assert flow.shapes == [(2, 4, 4), (8, 2, 2)]
    assert sum(math.prod(shape) for shape in flow.shapes) == 64


@pytest.mark.parametrize(
    ("module", "space"),
    [(nice, Space((1,))), (nsf, Space((1,))), (nsf, Space((4, 4))), (glow, PLANE), (glow, Space((1, 6, 8), 17))],
)
def test_spaces_that_cannot_be_modelled_are_refused(module, space):
    with pytest.raises(ValueError, match=r"needs at least two|it takes images|cannot be halved"):
        module.build(space)
