"""Lower halves given upper ones: the likeliest against enumeration, draws that keep what they were given."""

import numpy as np
import pytest
import torch

from draws import every
from genbench.baselines.autoregressive import gated_pixelcnn, image_transformer, lstm, pixelcnn
from genbench.baselines.mixtures import multivariate_normal
from genbench.errors import Unavailable
from genbench.models.completing import drawn, most_likely, visible
from genbench.space import Space

SPACE = Space((1, 3, 2), levels=2)
COLOUR = Space((2, 2, 1), levels=3)
SMALL = {"width": 6, "depth": 1, "first": 3}
MODELS = {
    "gated": (gated_pixelcnn, SMALL),
    "gated-classes": (gated_pixelcnn, {**SMALL, "classes": 3}),
    "transformer": (image_transformer, {"width": 8, "layers": 1, "heads": 2, "hidden": 8}),
    "lstm": (lstm, {"width": 8, "embedding": 4}),
    "pixelcnn": (pixelcnn, SMALL),
}


def network(name, space=SPACE, **options):
    module, known = MODELS[name]
    torch.manual_seed(1)
    net = module.build(space, **{**known, **options})
    with torch.no_grad():
        for p in net.parameters():
            p.add_(torch.randn_like(p))
    return net.eval()


@torch.no_grad()
def likeliest(net, space):
    """Of every upper half in the order of `every`: the image with that half that the model finds likeliest."""
    x = every(space)
    log_p, mask = net.log_prob(x).double(), visible(space)
    uppers = x[:, mask == 1]
    best = [max(range(len(x)), key=lambda i: float(log_p[i]) if (uppers[i] == u).all() else -np.inf) for u in uppers]
    return x[best].numpy(), log_p


@pytest.mark.parametrize(
    ("name", "space"), [*((name, SPACE) for name in MODELS), *((name, COLOUR) for name in MODELS if name != "lstm")]
)
def test_a_beam_that_holds_all_continuations_finds_the_likeliest(name, space):
    net = network(name, space)
    expected, _ = likeliest(net, space)
    everything = space.levels ** int((1 - visible(space)).sum())
    found = most_likely(net, every(space).numpy(), beam=everything, most=10**6)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", MODELS)
def test_logits_of_levels_are_those_that_are_scored(name):
    net, x = network(name), every(SPACE)
    labels = [torch.full((len(x),), 1)] if "classes" in name else []
    with torch.no_grad():
        log_p = net.level_logits(x, *labels).log_softmax(1).gather(1, x[:, None])[:, 0]
        torch.testing.assert_close(log_p, net.log_conditionals(x, *labels), atol=1e-5, rtol=0)


def test_without_logits_of_levels_every_level_is_tried():
    net, x = network("gated-classes"), every(SPACE).numpy()
    fast = most_likely(net, x)
    net.level_logits = None
    np.testing.assert_array_equal(most_likely(net, x), fast)


@pytest.mark.parametrize("name", ["gated", "gated-classes"])
def test_a_wider_beam_never_finds_less_than_the_greedy_path(name):
    net, x = network(name), every(SPACE)
    narrow, wide = (torch.tensor(most_likely(net, x.numpy(), beam=width)).long() for width in (1, 3))
    with torch.no_grad():
        gain = net.log_prob(wide) - net.log_prob(narrow)
    assert (gain >= -1e-5).all()


@pytest.mark.parametrize("name", MODELS)
def test_draws_keep_what_they_were_given_and_differ(name):
    net, x = network(name), every(SPACE).numpy().astype(np.uint8)
    found = drawn(net, x, 5, seed=0)
    assert found.shape == (5, *x.shape)
    assert found.dtype == np.uint8
    assert (found[:, :, visible(SPACE) == 1] == x[:, visible(SPACE) == 1]).all()
    assert len(np.unique(found[:, 0].reshape(5, -1), axis=0)) > 1
    np.testing.assert_array_equal(drawn(net, x, 5, seed=0), found)


def test_the_order_in_which_a_model_reads_is_not_guessed():
    """By columns the upper half is not read first, nor is it where all of one channel come before the next one.

    Row by row from the right, the lower half is not read in raster order.
    """
    with pytest.raises(Unavailable, match="raster order"):
        most_likely(network("lstm", COLOUR), every(COLOUR).numpy())
    net = network("lstm", Space((1, 4, 2), levels=2), order="columns")
    with pytest.raises(Unavailable, match="raster order"):
        most_likely(net, np.zeros((2, 1, 4, 2), np.int64))

    class Mirrored(torch.nn.Module):
        space = SPACE

        def log_conditionals(self, x):
            return inner.log_conditionals(x.flip(3)).flip(3)

    inner = network("gated")
    with pytest.raises(Unavailable, match="raster order"):
        most_likely(Mirrored(), np.zeros((2, 1, 3, 2), np.int64))


def test_what_cannot_be_searched_or_completed_is_said():
    with pytest.raises(Unavailable, match="would score 768 images"):
        most_likely(network("gated-classes"), every(SPACE).numpy(), beam=1, most=767)
    with pytest.raises(Unavailable, match="integer images"):
        most_likely(multivariate_normal.build(Space((1, 2, 2))), np.zeros((1, 1, 2, 2)))
    with pytest.raises(Unavailable, match="does not complete images"):
        drawn(Sampler(), np.zeros((1, 1, 2, 2)), 1, 0)


class Sampler:
    space = Space((1, 2, 2), levels=2)


class Forgetful(Sampler):
    def complete(self, x, mask, generator):
        return torch.zeros_like(x)


def test_a_model_that_changes_what_it_was_given_is_not_shown():
    with pytest.raises(Unavailable, match="does not keep what it was given"):
        drawn(Forgetful(), np.ones((1, 1, 2, 2), np.int64), 1, 0)
