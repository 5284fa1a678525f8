"""VAE without an encoder: the mean and log sd of q are optimised anew for every example, by ascent of its own bound.

    lambda(x) = argmax_lambda L(x; lambda),    L(x; lambda) = E_q log p(x | z) - KL(q(z; lambda) || p(z))
    theta    <- theta + rate * grad_theta mean_x L(x; lambda(x))

This is variational inference as it was before encoders: local parameters lambda for every example, global ones theta
for all. A step takes a batch, climbs to the lambdas of its examples with theta held still, and then moves theta with
those lambdas held still (Hoffman et al. 2013, figure 4). Nothing of an example is kept until it is seen again: its
lambda starts at the prior each time, so a checkpoint holds the decoder alone, and q of a new example is found by the
very procedure that found those of the training examples, for the price of some passes through the decoder.

An encoder gives lambda by one pass of a network that all examples share: it *amortises* the search. What it loses by
that is the amortisation gap,

    log p(x) - L(x; encoder(x)) = [log p(x) - max_lambda L(x; lambda)] + [max_lambda L(x; lambda) - L(x; encoder(x))]

the second bracket; the first is what any Gaussian with independent dimensions loses (Cremer et al. 2018).
Both need one decoder: give the one of a `vae` to this model, and the difference of their bounds is the gap.

References:
    Stochastic variational inference (Hoffman, Blei, Wang, Paisley, 2013).
    Inference suboptimality in variational autoencoders (Cremer, Li, Duvenaud, 2018).
    Adam (Kingma and Ba, 2015), for the ascent.
"""

import math

import torch
from torch import Generator, Tensor

from genbench import Preset, Space

from .._layers import kl_to_standard_normal
from .vae import VAE

VERSION = 1
BETAS = (0.8, 0.95)  # of Adam: shorter memories than usual, since there are few steps
FLAT = 1e-3  # a slope below which Adam's steps become short, in nats
SEED = 0  # of the noise by which q of an example is found


class NonAmortisedVAE(VAE):
    """The decoder of `vae`, and a search in the place of its encoder.

    Arguments:
        search: steps of ascent by which `posterior` finds q of an example.
        train_search: steps of ascent for every batch of training.
        draws: of z in each step of ascent.
        rate: first step size of the ascent in mean and log sd; it falls to zero by half a cosine.
        latent, hidden, dropout, decoder: as for `vae`; of the decoder.

    Raises:
        ValueError: no step, or no draw.
    """

    def __init__(
        self,
        space: Space,
        *,
        search: int = 100,
        train_search: int = 15,
        draws: int = 2,
        rate: float = 0.3,
        latent: int = 16,
        hidden: int = 64,
        dropout: float = 0.0,
        decoder: str = "natural",
    ) -> None:
        if min(search, train_search, draws) < 1:
            raise ValueError(f"steps and draws are at least 1, got {search} and {train_search} steps, {draws} draws")
        super().__init__(space, latent=latent, hidden=hidden, dropout=dropout, decoder=decoder)
        del self.encoder
        self.search, self.train_search, self.draws, self.rate = search, train_search, draws, rate

    def bound(self, x: Tensor, q: tuple[Tensor, ...], noise: Tensor) -> Tensor:
        """L(x; q) at z = mean + sd * noise, its KL in closed form: [B, *shape], [B, d] twice, [k, 1 or B, d] -> [B]."""
        mean, log_sd = q
        kl = kl_to_standard_normal(mean, log_sd).sum(1)
        return self.observation.log_prob(self.decoder(mean + log_sd.exp() * noise), x).mean(0) - kl

    def ascend(self, x: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        """Mean and log sd of q(z; lambda(x)), without a gradient: [B, *shape], [steps, k, 1 or B, d] -> [B, d] each.

        Every example climbs alone: the gradient of the sum by its own lambda is that of its own bound, and Adam's
        steps are elementwise.
        """
        q = x.new_zeros(2, len(x), self.latent, dtype=noise.dtype)  # the prior
        first, second = torch.zeros_like(q), torch.zeros_like(q)
        for t, drawn in enumerate(noise):
            with torch.enable_grad():
                q.requires_grad_()
                (slope,) = torch.autograd.grad(self.bound(x, (q[0], q[1]), drawn).sum(), q)
            first = torch.lerp(slope, first, BETAS[0])
            second = torch.lerp(slope**2, second, BETAS[1])
            scale = (second / (1 - BETAS[1] ** (t + 1))).sqrt() + FLAT
            rate = self.rate * 0.5 * (1 + math.cos(math.pi * t / len(noise)))
            q = q.detach() + rate * first / (1 - BETAS[0] ** (t + 1)) / scale
        return q[0], q[1]

    def posterior(self, x: Tensor) -> tuple[Tensor, ...]:
        """Mean and log sd of q, a function of x alone, since its noise is always the same: [B, *shape] -> [B, d] each.

        New noise in every step, or q would become narrow about the few draws that it is judged by.
        """
        shape = self.search, self.draws, 1, self.latent
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(SEED))
        return self.ascend(x, noise.to(x.device))

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The negative bound at the lambdas of the batch, whose gradient is that of the decoder alone."""
        shape = (self.train_search if self.training else self.search) + 1, self.draws, len(x), self.latent
        noise = torch.randn(shape, generator=generator, device=generator.device)
        return -self.bound(x, self.ascend(x, noise[:-1]), noise[-1]).mean()


PRESETS = {
    "digits": Preset(
        {"latent": 16, "hidden": 64, "dropout": 0.1},  # the decoder of `vae`
        steps=1000,
        batch_size=128,
        lr=5e-3,
        weight_decay=0.05,
        ema=0.99,
    ),
}

build = NonAmortisedVAE
