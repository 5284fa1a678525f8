"""Bernoulli VAE trained by the score function: the gradient of a bound through latents that are drawn, not summed out.

    grad_q E_q f(z) = E_q [ (f(z) - b) grad_q log q(z | x) ],    f(z) = log p(x, z) - log q(z | x)

A binary z cannot be moved a little, so noise carries no gradient to q as it does for a Gaussian. But log q(z | x) can
be differentiated wherever z fell: draws that explain x better than b become likelier, others less likely. This asks
nothing of f but its value, and is unbiased for every b that does not depend on z, since E_q grad log q = 0; for the
same reason the -log q inside f needs no gradient of its own. The decoder's gradient is the ordinary one.

What decides is the variance. f is a log-probability of a whole image, tens of nats below zero whatever z, and without
b this constant multiplies the noise of grad log q. A baseline takes it away. Here it is the mean of f over the *other*
draws of the same x: it depends on x as Mnih's and Gregor's network for it does, learns nothing, and is independent of
the draw that it is subtracted from, so the estimator stays unbiased. The mean over all k draws would not be.

The model is that of `bernoulli_vae`, small enough that the sum over all codes can be computed too. It is never used to
train; it gives log p(x) exactly, and tells what the noise of the gradient costs.

References:
    Neural variational inference and learning in belief networks (Mnih, Gregor, 2014), sections 2.2 and 2.3.
    Simple statistical gradient-following algorithms for connectionist reinforcement learning (Williams, 1992).
    Buy 4 REINFORCE samples, get a baseline for free! (Kool, van Hoof, Welling, 2019): the other draws.
    Variational inference for Monte Carlo objectives (Mnih, Rezende, 2016): the same idea for a bound of k weights.
"""

import torch
from torch import Generator, Tensor

from genbench import Preset, Space

from .._layers import log_bernoulli
from .bernoulli_vae import BernoulliVAE

VERSION = 1
BASELINES = ("none", "mean")


class ScoreFunctionVAE(BernoulliVAE):
    """The encoder, decoder and prior of `bernoulli_vae`, and a bound that is estimated from draws of z.

    Arguments:
        k: draws of z for every x.
        baseline: what is subtracted from f: "none", or the "mean" of f over the other k - 1 draws of the same x.
        latent, hidden, dropout: as for `bernoulli_vae`.

    Raises:
        ValueError: no such baseline, or too few draws for it.
    """

    def __init__(
        self,
        space: Space,
        *,
        k: int = 4,
        baseline: str = "mean",
        latent: int = 8,
        hidden: int = 64,
        dropout: float = 0.0,
    ) -> None:
        if baseline not in BASELINES:
            raise ValueError(f"baseline is one of {', '.join(BASELINES)}, not {baseline!r}")
        if k < (least := 2 if baseline == "mean" else 1):
            raise ValueError(f"baseline {baseline!r} takes k of at least {least} draws, got {k}")
        super().__init__(space, latent=latent, hidden=hidden, dropout=dropout)
        self.k, self.baseline = k, baseline

    def centred(self, f: Tensor) -> Tensor:
        """f - b, the signal of every draw: [k, B] -> [k, B]."""
        if self.baseline == "none":
            return f
        return f - (f.sum(0) - f) / (self.k - 1)

    def estimate(self, x: Tensor, logits: Tensor, generator: Generator) -> Tensor:
        """The bound by k draws of z from q of these logits: [B, *shape], [B, d] -> [B].

        Its value and its gradient, with respect to the logits and to all weights of p, are unbiased for those of the
        bound. The second derivative is not: of the term that carries the score only the slope means anything.
        """
        z = torch.bernoulli(logits.sigmoid().detach().expand(self.k, -1, -1), generator=generator)  # [k, B, d]
        log_q = log_bernoulli(z, logits)
        flat = z.flatten(0, 1)
        log_p = self.log_likelihood(x.repeat(self.k, *(1 for _ in self.space.shape)), flat) + self.log_prior(flat)
        log_p = log_p.view(self.k, -1)
        f = (log_p - log_q).detach()
        score = self.centred(f) * log_q
        slope = log_p + score  # has the gradient of the bound, but not its value
        return (f + slope - slope.detach()).mean(0)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The negative bound."""
        return -self.estimate(x, self.posterior(x), generator).mean()


PRESETS = {
    "digits": Preset(
        {"k": 4, "baseline": "mean", "latent": 10, "hidden": 48, "dropout": 0.05},  # the network of `bernoulli_vae`
        steps=3500,
        batch_size=128,
        lr=3e-3,
        weight_decay=0.1,
        ema=0.99,
    ),
}

build = ScoreFunctionVAE
