"""What every autoregressive model of images keeps: its order, its sum, its sampler, its completions.

`test_gated_pixelcnn.py` and `test_transformer.py` test the two oldest by themselves.
"""

import importlib.util
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from draws import assert_drawn, every
from genbench.baselines.autoregressive import (
    diagonal_bilstm,
    image_transformer,
    lstm,
    made,
    pixelcnn,
    pixelcnn_pp,
    rnn,
    row_lstm,
)
from genbench.models.sampling import seeded
from genbench.space import Space

spec = importlib.util.spec_from_file_location("fields", Path(__file__).with_name("fields.py"))
fields = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fields)

GREY, COLOUR = Space((1, 4, 5), levels=3), Space((3, 3, 4), levels=5)
SMALL = {
    "rnn": (rnn, {"width": 12, "embedding": 5}),
    "lstm": (lstm, {"width": 12, "embedding": 5, "layers": 2}),
    "lstm-columns": (lstm, {"width": 12, "embedding": 5, "order": "columns"}),
    "lstm-snake": (lstm, {"width": 12, "embedding": 5, "order": "snake"}),
    "made": (made, {"width": 40, "depth": 2, "orders": 1}),
    "made, direct": (made, {"width": 20, "depth": 1, "orders": 1, "direct": True}),
    "pixelcnn": (pixelcnn, {"width": 12, "depth": 3, "first": 5}),
    "pixelcnn-pp": (pixelcnn_pp, {"width": 6, "depth": 1, "components": 3}),
    "row-lstm": (row_lstm, {"width": 6, "depth": 2, "first": 5}),
    "diagonal-bilstm": (diagonal_bilstm, {"width": 6, "depth": 2, "first": 3}),
    "image-transformer": (image_transformer, {"width": 12, "layers": 2, "heads": 2, "hidden": 16, "window": 7}),
    "image-transformer-2d": (
        image_transformer,
        {"width": 12, "layers": 2, "heads": 2, "hidden": 16, "near": "2d", "rows": 1, "columns": 1},
    ),
}
MANY = {
    **SMALL,
    "made-orders": (made, {"width": 40, "depth": 2, "orders": 3, "one_hot": True}),
    "conditional-image-transformer": (image_transformer, {**SMALL["image-transformer"][1], "classes": 3}),
}


def network(name, space):
    """A random network whose conditionals are far from uniform, and from each other."""
    module, options = MANY[name]
    torch.manual_seed(1)
    net = module.build(space, **options)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return net.eval().requires_grad_(False)


def exact(net):
    """The network in float64."""
    if hasattr(net, "embed"):
        embed = net.embed
        net.embed = lambda x: embed(x).double()
    return net.double()


def conditionals(net, x):
    """log p of every value given those before it: [B, C, H, W]."""
    if hasattr(net, "log_conditionals"):
        return net.log_conditionals(x)
    logits = net.logits(x, 0).log_softmax(1)  # MADE in its first order, that of the values as they come
    return logits.gather(1, x.flatten(1)[:, None])[:, 0].view(x.shape)


