"""The capabilities of a model: what it can do, it shows by having the method.

Everything is in nats over the raw values of the model's space. Integers arrive as int64
tensors, real numbers as float32. `generator` is the only source of randomness, and lives on the
model's device. A class-conditional model has `n_classes > 0`; its methods then also take
`labels` [B] (int64), and without labels mean the marginal over p(y).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from genbench.errors import Unavailable
from genbench.space import Space

if TYPE_CHECKING:
    from torch import Generator, Tensor


@runtime_checkable
class Sampler(Protocol):
    """Every model but a translator: n samples in the raw values of the space."""

    space: Space

    def sample(self, n: int, generator: Generator) -> Tensor: ...  # [n, *shape]


@runtime_checkable
class HasLogProb(Protocol):
    """The log-likelihood itself: autoregressive, mixtures, pPCA, flows on real-valued data.

    A model whose `log_prob` is a lower bound without chance (text under one of its tokenisations) says so by
    `log_prob_kind = "lower_bound"`; `log_prob_details(x, values)` may give a record what a reader has to know.
    """

    space: Space

    def log_prob(self, x: Tensor) -> Tensor: ...  # [B, *shape] -> [B]


@runtime_checkable
class HasLogWeights(Protocol):
    """Importance weights, E exp(w) = p(x).

    Latent-variable models: log p(x,z) - log q(z|x). Flows on integers: log p(x+u), u uniform
    on [0,1)^D, which is the same idea with u as the latent.
    """

    space: Space

    def log_weights(self, x: Tensor, k: int, generator: Generator, *q: Any) -> Tensor: ...  # -> [k, B]


@runtime_checkable
class HasPosterior(Protocol):
    """What `log_weights` needs of x alone, the parameters of q(z|x): computed once, however many weights.

    `log_weights(x, k, generator, q)` then takes it as its fourth argument.
    """

    space: Space

    def posterior(self, x: Tensor) -> Any: ...


@runtime_checkable
class HasElbo(Protocol):
    """An unbiased estimate of a lower bound on log p(x) whose exp is *not* a weight.

    Diffusion: the variational bound with its divergences in closed form, which has far less
    variance than the log-weight of one trajectory. `elbo_details` may give a record what a reader has to know.
    """

    space: Space

    def elbo(self, x: Tensor, generator: Generator) -> Tensor: ...  # -> [B]


@runtime_checkable
class Unnormalised(Protocol):
    """A mass p*(x) whose sum Z is unknown, and a path from a distribution whose sum is known: p*_0 to p*_1 = p*."""

    space: Space

    def log_unnormalised(self, x: Tensor, beta: float = 1.0) -> Tensor: ...  # log p*_beta(x): -> [B]

    def log_base_partition(self) -> Tensor: ...  # log of the sum of p*_0: scalar

    def sample_base(self, n: int, generator: Generator) -> Tensor: ...  # x ~ p_0: [n, *shape]

    def transition(self, x: Tensor, beta: float, generator: Generator) -> Tensor: ...  # leaves p_beta as it is


@runtime_checkable
class HasLogConditionals(Protocol):
    """log p of every value given those that the model reads before it; their sum is log p(x).

    A class-conditional model takes `labels` [B] as its second argument.
    """

    space: Space

    def log_conditionals(self, x: Tensor) -> Tensor: ...  # [B, *shape] -> [B, *shape]


@runtime_checkable
class HasLogProbStream(Protocol):
    """log p of every token of one long text, each given as much of what stands before it as the model can use.

    `log_prob_kind` as for `HasLogProb`.
    """

    space: Space

    def log_prob_stream(self, x: Tensor) -> Tensor: ...  # [T] -> [T]


@runtime_checkable
class Decoder(Protocol):
    """What annealed importance sampling needs."""

    space: Space

    def sample_prior(self, n: int, generator: Generator) -> Tensor: ...  # -> z [n, ...]

    def log_prior(self, z: Tensor) -> Tensor: ...  # -> [n]

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor: ...  # -> [n]


@runtime_checkable
class Simulator(Decoder, Protocol):
    """A decoder that draws x together with its z, which is then an exact draw of p(z | x)."""

    def observe(self, z: Tensor, generator: Generator) -> Tensor: ...  # x ~ p(x | z): [n, *shape]


@runtime_checkable
class Renderer(Protocol):
    """A picture for every latent, real-valued: what moves as one walks through the latents."""

    space: Space

    def sample_prior(self, n: int, generator: Generator) -> Tensor: ...  # -> z [n, ...], real numbers

    def expected(self, z: Tensor) -> Tensor: ...  # E[x | z] in the raw range of the space: -> [n, *shape], float


@runtime_checkable
class Encoder(Protocol):
    """A representation."""

    space: Space

    def encode(self, x: Tensor) -> Tensor: ...  # -> [B, d]


@runtime_checkable
class HasGaussianPosterior(Protocol):
    """q(z | x) = N(mean, diag sd^2) beside the prior N(0, I) of a VAE, where that is what it has."""

    space: Space

    def gaussian_posterior(self, x: Tensor) -> tuple[Tensor, Tensor]: ...  # mean, log sd: -> [B, d] each

    def log_prior(self, z: Tensor) -> Tensor: ...  # -> [n]


@runtime_checkable
class Reconstructor(Protocol):
    """What an autoencoder gives back, as expected values in the raw range of the space."""

    space: Space

    def reconstruct(self, x: Tensor) -> Tensor: ...  # -> [B, *shape], float


@runtime_checkable
class Resampler(Protocol):
    """The chance of each example of a set to be drawn from it, so that what is rare is drawn more often."""

    space: Space

    def chances(self, x: Tensor) -> Tensor: ...  # -> [B], of sum 1


@runtime_checkable
class Completer(Protocol):
    """Samples from p(hidden | visible): mask is 1 where x is given."""

    space: Space

    def complete(self, x: Tensor, mask: Tensor, generator: Generator) -> Tensor: ...  # -> [B, *shape]


@runtime_checkable
class Translator(Protocol):
    """Examples of the dataset's own domain as examples of its target domain; with `back` the other way.

    Trained on a dataset with a target: its losses are given a batch of either domain, unpaired, (x, generator, y).
    """

    space: Space

    def translate(self, x: Tensor, back: bool = False) -> Tensor: ...  # [B, *shape] -> [B, *shape]


METHODS = (
    "sample",
    "log_prob",
    "log_conditionals",
    "level_logits",
    "log_prob_stream",
    "log_weights",
    "elbo",
    "log_unnormalised",
    "log_prior",
    "log_likelihood",
    "sample_prior",
    "observe",
    "expected",
    "encode",
    "gaussian_posterior",
    "reconstruct",
    "chances",
    "complete",
    "translate",
)


def capabilities(model: object) -> list[str]:
    """The names of the protocol's methods that `model` has.

    Example:
        >>> class Coin:
        ...     def sample(self, n, generator): ...
        >>> capabilities(Coin())
        ['sample']
    """
    return [name for name in METHODS if callable(getattr(model, name, None))]


def refusal(needs: str, model: object) -> Unavailable:
    """Why a model cannot be measured: what that needs, a sentence, and what the model has instead."""
    return Unavailable(f"{needs}; the model provides: {', '.join(capabilities(model)) or 'fixed samples'}")


def n_classes(model: object) -> int:
    """The number of classes a conditional model knows, 0 for any other model."""
    return int(getattr(model, "n_classes", 0))
