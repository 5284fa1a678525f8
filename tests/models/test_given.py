"""What a model gives back: a tensor of real numbers in the shape that was asked, or an error that says what it was."""

import numpy as np
import pytest
import torch

from genbench.errors import ModelError
from genbench.likelihood.bayes import class_log_likelihoods
from genbench.likelihood.elbo import elbo
from genbench.likelihood.enumerated import enumerated
from genbench.likelihood.exact import exact
from genbench.likelihood.hmc import Posterior
from genbench.likelihood.iwae import importance_weighted
from genbench.models.interpolation import pictures
from genbench.models.sampling import draw, reconstruct, seeded, to_array
from genbench.space import Space

SPACE = Space((2,), 3)
X = np.zeros((4, 2), np.uint8)

# Of log-likelihoods [n]: what else a model may return, and what the error says of it.
WRONG = {
    "numpy": (lambda x: x.numpy(), "expected a tensor, got ndarray"),
    "list": (lambda x: x.tolist(), "expected a tensor, got list"),
    "nothing": (lambda x: None, "expected a tensor, got NoneType"),
    "number": (lambda x: float(x.sum()), "expected a tensor, got float"),
    "tuple": (lambda x: (x, x), "expected a tensor, got tuple"),
    "integers": (lambda x: x.long(), "expected real numbers, got torch.int64"),
    "booleans": (lambda x: x > 0, "expected real numbers, got torch.bool"),
    "complex": (lambda x: x.to(torch.complex64), "expected real numbers, got torch.complex64"),
    "sparse": (lambda x: x.to_sparse(), "expected a dense tensor"),
    "meta": (lambda x: x.to("meta"), "expected a dense tensor"),
    "column": (lambda x: x[..., None], "expected ["),
    "mean": (lambda x: x.mean(), "expected ["),
    "short": (lambda x: x[..., :-1], "expected ["),
}
RIGHT = {
    "float32": lambda x: x,
    "float64": lambda x: x.double(),
    "half": lambda x: x.half(),
    "bfloat16": lambda x: x.bfloat16(),
    "with gradient": lambda x: x.requires_grad_(),
    "a view": lambda x: torch.stack([x, x], -1)[..., 0],
    "infinite": lambda x: x - torch.inf,
}


class Model:
    """Everything that is asked of a model, each answer passed through `change`."""

    space = SPACE
    latent_space = Space((1,), 2)
    n_classes = 3

    def __init__(self, change, of=None):
        self.change = lambda x, name: change(x) if of in (None, name) else x

    def log_prob(self, x, labels=None):
        return self.change(-torch.ones(len(x)), "log_prob")

    def elbo(self, x, generator):
        return self.change(-torch.ones(len(x)), "elbo")

    def log_weights(self, x, k, generator):
        return self.change(-torch.ones(k, len(x)), "log_weights")

    def log_prior(self, z):
        return self.change(-torch.ones(len(z)) - 0 * z.float().flatten(1).sum(1).detach(), "log_prior")

    def log_likelihood(self, x, z):
        return self.change(-torch.ones(len(z)), "log_likelihood")


ASKED = {
    "log_prob": lambda m: exact(m, X),
    "elbo": lambda m: elbo(m, X, 0, 2),
    "log_weights": lambda m: importance_weighted(m, torch.zeros(4, 2).long(), 3, lambda j: seeded(j)),
    "log_prior": lambda m: enumerated(m, X),
    "log_likelihood": lambda m: enumerated(m, X),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("method", ASKED)
def test_an_answer_that_is_none_is_an_error_of_the_model(method, what):
    change, words = WRONG[what]
    with pytest.raises(ModelError) as caught:
        ASKED[method](Model(change, method))
    assert words in str(caught.value)


@pytest.mark.parametrize("what", WRONG)
def test_nor_is_one_under_a_class(what):
    change, words = WRONG[what]
    with pytest.raises(ModelError) as caught:
        class_log_likelihoods(Model(change), X)
    assert words in str(caught.value)


@pytest.mark.parametrize("what", RIGHT)
@pytest.mark.parametrize("method", ["log_prob", "elbo"])
def test_real_numbers_of_any_width_are_one(method, what):
    found = ASKED[method](Model(RIGHT[what], method)).values
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, np.full(4, -np.inf if what == "infinite" else -1.0))