def reading_order(net, space):
    """The place of every value in the order in which a model reads them: [D]."""
    if isinstance(net, rnn.Recurrent):
        return net.order.argsort()
    if isinstance(net, made.MADE):
        return torch.arange(space.dim)
    C, H, W = space.shape
    return torch.arange(space.dim).view(H, W, C).permute(2, 0, 1).flatten()  # raster, channels last


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("space", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_conditional_changes_with_what_stands_before_it_and_with_nothing_else(name, space):
    net = exact(network(name, space))
    place = reading_order(net, space)
    x = torch.randint(space.levels, (8, *space.shape), generator=seeded("x"))
    before = conditionals(net, x).flatten(1)
    seen = torch.zeros(space.dim, space.dim, dtype=torch.bool)  # [changed, its effect]
    for d in range(space.dim):
        for up in range(1, space.levels):
            other = x.flatten(1).clone()
            other[:, d] = (other[:, d] + up) % space.levels
            seen[d] |= (conditionals(net, other.view_as(x)).flatten(1) != before).any(0)
    order = place.argsort()
    seen = seen[order][:, order]
    after = torch.ones_like(seen).triu()
    assert not (seen & ~after).any()  # causality: exact
    if name in ("rnn", "lstm", "lstm-columns", "lstm-snake"):
        assert not (after & ~seen).any()  # nothing of the past is missed


@pytest.mark.parametrize("name", fields.MODELS)
def test_what_a_conditional_has_a_gradient_of_is_its_field_with_its_blind_spot(name):
    """Every filter is 3 x 3 or 3 long. A row up, the right edge moves by one column: by the corner of a filter, or by
    one state of a Row LSTM. On its left a Row LSTM of one layer begins with two pixels: its filter reads one feature
    to the left, which has read one pixel more.
    """
    size, (i, j) = (5, 9), (4, 4)
    row, column = torch.arange(5)[:, None], torch.arange(9)[None]
    past = (row < i) | ((row == i) & (column < j))
    wedge = column - j > i - row
    expected = {
        "PixelCNN": past & ~wedge,
        "Gated PixelCNN": past,
        "Row LSTM": past & ~wedge & (j - column <= i - row + 2),
        # The first filter of a pixel does not see the pixel, and to the right of the last one nobody else does.
        "Diagonal BiLSTM": past & ~((row == i - 1) & (column == 8)),
    }
    assert torch.equal(fields.field(name, size, (i, j)), expected[name])


@pytest.mark.parametrize("name", MANY)
def test_probabilities_of_all_binary_images_sum_to_one(name):
    log_p = network(name, Space((1, 3, 3), levels=2)).log_prob(every(Space((1, 3, 3), levels=2)))
    assert float(log_p.double().exp().sum()) == pytest.approx(1, abs=1e-5)
    assert float(log_p.max() - log_p.min()) > 1  # no uniform distribution, for which this would be trivial


@pytest.mark.parametrize("name", MANY)
@pytest.mark.parametrize("space", [GREY, COLOUR], ids=["grey", "colour"])
def test_samples_from_the_cache_are_the_naive_ones(name, space):
    net = exact(network(name, space))
    cached, naive = net.sample(60, seeded()), net.sample_naive(60, seeded())
    assert torch.equal(cached, naive)
    assert cached.shape == (60, *space.shape)
    assert cached.unique().numel() == space.levels


@pytest.mark.parametrize("name", ["pixelcnn", "row-lstm", "diagonal-bilstm"])
@torch.no_grad()
def test_what_a_pixel_costs_does_not_grow_with_its_position(name):
    """By the operations counted. Where a row begins, an LSTM reads the whole row above: each row costs the same."""
    space = Space((1, 6, 7), levels=3)
    net = network(name, space)
    cache = pixelcnn.Cache(net, 2) if name == "pixelcnn" else net.cache(2)
    x, cost = torch.zeros(2, *space.shape, dtype=torch.int64), torch.zeros(6, 7)
    for i in range(6):
        for j in range(7):
            with FlopCounterMode(display=False) as counter:
                cache.logits_at(x, i, j, 0)
            cost[i, j] = counter.get_total_flops()
    assert (cost > 0).all()
    assert len(cost[:, 1:].unique()) == 1
    assert len(cost[1:, 0].unique()) == 1
    if name == "pixelcnn":
        assert len(cost.unique()) == 1
        with FlopCounterMode(display=False) as counter:
            net.logits(x)
        assert 42 * cost[0, 0] == counter.get_total_flops()  # all pixels together: one pass


@pytest.mark.parametrize("name", MANY)
@pytest.mark.parametrize("space", [Space((1, 2, 2), levels=3), Space((2, 1, 2), levels=2)], ids=["grey", "colour"])
def test_the_sampler_draws_from_what_is_scored(name, space):
    net = network(name, space)
    assert_drawn(net.sample(4000, seeded("draws")), net.log_prob(every(space)), space)


@pytest.mark.parametrize("name", SMALL)
def test_a_completion_keeps_what_is_given_and_draws_the_rest_from_its_conditional(name):
    space = Space((1, 2, 2), levels=3)
    net = network(name, space)
    first = reading_order(net, space) < 2
    x, mask = torch.tensor([[[[2, 1], [0, 2]]]]).expand(3000, -1, -1, -1), first.view(space.shape).long()
    drawn = net.complete(x, mask, seeded("draws"))
    assert torch.equal(drawn[:, mask.bool()], x[:, mask.bool()])
    states = every(space)
    agree = (states[:, mask.bool()] == x[0][mask.bool()]).all(1)
    log_p = torch.where(agree, net.log_prob(states), torch.tensor(-torch.inf))
    assert_drawn(drawn, log_p - torch.logsumexp(log_p, 0), space)


@pytest.mark.parametrize("name", SMALL)
def test_log_prob_is_the_sum_of_its_conditionals_and_gradients_reach_every_parameter(name):
    net = network(name, GREY)
    x = torch.randint(3, (12, *GREY.shape), generator=seeded("x"))
    torch.testing.assert_close(net.log_prob(x), net.log_conditionals(x).flatten(1).sum(1))
    net.requires_grad_(True).loss(x, seeded()).backward()
    for parameter, p in net.named_parameters():
        assert p.grad is not None, parameter
        assert p.grad.abs().sum() > 0, parameter


# --- Each by itself


@pytest.mark.parametrize(
    ("name", "bad"),
    [("pixelcnn", {"kernel": 2}), ("pixelcnn-pp", {"depth": 0}), ("row-lstm", {"first": 1}), ("made", {"depth": 0})],
)
def test_options_that_make_no_model_are_refused(name, bad):
    module, options = MANY[name]
    with pytest.raises(ValueError, match="must be"):
        module.build(GREY, **{**options, **bad})
    with pytest.raises(ValueError, match="integer"):
        module.build(Space((1, 4, 4)), **options)


def test_orders_of_reading():
    space = Space((1, 2, 3), levels=2)
    assert rnn.reading(space, "raster").tolist() == [0, 1, 2, 3, 4, 5]
    assert rnn.reading(space, "columns").tolist() == [0, 3, 1, 4, 2, 5]
    assert rnn.reading(space, "snake").tolist() == [0, 1, 2, 5, 4, 3]
    assert rnn.reading(Space((4,), levels=2), "snake").tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="no order"):
        rnn.reading(space, "spiral")


