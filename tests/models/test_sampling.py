"""Blocks and seeds: a sample depends on (seed, block), and on nothing else."""

import numpy as np
import pytest
import torch

from genbench.errors import ModelError
from genbench.models.sampling import derive, draw, seeded
from genbench.space import Space


class Uniform:
    space = Space((2,))

    def sample(self, n, generator):
        return torch.rand(n, 2, generator=generator)


def test_block_i_is_the_model_seeded_by_seed_and_i():
    blocks = [Uniform().sample(4, seeded(7, i)).numpy() for i in range(3)]
    assert np.array_equal(draw(Uniform(), 10, 7, 4), np.concatenate(blocks)[:10])


def test_fewer_samples_are_the_first_of_many():
    assert np.array_equal(draw(Uniform(), 5, 0, 4), draw(Uniform(), 50, 0, 4)[:5])


def test_seeds_are_the_same_in_every_process():
    assert derive(0, "weights", 3) == 1937861562596328552


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (torch.zeros(4, 3), "expected \\[n, 2\\]"),
        (torch.zeros(3, 2), "asked for 4 samples, got 3"),
        (torch.full((4, 2), torch.nan), "NaN"),
        (torch.zeros(4, 2, dtype=torch.int64), "expected real numbers"),
        ([[0.0, 0.0]] * 4, "expected a tensor"),
    ],
)
def test_a_block_that_breaks_the_contract_is_an_error(answer, why):
    model = Uniform()
    model.sample = lambda n, generator: answer
    with pytest.raises(ModelError, match=why):
        draw(model, 4, 0, 4)