@pytest.mark.parametrize("what", ["numpy", "integers", "column", "mean", "sparse"])
@pytest.mark.parametrize("method", ["log_prior", "log_likelihood"])
def test_chains_ask_for_the_same(method, what):
    change, words = WRONG[what]
    with pytest.raises(ModelError) as caught:
        Posterior(Model(change, method), torch.zeros(4, 2).long())(torch.zeros(4, 1))
    assert method in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("what", ["numpy", "list", "integers", "sparse", "meta", "column"])
def test_so_do_paths(what):
    change, words = WRONG[what]

    class Renderer:
        space = SPACE

        def expected(self, z):
            return change(torch.zeros(len(z), 2, dtype=torch.float64))

    with pytest.raises(ModelError) as caught:
        pictures(Renderer(), torch.zeros(3, 1))
    assert words in str(caught.value)


# --- Samples


class Sampler:
    def __init__(self, space, make):
        self.space, self.make = space, make

    def sample(self, n, generator):
        return self.make(n)

    def reconstruct(self, x):
        return self.make(len(x))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda n: np.zeros((n, 2), np.int64), "expected a tensor, got ndarray"),
        (lambda n: [torch.zeros(2).long()] * n, "expected a tensor, got list"),
        (lambda n: torch.zeros(n, 2), "expected integers 0..2, got float32"),
        (lambda n: torch.zeros(n, 2).bfloat16(), "expected integers 0..2, got float32"),
        (lambda n: torch.zeros(n, 2) > 0, "expected integers 0..2, got bool"),
        (lambda n: torch.zeros(n, 2).cfloat(), "expected integers 0..2, got complex64"),
        (lambda n: torch.zeros(n, 2).long().to_sparse(), "expected a dense tensor"),
        (lambda n: torch.zeros(n, 2, device="meta").long(), "expected a dense tensor"),
        (lambda n: torch.zeros(n, 3).long(), "expected [n, 2], got [4, 3]"),
        (lambda n: torch.zeros(n).long(), "expected [n, 2], got [4]"),
        (lambda n: torch.full((n, 2), 3), "expected values 0..2, got 3..3"),
        (lambda n: torch.full((n, 2), -1), "expected values 0..2, got -1..-1"),
    ],
)
def test_samples_that_are_not_in_the_space(make, words):
    with pytest.raises(ModelError) as caught:
        draw(Sampler(SPACE, make), 4, 0, 4)
    assert f"sample: {words}" in str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_real_samples_of_any_width_are_kept(dtype):
    found = draw(Sampler(Space((2,)), lambda n: torch.arange(2 * n).view(n, 2).to(dtype)), 4, 0, 4)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.arange(8).reshape(4, 2))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda n: 1.7e9 + torch.arange(2.0 * n, dtype=torch.float64).view(n, 2), "3 of 4 rows that differ as float64"),
        (lambda n: torch.full((n, 2), 1e39, dtype=torch.float64), "8 of its float64 values are too large"),
        (lambda n: torch.full((n, 2), torch.nan), "8 values are NaN or infinite"),
    ],
)
def test_real_samples_that_float32_cannot_hold_are_refused(make, words):
    for ask in (lambda m: draw(m, 4, 0, 4), lambda m: reconstruct(m, np.zeros((4, 2), np.float32))):
        with pytest.raises(ModelError) as caught:
            ask(Sampler(Space((2,)), make))
        assert words in str(caught.value)


def test_a_conjugate_or_negative_view_is_read_as_what_it_is():
    """Views that torch resolves late, and NumPy cannot see."""
    x = torch.complex(torch.ones(3, 2), torch.arange(6.0).view(3, 2)).conj().imag
    assert x.is_neg()
    np.testing.assert_array_equal(to_array(x, Space((2,)), "sample"), -np.arange(6.0).reshape(3, 2))
