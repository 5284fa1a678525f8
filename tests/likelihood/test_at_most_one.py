"""No probability of integers exceeds 1: to say so is an error where the value is exact, else a warning."""

import math

import numpy as np
import pytest
import torch

from genbench.errors import ModelError
from genbench.likelihood import log_likelihood
from genbench.likelihood.ais import Settings, ais
from genbench.likelihood.bayes import class_log_likelihoods
from genbench.likelihood.bdmc import bdmc
from genbench.likelihood.probability_flow import probability_flow
from genbench.space import Space

INTEGERS, REALS = Space((4,), levels=3), Space((4,))
N = 30


class Says:
    """A model of which every number is known: `nats` for the examples whose first value is 0, less for the others.

    Arguments:
        does: the methods that it shows.
    """

    def __init__(self, nats, does, space=INTEGERS, other=None):
        self.nats, self.other, self.space = nats, nats if other is None else other, space
        for name in does.split():
            setattr(self, name, getattr(self, f"_{name}"))
        if does == "log_prior log_likelihood":
            self.latent_space = Space((1,), levels=2)

    n_classes = 2

    def of(self, x):
        return torch.where(x[:, 0] == 0, self.nats, self.other).double()

    def _log_prob(self, x, labels=None):
        return self.of(x)

    def _elbo(self, x, generator):
        return self.of(x)

    def _log_weights(self, x, k, generator):
        return self.of(x).expand(k, -1)

    def _log_prior(self, z):
        return torch.full((len(z),), -math.log(2)) + 0 * z.flatten(1).sum(1)

    def _log_likelihood(self, x, z):
        return self.of(x) + 0 * z.flatten(1).sum(1)

    def _sample_prior(self, n, generator):
        return torch.randn(n, 1, generator=generator)

    def _observe(self, z, generator):
        return torch.zeros(len(z), *self.space.shape, dtype=torch.int64)


def examples(space=INTEGERS):
    """Half of them begin with a 0."""
    x = np.random.default_rng(0).integers(3, size=(N, 4))
    x[:, 0] = np.arange(N) % 2
    return x.astype(space.dtype)


def likelihood(model, x=None):
    return log_likelihood(model, examples(model.space) if x is None else x, k=20, seed=0, block_size=7)


def under_classes(model, x=None):
    return class_log_likelihoods(model, examples(model.space) if x is None else x)


EXACT = {
    "log_prob": lambda model, x=None: likelihood(model, x).values,
    "log_prior log_likelihood": lambda model, x=None: likelihood(model, x).values,  # summed over codes
    "log_prob of a class": lambda model, x=None: class_log_likelihoods(
        model, examples(model.space) if x is None else x
    ),
}
BOUNDS = {
    "elbo": likelihood,
    "log_weights": likelihood,
    "log_prior log_likelihood sample_prior": lambda model: ais(
        model, examples(model.space), Settings(temperatures=3, chains=2, leapfrog=1, adaptation=3), 0, 10
    ),
}


def model_for(does, *nats, **options):
    return Says(*nats, does.removesuffix(" of a class"), **options)


@pytest.mark.parametrize("does", EXACT)
@pytest.mark.parametrize("excess", [5.0, 1e-4])
def test_an_exact_log_probability_of_integers_above_0_is_an_error_of_the_model(does, excess):
    with pytest.raises(ModelError, match="no probability exceeds 1"):
        EXACT[does](model_for(does, excess, other=-50.0))


