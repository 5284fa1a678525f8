"""Detailed balance: zero where the sampler draws from what is scored, exactly on spaces that can be enumerated."""

import math

import numpy as np
import pytest
import torch

from draws import every
from genbench.errors import Unavailable
from genbench.likelihood.balance import balance, changed
from genbench.metrics import balance as of_samples
from genbench.metrics import balance_data as of_data
from genbench.models.sampling import seeded
from genbench.space import Space


class Table:
    """Any distribution of a small space."""

    def __init__(self, space, log_p):
        self.space, self.log_p = space, log_p - torch.logsumexp(log_p, 0)

    def log_prob(self, x):
        place = self.space.levels ** torch.arange(self.space.dim - 1, -1, -1)
        return self.log_p[(x.flatten(1) * place).sum(1)]

    def draw(self, n, temperature=1.0, seed=0):
        rows = torch.multinomial((self.log_p / temperature).softmax(0), n, True, generator=seeded(seed))
        return every(self.space)[rows].numpy()


def table(space, seed=0, spread=2.0):
    return Table(space, spread * torch.randn(space.levels**space.dim, generator=seeded(seed), dtype=torch.float64))


def z_score(values):
    return values.mean() / (values.std(ddof=1) / math.sqrt(len(values)))


@pytest.mark.parametrize("vocabulary", [False, True], ids=["levels", "words"])
@pytest.mark.parametrize("space", [Space((3,), levels=2), Space((2,), levels=3), Space((2, 1, 1), levels=5)], ids=str)
def test_the_expectation_over_the_model_is_zero_exactly(space, vocabulary):
    """All observations, all places and all changes, each with its probability."""
    model, x = table(space), every(space).numpy()
    p = model.log_p.exp().numpy()
    total, changes = 0.0, range(1, space.levels) if vocabulary else (-1, 1)
    for place in range(space.dim):
        for change in changes:
            n = len(x)
            y = changed(x, np.full(n, place), np.full(n, change), space)
            log_r = (model.log_prob(torch.from_numpy(y)) - model.log_p).numpy()
            total += (p * np.sign(log_r) * np.exp(np.minimum(log_r, 0))).sum() / (space.dim * len(changes))
    assert abs(total) < 1e-15


@pytest.mark.parametrize("vocabulary", [False, True], ids=["levels", "words"])
def test_own_draws_balance_and_sharper_or_flatter_ones_do_not(vocabulary):
    model = table(Space((4,), levels=4))
    own, sharp, flat = (balance(model, model.draw(20_000, t), model.draw(10), 0, vocabulary) for t in (1.0, 0.7, 1.4))
    assert abs(z_score(own)) < 4
    assert z_score(sharp) < -10
    assert z_score(flat) > 10
    assert (np.abs(own) <= 1).all()


def test_channels_that_are_swapped_are_seen():
    space = Space((2, 1, 2), levels=3)
    model = table(space)
    x = model.draw(20_000)
    assert abs(z_score(balance(model, x, x[:10], 0))) < 4
    assert abs(z_score(balance(model, x[:, ::-1].copy(), x[:10], 0))) > 8


def test_a_sampler_that_forgets_what_it_has_drawn_is_seen():
    """The second value from its marginal in place of its conditional, as a cache that loses a row gives it."""
    model = table(Space((2,), levels=4))
    x = model.draw(20_000)
    x[:, 1] = np.random.default_rng(0).permutation(x[:, 1])
    assert abs(z_score(balance(model, x, x[:10], 0))) > 8


class Normal:
    """Correlated normal values; draws may be narrower."""

    space = Space((3,))
    factor = torch.tensor([[1.0, 0, 0], [0.8, 0.5, 0], [100.0, 50.0, 30.0]])

    def log_prob(self, x):
        z = torch.linalg.solve_triangular(self.factor, x.T, upper=False)
        return -0.5 * z.square().sum(0)  # up to a constant, which a ratio does not see

    def draw(self, n, width=1.0):
        return (width * torch.randn(n, 3, generator=seeded(n)) @ self.factor.T).numpy()


def test_on_real_numbers_the_step_follows_the_scale_of_each_value():
    model = Normal()
    own, narrow, wide = (balance(model, model.draw(20_000, w), model.draw(500), 0) for w in (1.0, 0.8, 1.25))
    assert abs(z_score(own)) < 4
    assert z_score(narrow) < -10
    assert z_score(wide) > 10
    assert 0.35 < np.abs(own).mean() < 0.75


def test_what_two_draws_and_a_limit_make_impossible_counts_as_equal():
    class Half(Table):
        def log_prob(self, x):
            return torch.where(x.flatten(1)[:, 0] == 0, 0.0, -torch.inf)

    model = Half(Space((2,), levels=2), torch.zeros(4))
    values = balance(model, np.array([[0, 0], [0, 1], [1, 0]] * 50), np.zeros((5, 2), np.int64), 0)
    assert set(values.tolist()) <= {-0.0, 0.0, 1.0}


def test_a_model_without_log_prob_has_no_balance():
    class Sampler:
        space = Space((2,), levels=2)

    with pytest.raises(Unavailable, match="log_prob"):
        balance(Sampler(), np.zeros((3, 2), np.int64), np.zeros((3, 2), np.int64), 0)


@pytest.mark.parametrize(
    ("metric", "name"), [(of_samples.compute, "balance"), (lambda x: of_data.compute(x, None), "balance_data")]
)
def test_the_metric_is_the_mean_with_an_interval(metric, name):
    values = np.random.default_rng(0).uniform(-1, 1, 400)
    found = metric(values)[name]
    assert found.value == pytest.approx(values.mean())
    assert found.stderr == pytest.approx(values.std(ddof=1) / 20)
    assert found.details["mean_acceptance"] == pytest.approx(np.abs(values).mean())
    with pytest.raises(ValueError, match="expected numbers in"):
        metric(np.array([0.0, 2.0]))
