"""Gated PixelCNN: masks, normalisation, the cache, classes."""

import itertools
import math

import pytest
import torch

from genbench import catalog
from genbench.baselines.autoregressive import conditional_gated_pixelcnn, gated_pixelcnn
from genbench.baselines.autoregressive.gated_pixelcnn import GatedPixelCNN
from genbench.space import Space

BINARY = Space((1, 3, 3), levels=2)
# (space, classes, one_hot): grey and colour, with and without classes, numbers and one-hot levels.
VARIANTS = [
    (Space((1, 4, 5), levels=3), 0, False),
    (Space((1, 4, 5), levels=3), 4, True),
    (Space((3, 3, 4), levels=5), 0, True),
    (Space((3, 3, 4), levels=5), 4, False),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(space: Space, classes: int = 0, one_hot: bool = False, depth: int = 3, width: int = 9) -> GatedPixelCNN:
    """A random network whose conditionals are far from uniform, and from each other."""
    torch.manual_seed(1)
    net = gated_pixelcnn.build(space, width=width, depth=depth, first=5, one_hot=one_hot, classes=classes)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return net.eval().requires_grad_(False)


def every_image(space: Space) -> torch.Tensor:
    values = torch.tensor(list(itertools.product(range(space.levels), repeat=space.dim)))
    return values.view(-1, *space.shape)


def chi_squared(drawn: torch.Tensor, p: torch.Tensor) -> float:
    counts = torch.bincount(drawn, minlength=len(p))
    expected = len(drawn) * p
    return float(((counts - expected) ** 2 / expected).sum())


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


@pytest.mark.parametrize("classes", [0, 3])
def test_probabilities_of_all_binary_images_sum_to_one(classes):
    x = every_image(BINARY)
    assert len(x) == 512
    log_p = network(BINARY, classes).log_prob(x)
    # 9 float32 conditionals, each log-softmax right to a few 1e-7: the sum is right to about 1e-5
    assert float(log_p.double().exp().sum()) == pytest.approx(1, abs=1e-5)
    assert float(log_p.max() - log_p.min()) > 1  # no uniform distribution, for which this would be trivial


def test_conditionals_are_those_of_the_joint_distribution():
    net, x = network(BINARY), every_image(BINARY)
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


@pytest.mark.parametrize("classes", [0, 3])
def test_samples_come_from_the_distribution_that_is_scored(classes):
    space = Space((1, 2, 2), levels=2)
    net = network(space, classes)
    p = net.log_prob(every_image(space)).exp()
    drawn = net.sample(4000, seeded()).view(-1, 4) @ torch.tensor([8, 4, 2, 1])
    assert chi_squared(drawn, p) < 15 + 6 * math.sqrt(2 * 15)  # mean and six standard deviations, 15 degrees


def test_marginal_is_the_mean_over_classes():
    space = VARIANTS[3][0]
    net = network(space, classes=4)
    x = torch.randint(5, (6, *space.shape), generator=seeded())
    given = torch.stack([net.log_prob(x, torch.full((6,), y)) for y in range(4)]).double()
    torch.testing.assert_close(net.log_prob(x).double(), given.exp().mean(0).log(), rtol=1e-6, atol=1e-4)
    assert (given.std(0) > 0.01).all()


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
    images = every_image(space)
    upper = (images[:, 0, 0] == torch.tensor([1, 0])).all(1)
    p = net.log_prob(images[upper]).softmax(0)  # p(lower given upper)
    assert chi_squared(done[:, 0, 1] @ torch.tensor([2, 1]), p) < 3 + 6 * math.sqrt(2 * 3)


def test_the_label_of_a_completion_follows_its_posterior():
    net, images = network(BINARY, classes=3), every_image(BINARY)
    given = torch.stack([net.log_prob(images, torch.full((512,), y)) for y in range(3)])  # [y, x]
    posterior = given.view(3, 64, 8).logsumexp(2).softmax(0)  # p(y given the upper two rows): 8 lower rows summed out
    best = int(posterior.max(0).values.argmax())
    assert posterior[:, best].max() > 0.5  # far from p(y)
    x = images[8 * best].expand(4000, 1, 3, 3)
    visible = torch.tensor([[1, 1, 1], [1, 1, 1], [0, 1, 1]]).bool().expand_as(x)  # what follows a hidden value is left
    drawn = net.sample_label(x, visible, seeded())
    assert chi_squared(drawn, posterior[:, best]) < 2 + 6 * math.sqrt(2 * 2)


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
