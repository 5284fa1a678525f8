"""Gated PixelCNN: masks, gates, normalisation, the cache, classes."""

from pathlib import Path

import pytest
import torch

from draws import assert_drawn, assert_frequencies, every
from genbench import catalog, datasets
from genbench.baselines._layers import normalised
from genbench.baselines.autoregressive import conditional_gated_pixelcnn, gated_pixelcnn
from genbench.baselines.autoregressive.gated_pixelcnn import GatedPixelCNN, gate
from genbench.cli import shipped
from genbench.models.checkpoint import load
from genbench.models.sampling import seeded
from genbench.space import Space

BINARY = Space((1, 3, 3), levels=2)
# (space, classes, one_hot): grey and colour, with and without classes, numbers and one-hot levels.
VARIANTS = [
    (Space((1, 4, 5), levels=3), 0, False),
    (Space((1, 4, 5), levels=3), 4, True),
    (Space((3, 3, 4), levels=5), 0, True),
    (Space((3, 3, 4), levels=5), 4, False),
]
# Spaces that can be enumerated, for the same variants: rows and columns; channels of one pixel; pixels of two channels.
ENUMERABLE = [
    (Space((1, 2, 2), levels=2), 0, False),
    (Space((1, 2, 2), levels=2), 3, False),
    (Space((3, 1, 1), levels=4), 0, True),
    (Space((2, 1, 2), levels=3), 2, True),
    (Space((2, 2, 1), levels=3), 0, False),
]


def network(space: Space, classes: int = 0, one_hot: bool = False, **options) -> GatedPixelCNN:
    """A random network whose conditionals are far from uniform, and from each other."""
    torch.manual_seed(1)
    options = {"width": 9, "depth": 3, "first": 5, **options}
    net = gated_pixelcnn.build(space, one_hot=one_hot, classes=classes, **options)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return net.eval().requires_grad_(False)


def test_the_gate_is_equation_2():
    a, b = torch.randn(2, 3, 4, 2, 2, generator=seeded("a"))
    torch.testing.assert_close(gate(torch.cat([a, b], dim=1)), torch.tanh(a) / (1 + torch.exp(-b)))


@pytest.mark.parametrize(("space", "classes", "one_hot"), VARIANTS)
def test_gradients_reach_every_parameter(space, classes, one_hot):
    net = network(space, classes, one_hot).requires_grad_(True)
    x = torch.randint(space.levels, (12, *space.shape), generator=seeded("x"))
    net.loss(x, seeded("unused"), torch.arange(12) % classes if classes else None).backward()
    for name, p in net.named_parameters():
        assert p.grad is not None, name
        assert p.grad.abs().sum() > 0, name