@pytest.mark.parametrize("does", EXACT)
def test_rounding_is_none_and_neither_is_certainty(does):
    same = np.zeros((N, *INTEGERS.shape), INTEGERS.dtype)  # one example, however often it stands there
    for nats in (0.9e-6 * INTEGERS.dim, 0.0, -3.0):
        assert np.allclose(EXACT[does](model_for(does, nats), same), nats, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("does", EXACT)
def test_different_examples_have_no_more_mass_than_1_together(does):
    """As a mean over dimensions has, in place of their sum: each of them alone is lawful."""
    different = len(np.unique(examples(), axis=0))
    for share, lawful in ((0.999, True), (1.001, False)):
        model = model_for(does, math.log(share / different))
        if lawful:
            EXACT[does](model)
        else:
            with pytest.raises(ModelError, match=f"of {different} different examples add up to"):
                EXACT[does](model)


@pytest.mark.parametrize("does", EXACT)
def test_densities_have_no_such_law_together(does):
    assert np.allclose(EXACT[does](model_for(does, -0.1, space=REALS)), -0.1)


HALF = np.array(list(np.ndindex(6, 6, 6, 6)))[:648].astype(np.uint8)  # of all there are


@pytest.mark.parametrize("does", ["elbo", "log_weights"])
def test_bounds_on_different_examples_are_at_most_minus_log_n_on_average(does):
    """As Jensen's inequality has it; a mean over dimensions is not, though it is below 0."""
    space = Space((4,), levels=6)
    lawful, warned = (likelihood(model_for(does, math.log(n / 648), space=space), HALF) for n in (0.99, 1.01))
    assert lawful.warnings == ()
    (warning,) = warned.warnings
    assert "of 648 different examples" in warning
    assert f"no more than {-math.log(648):.4g}" in warning
    copies = np.repeat(HALF[:1], 648, 0)  # one example, however often it stands there
    assert likelihood(model_for(does, -0.1, space=space), copies).warnings == ()


@pytest.mark.parametrize("does", ["elbo", "log_weights"])
def test_a_bound_above_0_beyond_its_noise_is_an_error(does):
    space = Space((4,), levels=6)
    with pytest.raises(ModelError, match="is its sign turned"):
        likelihood(model_for(does, 181.0, space=space), HALF)


@pytest.mark.parametrize("does", [*EXACT, *BOUNDS])
def test_a_density_of_real_numbers_may_exceed_1(does):
    model = model_for(does, 5.0, space=REALS)
    found = EXACT[does](model) if does in EXACT else BOUNDS[does](model)
    assert np.allclose(getattr(found, "values", found), 5)
    assert getattr(found, "warnings", ()) == ()


@pytest.mark.parametrize("does", [*EXACT, *BOUNDS])
def test_an_infinite_probability_of_integers_exceeds_1_too(does):
    with pytest.raises(ModelError, match="exceeds 1"):
        (EXACT | BOUNDS)[does](model_for(does, math.inf, other=-10.0))


@pytest.mark.parametrize("bad", [-math.inf, math.nan])
@pytest.mark.parametrize("does", ["log_prob", "log_prob of a class"])
def test_what_is_not_finite_is_kept_and_counted_as_ever(does, bad):
    found = EXACT[does](model_for(does, bad, other=-10.0))
    assert np.isfinite(found).sum() == found.size / 2


@pytest.mark.parametrize("does", BOUNDS)
def test_a_bound_above_0_on_average_is_a_warning_that_says_how_many(does):
    (warning,) = BOUNDS[does](model_for(does, 5.0, other=-1.0)).warnings
    assert f"above 0 for {N // 2} of {N} examples" in warning
    assert "2 nats on average" in warning


@pytest.mark.parametrize("does", BOUNDS)
def test_single_draws_of_a_bound_may_be_above_0(does):
    assert BOUNDS[does](model_for(does, 0.5, other=-6.0)).warnings == ()


def test_an_estimate_above_0_on_average_is_a_warning():
    class Weighted:
        """A flow that stands still, with a last step of too much weight."""

        space, eps = INTEGERS, 0.01

        def velocity(self, x, t):
            return 0 * x

        def enter(self, x0, noise):
            return x0, torch.full((len(x0),), 10.0)

    found = probability_flow(Weighted(), np.ones((5, 4), np.uint8), 0, entry="diffusion")
    assert "above 0 for 5 of 5" in found.warnings[0]
    assert found.values.mean() > 0


def test_codes_have_no_more_mass_than_1():
    model = Says(-3.0, "log_prior log_likelihood")
    model.log_prior = lambda z: torch.full((len(z),), -0.5)  # two codes of mass 0.61
    with pytest.raises(ModelError, match="log_prior: the 2 codes have a mass of"):
        likelihood(model)


@pytest.mark.parametrize("wrong", [torch.full((10, 4), 3), torch.full((10, 4), 0.5), torch.zeros(9, 4).long()])
def test_what_a_decoder_observes_is_in_its_space(wrong):
    model = Says(-3.0, "log_prior log_likelihood sample_prior observe")
    model.observe = lambda z, generator: wrong
    with pytest.raises(ModelError, match="observe"):
        bdmc(model, 10, Settings(temperatures=3, chains=2, leapfrog=1, adaptation=3), 0, 10)


@pytest.mark.parametrize("does", ["log_prob", "elbo", "log_weights"])
def test_what_is_no_tensor_is_an_error_of_the_model(does):
    model = Says(-3.0, does)
    given = getattr(model, does)
    setattr(model, does, lambda *inputs: given(*inputs).numpy())
    with pytest.raises(ModelError, match="expected a tensor, got ndarray"):
        likelihood(model)
