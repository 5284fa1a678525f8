"""Gradient ascent on the ELBO of probabilistic PCA whose posterior may not be correlated.

x ~ N(0, W W^T + s^2 I), and q(z | x) has independent components. The best such q has the mean of the posterior and the
inverse diagonal of its precision L = I + W^T W / s^2, so that

    ELBO(W) = E log p(x; W) - (sum_i log L_ii - log det L) / 2

exactly. Ascent begins at a W of largest likelihood, turned so that the posterior is correlated.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genbench.studies.claims import Finding, side

SENTENCE = "Raising the ELBO can lower the likelihood."
SAID_BY = "Turner, Sahani (2011); Cremer, Li, Duvenaud (2018)"
DECIDED_BY = "a step of gradient ascent on the ELBO of probabilistic PCA, everything in closed form"
CARRIES = "to a posterior family that cannot follow the true posterior; with one that can, the two move together."
PICTURE = "Change of the ELBO and of the likelihood in the first steps of gradient ascent on the ELBO."
SCALE, NOISE, RATE, STEPS = (2.0, 1.0), 0.5, 0.02, 5


def log_likelihood(W: Tensor, covariance: Tensor) -> Tensor:
    """E log p(x; W) in nats, of x ~ N(0, covariance)."""
    d = len(W)
    C = W @ W.T + NOISE**2 * torch.eye(d, dtype=W.dtype)
    return -0.5 * (d * math.log(2 * math.pi) + torch.logdet(C) + torch.trace(torch.linalg.solve(C, covariance)))


def gap(W: Tensor) -> Tensor:
    """KL of the best uncorrelated q from the posterior, in nats; the same for every x."""
    precision = torch.eye(W.shape[1], dtype=W.dtype) + W.T @ W / NOISE**2
    return 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision))


def ascent() -> tuple[list[float], list[float]]:
    """ELBO and log-likelihood at the beginning and after every step."""
    W = torch.diag(torch.tensor(SCALE, dtype=torch.float64))
    covariance = W @ W.T + NOISE**2 * torch.eye(2, dtype=torch.float64)
    turn = math.pi / 4
    rotation = torch.tensor([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]], dtype=torch.float64)
    W = (W @ rotation).requires_grad_()
    elbos, likelihoods = [], []
    for _ in range(STEPS + 1):
        likelihood = log_likelihood(W, covariance)
        elbo = likelihood - gap(W)
        elbos.append(float(elbo))
        likelihoods.append(float(likelihood))
        (slope,) = torch.autograd.grad(elbo, W)
        W = (W + RATE * slope).detach().requires_grad_()
    return elbos, likelihoods


def measure() -> list[Finding]:
    elbos, likelihoods = ascent()
    rise, change = elbos[-1] - elbos[0], likelihoods[-1] - likelihoods[0]
    what = f"after {STEPS} steps from the largest likelihood: change of the"
    return [
        Finding(f"{what} ELBO, nats", f"{rise:+.4f}", "exact", side(rise, rise, "above", 0.0)),
        Finding(f"{what} log-likelihood, nats", f"{change:+.4f}", "exact", side(change, change, "below", 0.0)),
    ]


def plot(axes, found: list) -> None:
    for values, label in zip(ascent(), ("ELBO", "log-likelihood"), strict=True):
        axes.plot(range(STEPS + 1), [v - values[0] for v in values], "o-", label=label)
    axes.axhline(0, color="#888888", linewidth=0.8)
    axes.set(xlabel="steps of ascent", ylabel="change, nats")
    axes.set_yscale("symlog", linthresh=1e-3)
    axes.legend(fontsize=8)