def padded() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a layer of 4 features takes on images of 4x5: both stacks with their padding, and the link."""
    shapes = {"vstack": (1, 4, 5, 7), "hstack": (1, 4, 4, 6), "link": (1, 8, 4, 5)}
    v, h, link = (torch.randn(shape, generator=seeded(name)) for name, shape in shapes.items())
    return v, h, link


def test_a_class_is_a_bias_in_the_gates_of_both_stacks():
    net = network(Space((1, 4, 5), levels=3), classes=2, depth=1, width=4)
    (layer,) = net.layers
    v, h, link = padded()
    nobody = torch.tensor([0])
    layer.condition.weight[0] = 0
    for stack, features in ((0, lambda y: layer.rows(v, y)[0]), (1, lambda y: layer.pixels(h, link, y))):
        layer.condition.weight[1] = 0
        layer.condition.weight[1].view(2, 8)[1 - stack] = 1.0  # the other stack's
        assert torch.equal(features(torch.tensor([1])), features(nobody))
        layer.condition.weight[1].view(2, 8)[stack] = 1.0
        assert not torch.equal(features(torch.tensor([1])), features(nobody))


def test_place_tells_both_stacks_of_row_and_column():
    net = network(Space((1, 4, 5), levels=3), width=2)
    for stack, features in ((0, slice(0, 2)), (1, slice(2, 4))):
        place = net.row[features].expand(2, 4, 5) + net.column[features].expand(2, 4, 5)
        torch.testing.assert_close(net.place(stack), place)


@pytest.mark.parametrize("stack", ["vstack", "hstack"])
def test_dropout_is_on_the_gated_features_of_both_stacks(stack):
    net = network(Space((1, 4, 5), levels=3), depth=1, width=4, dropout=0.5)
    v, h, link = padded()
    (layer,) = net.layers

    def features():
        return layer.rows(v, None)[0] if stack == "vstack" else layer.pixels(h, link, None)

    assert torch.equal(features(), features())
    net.train()
    assert not torch.equal(features(), features())


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("one_hot", [False, True])
def test_every_value_sees_all_of_its_past_and_nothing_else(channels, one_hot):
    # 4 columns: the vertical stack grows by one column on each side a layer, so 4 layers see a whole row above.
    space = Space((channels, 4, 4), levels=3)
    net = network(space, one_hot=one_hot, depth=4, width=24)

    def logits(e):
        net.embed = lambda x: e
        return net.logits(torch.zeros(1, *space.shape))[0]  # [L, C, H, W]

    strength = 0
    for seed in range(4):  # one input may shut a ReLU
        e = torch.randn(1, net.inputs, 4, 4, generator=seeded(seed))
        jacobian = torch.autograd.functional.jacobian(logits, e, vectorize=True)  # [L, C, H, W, 1, inputs, H, W]
        strength += jacobian.squeeze(4).abs().sum(0).unflatten(3, (channels, -1)).sum(4)  # [C, H, W, C, H, W]
    raster = strength.permute(1, 2, 0, 4, 5, 3).reshape(space.dim, space.dim)
    past = torch.ones(space.dim, space.dim).tril(-1).bool()
    assert (raster[past] > 0).all()  # no blind spot
    assert (raster[~past] == 0).all()


def test_the_shipped_model_of_colour_sees_red_before_green_before_blue():
    """Of pixel (5, 3) red depends on no channel of it, green on red, blue on both; none on what comes after."""
    net = load(next(Path(p) for p in shipped("patches") if Path(p).stem == "gated-pixelcnn"))
    space, (i, j) = net.space, (5, 3)
    e = normalised(torch.from_numpy(datasets.load("patches").test[:1]).long(), space).requires_grad_()
    net.embed = lambda x: e
    logits = net.logits(torch.zeros(1, *space.shape))[0, :, :, i, j]  # [L, C]
    before = torch.zeros(8, 8).bool()
    before[:i], before[i, :j] = True, True
    for c in range(3):
        direction = torch.randn(256, generator=seeded("direction", c))
        (gradient,) = torch.autograd.grad(direction @ logits[:, c], e, retain_graph=True)
        seen = before.expand(3, 8, 8).clone()
        seen[:c, i, j] = True
        assert (gradient[0][seen] != 0).any()
        assert (gradient[0][~seen] == 0).all()
        assert (gradient[0, :c, i, j] != 0).all()


@pytest.mark.parametrize("classes", [0, 3])
def test_probabilities_of_all_binary_images_sum_to_one(classes):
    x = every(BINARY)
    assert len(x) == 512
    log_p = network(BINARY, classes).log_prob(x)
    # 9 float32 conditionals, each log-softmax right to a few 1e-7: the sum is right to about 1e-5
    assert float(log_p.double().exp().sum()) == pytest.approx(1, abs=1e-5)
    assert float(log_p.max() - log_p.min()) > 1  # no uniform distribution, for which this would be trivial


def test_conditionals_are_those_of_the_joint_distribution():
    net, x = network(BINARY), every(BINARY)
    joint = net.log_prob(x).double().exp().view([2] * 9)
    for d in range(9):
        prefix = joint.sum(dim=tuple(range(d + 1, 9))) if d < 8 else joint  # p(x_0 .. x_d)
        conditional = (prefix / prefix.sum(-1, keepdim=True)).view(-1, 2)
        start = x.view([2] * 9 + [9])[(..., *[0] * (9 - d), slice(None))].reshape(-1, *BINARY.shape)  # the rest is 0
        i, j = divmod(d, 3)
        expected = net.logits(start)[:, :, 0, i, j].softmax(1).double()
        torch.testing.assert_close(conditional, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("space", "classes", "one_hot"), VARIANTS)
def test_cached_samples_equal_naive_ones_bit_for_bit(space, classes, one_hot):
    net = network(space, classes, one_hot)
    cached, naive = net.sample(200, seeded()), net.sample_naive(200, seeded())
    assert torch.equal(cached, naive)
    assert cached.unique().numel() == space.levels


@pytest.mark.parametrize(("space", "classes", "one_hot"), VARIANTS)
def test_log_probabilities_along_the_way_are_those_of_one_pass(space, classes, one_hot):
    net = network(space, classes, one_hot)
    blank, labels = net.blank(50, seeded(), None)
    everywhere = torch.ones_like(blank).bool()
    x, log_p = net.fill(blank, everywhere, labels, seeded())
    # up to 36 conditionals, each right to some 1e-6
    torch.testing.assert_close(log_p, net.log_prob(x, labels), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("space", "classes", "one_hot"), ENUMERABLE)
def test_samples_come_from_the_distribution_that_is_scored(space, classes, one_hot):
    net = network(space, classes, one_hot)
    assert_drawn(net.sample(20_000, seeded()), net.log_prob(every(space)), space)


@pytest.mark.parametrize(("space", "classes", "one_hot"), [v for v in ENUMERABLE if v[1]])
def test_samples_of_a_class_come_from_its_distribution(space, classes, one_hot):
    net, x = network(space, classes, one_hot), every(space)
    for y in range(classes):
        drawn = net.sample(8_000, seeded(y), torch.full((8_000,), y))
        assert_drawn(drawn, net.log_prob(x, torch.full((len(x),), y)), space)


def test_classes_are_drawn_uniformly_where_none_is_asked_for():
    _, labels = network(BINARY, classes=3).blank(20_000, seeded(), None)
    assert_frequencies(torch.bincount(labels), torch.ones(3) / 3)


def test_marginal_is_the_mean_over_classes():
    space = VARIANTS[3][0]
    net = network(space, classes=4)
    x = torch.randint(5, (6, *space.shape), generator=seeded())
    given = torch.stack([net.log_prob(x, torch.full((6,), y)) for y in range(4)]).double()
    torch.testing.assert_close(net.log_prob(x).double(), given.exp().mean(0).log(), rtol=1e-6, atol=1e-4)
    assert (given.std(0) > 0.01).all()


def test_the_loss_is_that_of_the_given_classes():
    net = network(Space((1, 4, 5), levels=3), classes=4)
    x, y = torch.randint(3, (6, 1, 4, 5), generator=seeded("x")), torch.tensor([0, 1, 2, 3, 0, 1])
    each = [net.log_prob(x[i : i + 1], y[i : i + 1]) for i in range(6)]
    torch.testing.assert_close(net.loss(x, seeded("unused"), y), -torch.cat(each).mean())
    assert (net.log_prob(x, y) - net.log_prob(x)).abs().min() > 0.1


def test_given_labels_reach_the_samples():
    net = network(Space((1, 4, 5), levels=3), classes=2)
    each = [net.sample(300, seeded(), torch.full((300,), y)) for y in (0, 1)]
    assert torch.equal(each[0], net.sample_naive(300, seeded(), torch.zeros(300).long()))
    scores = [[net.log_prob(x, torch.full((300,), y)).mean() for y in (0, 1)] for x in each]
    assert scores[0][0] > scores[0][1]  # Gibbs: a class is best on its own samples
    assert scores[1][1] > scores[1][0]


@pytest.mark.parametrize("classes", [0, 3])
def test_completion_of_a_lower_half_is_exact(classes):
    space = Space((1, 2, 2), levels=2)
    net = network(space, classes)
    mask = torch.tensor([[1, 1], [0, 0]]).expand(1, 1, 2, 2)
    x = torch.tensor([[1, 0], [0, 0]]).expand(4000, 1, 2, 2)
    done = net.complete(x, mask, seeded())
    assert torch.equal(done[:, :, 0], x[:, :, 0])
    images = every(space)
    upper = (images[:, 0, 0] == torch.tensor([1, 0])).all(1)
    p = net.log_prob(images[upper]).softmax(0)  # p(lower | upper)
    assert_frequencies(torch.bincount(done[:, 0, 1] @ torch.tensor([2, 1]), minlength=4), p)


def test_the_label_of_a_completion_follows_its_posterior():
    net, images = network(BINARY, classes=3), every(BINARY)
    given = torch.stack([net.log_prob(images, torch.full((512,), y)) for y in range(3)])  # [y, x]
    posterior = given.view(3, 64, 8).logsumexp(2).softmax(0)  # p(y | the upper two rows): 8 lower rows summed out
    best = int(posterior.max(0).values.argmax())
    assert posterior[:, best].max() > 0.5  # far from p(y)
    x = images[8 * best].expand(4000, 1, 3, 3)
    visible = torch.tensor([[1, 1, 1], [1, 1, 1], [0, 1, 1]]).bool().expand_as(x)  # what follows a hidden value is left
    drawn = net.sample_label(x, visible, seeded())
    assert_frequencies(torch.bincount(drawn, minlength=3), posterior[:, best])


def test_visible_values_stand_wherever_they_are():
    space = VARIANTS[2][0]
    net = network(space)
    x = torch.randint(5, (8, *space.shape), generator=seeded(1))
    mask = torch.randint(2, x.shape, generator=seeded(2))
    done = net.complete(x, mask, seeded())
    assert torch.equal(done * mask, x * mask)
    assert torch.equal(net.complete(x, torch.ones_like(x), seeded()), x)


@pytest.mark.parametrize("shape", [(7,), (1, 4, 4)])
def test_other_spaces_are_refused(shape):
    with pytest.raises(ValueError, match="images"):
        gated_pixelcnn.build(Space(shape, levels=None if len(shape) == 3 else 5))


def test_the_conditional_baseline_is_the_same_model_with_classes():
    plain, conditional = catalog.options_of("gated-pixelcnn"), catalog.options_of("conditional-gated-pixelcnn")
    assert conditional == {**plain, "classes": 10}
    assert conditional_gated_pixelcnn.build(BINARY).n_classes == 10
