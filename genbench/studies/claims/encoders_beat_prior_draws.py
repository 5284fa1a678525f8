"""A linear Gaussian model of the digits, trained by draws from the prior or by one draw from an encoder.

    z ~ N(0, I_d),    x | z ~ N(W z + m, s^2 I)

has its largest likelihood in closed form (Tipping, Bishop, 1999, equations 7 and 8), so what a training loses to it is
known in nats. Training by the prior raises the mean over digits of log mean_k p(x | z_k), K draws for each batch;
training by an encoder the bound with one draw of q(z | x) = N(A x + b, diag sd^2), which can be the posterior itself.
Both take 500 steps of Adam on batches of 128 digits, levels scaled to [-1, 1]. Kept are what is lost on the training
digits, and the effective sample size of K draws for them in the end.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genbench.studies.claims import Finding
from genbench.studies.claims._training import digits, scaled, trained
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "One draw of an encoder trains a model better than a thousand of the prior, the more so the more latents."
SAID_BY = "Doersch (2016), sections 2 and 2.1; Kingma, Welling (2014), section 2.1"
DECIDED_BY = (
    "the log-likelihood of the training digits that 1,000 draws from the prior lose to the best linear Gaussian model, "
    "less what one draw of an encoder loses, in nats a digit: with 16 latents, and there less with 2"
)
CARRIES = (
    "to a linear decoder and an encoder whose family holds the posterior; draws are shared by the digits of a batch, "
    "and both take equal steps. With two latents a thousand draws do as well, as the picture shows."
)
PICTURE = "Nats a digit that are lost to the best linear Gaussian model, by the number of latents, means over seeds."
SEEDS, VERSION = 4, 1
LATENTS, DRAWS, STEPS = (2, 4, 8, 16), (10, 100, 1000), 500


class Linear(nn.Module):
    """The model and its encoder.

    Arguments:
        d: latents.
        x: data `[n, D]`, whose mean m begins at.
    """

    def __init__(self, d: int, x: Tensor) -> None:
        super().__init__()
        self.W = nn.Parameter(0.1 * torch.randn(x.shape[1], d))
        self.m = nn.Parameter(x.mean(0))
        self.log_s = nn.Parameter(torch.zeros(()))
        self.encoder, self.log_sd = nn.Linear(x.shape[1], d), nn.Parameter(torch.zeros(d))

    def log_given(self, square: Tensor) -> Tensor:
        """log p(x | z) of squared distances |x - W z - m|^2."""
        return -square / (2 * (2 * self.log_s).exp()) - len(self.m) * (self.log_s + math.log(2 * math.pi) / 2)

    def log_weights(self, x: Tensor, k: int) -> Tensor:
        """log p(x | z_k) of k draws from the prior, the same for every x: `[n, D]` -> `[n, k]`."""
        means = torch.randn(k, self.W.shape[1]) @ self.W.T + self.m
        return self.log_given(x.square().sum(1, keepdim=True) - 2 * x @ means.T + means.square().sum(1))

    def by_prior(self, x: Tensor, k: int) -> Tensor:
        """- mean over x of log mean_k p(x | z_k)."""
        return math.log(k) - self.log_weights(x, k).logsumexp(1).mean()

    def by_encoder(self, x: Tensor) -> Tensor:
        """The negative bound with one draw of q, its divergence from the prior in closed form."""
        mean, sd = self.encoder(x), self.log_sd.exp()
        z = mean + sd * torch.randn_like(mean)
        kl = (mean.square() + sd.square() - 1).sum(1) / 2 - self.log_sd.sum()
        return (kl - self.log_given((x - z @ self.W.T - self.m).square().sum(1))).mean()

    def log_p(self, x: Tensor) -> float:
        """The exact log-likelihood of data `[n, D]`, mean, in nats."""
        W, D = self.W.double(), len(self.m)
        covariance = W @ W.T + (2 * self.log_s).exp().double() * torch.eye(D, dtype=torch.float64)
        p = torch.distributions.MultivariateNormal(self.m.double(), covariance)
        return float(p.log_prob(x.double()).mean())


def largest(x: Tensor, d: int) -> float:
    """The largest log-likelihood that d latents can give the data `[n, D]`, mean, in nats (equation 8)."""
    values = torch.linalg.eigvalsh(torch.cov(x.double().T, correction=0)).flip(0)
    D, rest = len(values), values[d:].mean()
    return -0.5 * float(values[:d].log().sum() + (D - d) * rest.log() + D * (math.log(2 * math.pi) + 1))


def measured(d: int, k: int, seed: int) -> dict[str, float]:
    """Of a training by k draws from the prior, or by one of an encoder where k is 0."""
    x = scaled(digits().train)
    torch.manual_seed(seed)
    model = Linear(d, x)
    trained(model, x, lambda batch: model.by_prior(batch, k) if k else model.by_encoder(batch), STEPS, seed, lr=1e-2)
    with torch.no_grad():
        found = {"lost": largest(x, d) - model.log_p(x)}
        if k:
            log_w = model.log_weights(x, k).double()
            found["counted"] = float((2 * log_w.logsumexp(1) - (2 * log_w).logsumexp(1)).exp().mean())
    return found


def trial(seed: int) -> Found:
    return {str(k): {str(d): measured(d, k, seed) for d in LATENTS} for k in (0, *DRAWS)}


def judged(found: list[Found]) -> list[Finding]:
    more = {d: each(found, "1000", d, "lost") - each(found, "0", d, "lost") for d in ("2", "16")}
    return [
        of_mean("16 latents: nats lost with 1,000 draws from the prior less with one of an encoder", more["16"],
                "above", 0.0, 2),
        of_mean("that, less the same with 2 latents", more["16"] - more["2"], "above", 0.0, 2),
    ]  # fmt: skip


def plot(axes, found: list[Found]) -> None:
    for k, marker in ((0, "o"), *zip(DRAWS, "sv^", strict=True)):
        label = f"{k:,} draws from the prior" if k else "one draw of an encoder"
        axes.plot(LATENTS, [each(found, str(k), str(d), "lost").mean() for d in LATENTS], marker + "-", label=label)
    axes.set(xlabel="latents", ylabel="nats a digit lost", xscale="log", yscale="log")
    axes.set_xticks(LATENTS, list(map(str, LATENTS)))
    axes.minorticks_off()
    axes.legend(fontsize=8)
