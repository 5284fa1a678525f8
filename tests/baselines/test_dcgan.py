"""DCGAN: shapes, and what batch normalisation must not do in sampling and between data and samples."""

import pytest
import torch
from torch import nn

from genbench.baselines.adversarial.dcgan import build
from genbench.models.sampling import seeded
from genbench.space import Space


def small(space):
    torch.manual_seed(0)
    return build(space, latent=6, width=8, critic_width=8)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 8), (1, 28, 28)])
def test_images_of_any_sides_that_are_multiples_of_four(shape):
    model = small(Space(shape, levels=17))
    x = torch.randint(17, (8, *shape))
    assert model.sample(5, seeded(0)).shape == (5, *shape)
    assert model.critic(model.generate(5, seeded(0))).shape == (5, 1)
    (stage,) = model.stages()
    assert all(torch.isfinite(o.loss(x, seeded(0))) for o in stage.objectives)


@pytest.mark.parametrize("space", [Space((2,)), Space((1, 6, 8), 17), Space((1, 8, 8))])
def test_other_spaces_are_refused(space):
    with pytest.raises(ValueError, match="multiples of 4"):
        build(space)


def test_normalisation_stands_where_the_paper_has_it():
    model = small(Space((1, 8, 8), levels=17))
    convolutions = (nn.Conv2d, nn.ConvTranspose2d)
    for net, without in ((model.generator, -1), (model.critic, 0)):
        layers = [type(m) for m in net if isinstance(m, (*convolutions, nn.BatchNorm2d))]
        followed = [b is nn.BatchNorm2d for a, b in zip(layers, [*layers[1:], None], strict=True) if a in convolutions]
        expected = [True] * len(followed)
        expected[without] = expected[-1] = False  # the critic's score is its last layer
        assert followed == expected


@torch.no_grad()
def test_a_sample_does_not_depend_on_its_block_mates():
    model = small(Space((1, 8, 8), levels=17))
    for i in range(20):
        model.generate(32, seeded(i))  # statistics to run on
    model.eval()
    z = model.sample_prior(5, seeded("z"))
    torch.testing.assert_close(model.decode(z), torch.cat([model.decode(z[i : i + 1]) for i in range(5)]))


def test_data_and_samples_reach_the_critic_in_batches_of_their_own():
    """Otherwise its statistics tell each about the other: the scores of data would hang on the samples."""
    model, seen = small(Space((1, 8, 8), levels=17)), []
    model.critic.register_forward_hook(lambda critic, given, scores: seen.append(len(given[0])))
    model.critic_step(torch.randint(17, (16, 1, 8, 8)), seeded(0))
    assert seen == [16, 16]
