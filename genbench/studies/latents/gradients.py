"""The variance of three gradients of one bound by the encoder's weights, measured while a model is trained.

    reparameterised    grad of f(z(q, noise)), through z
    score function     (f(z) - b) grad log q(z | x),    f(z) = log p(x, z) - log q(z | x)
        without        b = 0
        with           b = the mean of f over the other draws of the same x

All three are unbiased for the gradient of the same bound, of the same batch, by as many draws of z. On a VAE with
Gaussian latents all are possible, so their variances can be compared there; a binary z has no path for a gradient, and
the two score functions are compared with each other. Variance means the trace of the covariance, over all weights of
the encoder.

Replicates of a gradient g_r have the squared distances |g_r - mean|^2 about their mean, which estimate that trace; the
interval of a ratio of two is by the delta method for its logarithm.

References:
    Auto-Encoding Variational Bayes (Kingma, Welling, 2014), section 2.2, on the variance of the naive estimator.
    Neural variational inference and learning in belief networks (Mnih, Gregor, 2014), section 2.3.
    Buy 4 REINFORCE samples, get a baseline for free! (Kool, van Hoof, Welling, 2019): the other draws.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from genbench import catalog, datasets
from genbench.baselines._layers import log_bernoulli, log_normal
from genbench.models.sampling import seeded, to_tensor

STEPS = (0, 30, 100, 300, 1000)  # of training, after which gradients are measured
DRAWS = 4  # of z, for every image in every gradient
REPLICATES = 200
BATCH, RATE = 128, 3e-3  # of training
SEEN = 16  # validation images, in the mean of whose bounds the gradient is taken
OPTIONS = {"latent": 8, "hidden": 48}
MODELS = {"vae": "Gaussian", "bernoulli-vae": "Bernoulli"}  # baselines, and what their latents are


@dataclass(frozen=True)
class Variance:
    """One estimator at one time.

    Arguments:
        latents: "Gaussian" or "Bernoulli".
        step: of training.
        bound: of the images, in nats.
        estimator: "reparameterised", "score" or "score with baseline".
        value: the trace of the covariance of the gradient.
        relative: the standard error of its logarithm.
    """

    latents: str
    step: int
    bound: float
    estimator: str
    value: float
    relative: float

    def line(self) -> str:
        """As JSON, to six digits."""
        return json.dumps({k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in asdict(self).items()})


def draw(model: Any, x: Tensor, generator: Generator, path: bool) -> tuple[Tensor, Tensor, Tensor]:
    """z, f(z) and log q(z | x), for draws of z with a path back to the encoder or without: [k B, d], [k, B], [k, B]."""
    q, some = model.posterior(x), (DRAWS, len(x), OPTIONS["latent"])
    if isinstance(q, tuple):
        z = q[0] + q[1].exp() * torch.randn(some, generator=generator)
        z = z if path else z.detach()
        log_q = log_normal(z, *q).sum(-1)
    else:
        assert not path, "a binary z has none"
        z = torch.bernoulli(q.sigmoid().detach().expand(some), generator=generator)
        log_q = log_bernoulli(z, q)
    flat = z.flatten(0, 1)
    log_p = model.log_likelihood(x.repeat(DRAWS, 1, 1, 1), flat) + model.log_prior(flat)
    return z, log_p.view(DRAWS, -1) - log_q, log_q


def reparameterised(model: Any, x: Tensor, generator: Generator) -> Tensor:
    """Something whose gradient by the encoder is that of the mean bound of x."""
    return draw(model, x, generator, path=True)[1].mean()


def score(model: Any, x: Tensor, generator: Generator, baseline: bool = False) -> Tensor:
    _, f, log_q = draw(model, x, generator, path=False)
    f = f.detach()
    b = (f.sum(0) - f) / (DRAWS - 1) if baseline else 0.0
    return ((f - b) * log_q).mean()


def score_with_baseline(model: Any, x: Tensor, generator: Generator) -> Tensor:
    return score(model, x, generator, baseline=True)


ESTIMATORS: dict[str, Callable[[Any, Tensor, Generator], Tensor]] = {
    "reparameterised": reparameterised,
    "score": score,
    "score with baseline": score_with_baseline,
}


def gradients(model: Any, x: Tensor, estimator: str, n: int, seed: int) -> Tensor:
    """n gradients by all weights of the encoder: [n, P]."""
    weights = list(model.encoder.parameters())
    rows = []
    for i in range(n):
        surrogate = ESTIMATORS[estimator](model, x, seeded(seed, estimator, i))
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(surrogate, weights)]))
    return torch.stack(rows)


def trace(rows: Tensor) -> tuple[float, float]:
    """The trace of the covariance of n rows, and the standard error of its logarithm, by the delta method."""
    n = len(rows)
    squares = (rows - rows.mean(0)).double().square().sum(1) * n / (n - 1)
    return float(squares.mean()), float(squares.std() / squares.mean()) / math.sqrt(n)


def training(name: str, seed: int) -> Iterator[tuple[int, Any]]:
    """A model of digits after each of `STEPS`, trained by the loss that its baseline has."""
    data = datasets.load("digits")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = catalog.build(name, data.space, OPTIONS)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    rng = np.random.default_rng(seed)
    for step in range(STEPS[-1] + 1):
        if step in STEPS:
            yield step, model
        x = to_tensor(data.train[rng.integers(len(data.train), size=BATCH)], data.space)
        loss = model.loss(x, seeded(seed, "train", step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def measure(seed: int = 0, replicates: int = REPLICATES) -> Iterator[Variance]:
    """Every estimator of every model at every time."""
    data = datasets.load("digits")
    x = to_tensor(data.validation[:SEEN], data.space)
    for name, latents in MODELS.items():
        for step, model in training(name, seed):
            with torch.no_grad():
                bound = float(torch.stack([draw(model, x, seeded(seed, i), False)[1].mean() for i in range(25)]).mean())
            for estimator in ESTIMATORS:
                if latents == "Gaussian" or estimator != "reparameterised":
                    value, relative = trace(gradients(model, x, estimator, replicates, seed))
                    yield Variance(latents, step, bound, estimator, value, relative)
