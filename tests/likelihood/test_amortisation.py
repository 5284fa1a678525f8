"""The amortisation gap where it is known: linear Gaussian decoders, whose best q has a closed form."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from genbench import evaluate
from genbench.errors import ModelError, Unavailable
from genbench.likelihood.amortisation import amortisation
from genbench.metrics import amortisation as metric
from genbench.space import Space

W = torch.tensor([[1.0, 0.8], [0.0, 0.9], [0.5, 0.0]])  # its latents are correlated given x
SD = 0.7


class Linear(torch.nn.Module):
    """x | z ~ N(A z, SD^2 I), z ~ N(0, I)."""

    def __init__(self, A: torch.Tensor) -> None:
        super().__init__()
        self.A, self.space = A, Space((len(A),))

    def log_likelihood(self, x, z):
        return Normal(z @ self.A.T, SD).log_prob(x).sum(1)

    @property
    def precision(self) -> torch.Tensor:
        """Of p(z | x), whatever x is."""
        return torch.eye(self.A.shape[1]) + self.A.T @ self.A / SD**2

    def log_prob(self, x: torch.Tensor) -> np.ndarray:
        covariance = self.A @ self.A.T + SD**2 * torch.eye(len(self.A))
        return MultivariateNormal(torch.zeros(len(self.A)), covariance).log_prob(x).numpy()


def points(model: Linear, n: int = 12) -> torch.Tensor:
    return 1.5 * torch.randn(n, *model.space.shape, generator=torch.Generator().manual_seed(3))


def bounds(model: Linear, x: torch.Tensor, off: float, stretch: float, seed: int = 0, size: int = 5):
    """From the best q with independent units, moved and stretched. That q has the posterior's mean, and of each unit
    its precision given the others (Bishop 2006, section 10.1.2)."""
    mean = torch.linalg.solve(model.precision, model.A.T @ x.T / SD**2).T + off
    log_sd = -0.5 * model.precision.diagonal().log().repeat(len(x), 1) + math.log(stretch)
    return amortisation(model, x.numpy(), mean.numpy(), log_sd.numpy(), seed, size)


def loss_of_independence(model: Linear) -> float:
    """KL(best q || posterior): half the log-determinant of the posterior's precision with its rows scaled to 1."""
    return 0.5 * float(model.precision.diagonal().log().sum() - torch.logdet(model.precision))


def test_the_search_finds_the_best_q_and_the_gap_is_what_the_encoder_was_off():
    model, off, stretch = Linear(W), 0.4, 1.5
    x, d = points(model), 2
    found = bounds(model, x, off, stretch)
    # KL(q || posterior) is a square plus the loss of independence plus, of each unit, (s^2 - 1) / 2 - log s.
    expected = 0.5 * off**2 * float(model.precision.sum()) + d * ((stretch**2 - 1) / 2 - math.log(stretch))
    gap = found["search"] - found["encoder"]
    error = gap.std(ddof=1) / math.sqrt(len(gap))  # of 200 draws for each of twelve examples
    assert gap.mean() == pytest.approx(expected, abs=4 * error)
    assert gap.mean() > 5 * error
    best = model.log_prob(x) - loss_of_independence(model)
    rest = best - found["search"]
    assert rest.mean() == pytest.approx(0, abs=4 * rest.std(ddof=1) / math.sqrt(len(rest)) + 0.01)


def test_with_independent_units_and_the_true_posterior_there_is_no_gap():
    model = Linear(torch.eye(2))
    found = bounds(model, points(model), off=0.0, stretch=1.0)
    assert loss_of_independence(model) == pytest.approx(0, abs=1e-6)
    assert np.abs(found["search"] - found["encoder"]).max() < 0.02  # by the same draws: what the search moved in vain
    assert (found["search"] - found["encoder"]).mean() < 0.002


def test_an_example_does_not_depend_on_the_blocks_before_it_nor_on_its_mates():
    model = Linear(W)
    x = points(model)
    whole, again = bounds(model, x, 0.3, 1.2), bounds(model, x, 0.3, 1.2)
    first = bounds(model, x[:5], 0.3, 1.2)
    for name in ("encoder", "search"):
        assert np.array_equal(whole[name], again[name])
        assert np.array_equal(first[name], whole[name][:5])
    changed = x.clone()
    changed[0] += 1
    np.testing.assert_allclose(bounds(model, changed, 0.3, 1.2)["search"][1:], whole["search"][1:], rtol=1e-5)
    assert not np.array_equal(bounds(model, x, 0.3, 1.2, seed=1)["search"], whole["search"])


def test_a_likelihood_without_a_gradient_or_of_another_shape_is_refused():
    class Detached(Linear):
        def log_likelihood(self, x, z):
            return super().log_likelihood(x, z).detach()

    class Summed(Linear):
        def log_likelihood(self, x, z):
            return super().log_likelihood(x, z).sum()

    for kind, error in ((Detached, Unavailable), (Summed, ModelError)):
        model = kind(W)
        with pytest.raises(error, match="log_likelihood"):
            bounds(model, points(model), 0.0, 1.0)


def test_the_metric_is_the_mean_of_paired_differences_and_a_lower_bound():
    rng = np.random.default_rng(0)
    hard = 100 * rng.standard_normal(50)  # what both bounds share is no part of the interval
    gain = rng.gamma(2.0, 1.0, 50)
    found = metric.compute({"encoder": -hard, "search": -hard + gain}, None)["amortisation_gap"]
    assert found.value == pytest.approx(gain.mean())
    assert found.stderr == pytest.approx(gain.std(ddof=1) / math.sqrt(50))
    assert found.kind == "lower_bound"
    assert found.details["encoder_nats"] - found.details["search_nats"] == pytest.approx(gain.mean())


def test_a_vae_without_an_encoder_has_less_of_a_gap_than_one_with_an_encoder_that_knows_nothing():
    """And what has no Gaussian posterior says so."""
    from genbench.baselines.latent_variable import non_amortised_vae, vae, vampprior_vae

    def gap(module):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = module.build(Space((1, 8, 8), levels=17), latent=2, hidden=8).eval()
        (record,) = evaluate(model, "digits", metrics=["amortisation-gap"], limit=10)
        return record

    assert gap(vampprior_vae).status == "skipped"
    searched, amortised = gap(non_amortised_vae), gap(vae)
    assert searched.ci95[1] < amortised.value