def test_masks_of_made_let_each_output_see_what_comes_before_it_in_every_order():
    """The product of the masks counts the ways from an input to an output (Germain et al., section 3)."""
    net = made.build(Space((6,), levels=2), width=50, depth=3, orders=5)
    assert len({tuple(order.tolist()) for order in net.order}) == 5
    for k in range(5):
        step, ways = net.steps(k), torch.eye(6)
        *hidden, direct = net.masks(k)
        for mask in hidden:
            ways = mask.float() @ ways
        seen = ways.unflatten(0, (6, 1)).sum(1) > 0  # [output value, input value]
        assert torch.equal(seen, step[:, None] > step[None])
        assert torch.equal(direct, seen)


@pytest.mark.parametrize(
    "options", [{}, {"one_hot": True}, {"direct": True}, {"one_hot": True, "direct": True}], ids=" ".join
)
def test_the_jacobian_of_made_is_zero_where_a_value_does_not_come_before(options):
    net = made.build(Space((6,), levels=3), width=50, depth=2, orders=4, **options).eval()
    net.embed = lambda x: x
    with torch.no_grad():
        for p in net.parameters():  # the direct ones begin at zero
            p.add_(0.1 * torch.randn_like(p))
    x = torch.randn(64, 6 * net.each, generator=seeded("x")).requires_grad_(True)
    for k in range(4):
        seen = torch.zeros(6, 6)  # [output value, input value]
        for d in range(6):
            (gradient,) = torch.autograd.grad(net.logits(x, k)[:, :, d].square().sum(), x)
            seen[d] = gradient.abs().sum(0).view(6, -1).sum(1)
        before = net.steps(k)[:, None] > net.steps(k)[None]
        assert (seen[~before] == 0).all()
        assert (seen[before] > 0).all()


def test_made_computes_no_hidden_unit_twice():
    net = made.build(Space((7,), levels=3), width=30, depth=2, orders=2).eval()
    assert ((net.degree >= 1) & (net.degree <= 6)).all()
    assert (net.degree[:, 1:].amin(2) >= net.degree[:, :-1].amin(2)).all()


def test_the_bias_of_the_forget_gate_starts_at_one():
    net = lstm.build(Space((4,), levels=2), width=3, embedding=2)
    bias = net.states.bias_ih_l0 + net.states.bias_hh_l0
    assert bias.tolist() == [0.0] * 3 + [1.0] * 3 + [0.0] * 6


def test_skewing_moves_each_row_by_its_number():
    x = torch.arange(6.0).view(1, 1, 2, 3)
    assert diagonal_bilstm.skewed(x)[0, 0].tolist() == [[0, 1, 2, 0], [0, 3, 4, 5]]
    assert torch.equal(diagonal_bilstm.unskewed(diagonal_bilstm.skewed(x), 3), x)


def test_a_tall_image_is_skewed_too():
    x = torch.randn(2, 3, 5, 2, generator=seeded())
    assert torch.equal(diagonal_bilstm.unskewed(diagonal_bilstm.skewed(x), 2), x)


@pytest.mark.parametrize("near", ["1d", "2d"])
@pytest.mark.parametrize("layers", [1, 2])
def test_what_a_value_sees_is_its_neighbourhood_as_often_as_there_are_layers(near, layers):
    """Of inputs: that of a step is the value before it."""
    space = Space((1, 5, 6), levels=2)
    options = {"width": 8, "heads": 2, "hidden": 12, "window": 4, "rows": 1, "columns": 1, "near": near}
    torch.manual_seed(0)
    net = image_transformer.build(space, layers=layers, **options).double().eval()
    x = torch.randint(2, (16, *space.shape), generator=seeded("x"))
    seen = torch.zeros(30, 30, dtype=torch.bool)  # [step, value]
    before = net.logits(net.sequence(x))
    for d in range(30):
        other = x.flatten(1).clone()
        other[:, d] = 1 - other[:, d]
        seen[:, d] = (net.logits(net.sequence(other.view_as(x))) != before).flatten(2).any(2).any(0)
    reach = torch.matrix_power(net.mask.float(), layers) > 0  # [step, input]
    assert torch.equal(seen[:, :-1], reach[:, 1:])  # input t is value t - 1
    assert not seen[:, -1].any()


def test_neighbourhoods_have_one_size_wherever_they_lie():
    space = Space((3, 9, 9), levels=2)
    line = image_transformer.neighbourhood(space, "1d", 10, 1, 1).sum(1)
    assert line[9:].unique().tolist() == [10]
    block = image_transformer.neighbourhood(space, "2d", 1, 2, 2).sum(1).view(9, 9, 3)
    assert len(block[2:, 2:-2, 0].unique()) == 1
    with pytest.raises(ValueError, match="no neighbourhood"):
        image_transformer.neighbourhood(space, "3d", 1, 1, 1)


def test_a_class_is_told_at_every_step_and_a_completion_draws_it_from_what_is_given():
    space = Space((1, 2, 2), levels=2)
    net = network("conditional-image-transformer", space)
    x, mask = torch.tensor([[[[1, 0], [0, 0]]]]).expand(4000, -1, -1, -1), torch.tensor([[[1, 1], [0, 0]]])
    drawn = net.complete(x, mask, seeded("draws"))
    states = every(space)
    agree = (states[:, 0, 0] == torch.tensor([1, 0])).all(1)
    log_p = torch.where(agree, net.log_prob(states), torch.tensor(-torch.inf))
    assert_drawn(drawn, log_p - torch.logsumexp(log_p, 0), space)
    labels = [torch.full((len(states),), y) for y in range(3)]
    steps = torch.stack([net.log_conditionals(states, y) for y in labels])
    assert (steps.std(0).amax(0) > 1e-3).all()
