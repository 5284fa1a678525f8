"""beta-VAE: the KL of the variational bound weighs beta, which climbs by a schedule; what is reported has beta = 1.

    training:   E_q log p(x | z) - beta_t KL(q(z | x) || p(z)),    beta_t = beta min(1, t / climb)
    reported:   E_q log p(x | z) -        KL(q(z | x) || p(z))  <=  log p(x)

beta > 1 limits what z may say of x: latents that pay least fall silent, and those that are left tend to stand for one
factor each (Higgins et al. 2017, equation 4). The model that is best by this objective is not the one with the best
bound, and its loss is no bound on anything (beta < 1) or a needlessly loose one (beta > 1). So weights are chosen,
and the model is compared, by the bound with beta = 1. Starting at 0 instead of beta keeps latents from
falling silent before the decoder has learnt to read them (Bowman et al. 2016, section 3.1).

References:
    beta-VAE: Learning basic visual concepts with a constrained variational framework (Higgins et al., 2017).
    Generating sentences from a continuous space (Bowman et al., 2016), for the schedule.
"""

import torch
from torch import Generator, Tensor

from genbench import Objective, Preset, Space, Stage

from .vae import VAE

VERSION = 1


class BetaVAE(VAE):
    """`vae` with another loss; the bound, the weights and the sampler are the same.

    Arguments:
        beta: weight of the KL at the end of the schedule.
        climb: t at which it is reached, in steps of training; 0 for beta from the first step.
        latent, hidden, dropout, decoder: as for `vae`.
    """

    taken: Tensor

    def __init__(
        self,
        space: Space,
        *,
        beta: float = 4.0,
        climb: int = 1000,
        latent: int = 16,
        hidden: int = 64,
        dropout: float = 0.0,
        decoder: str = "natural",
    ) -> None:
        if beta < 0 or climb < 0:
            raise ValueError(f"beta and climb are at least 0, got {beta} and {climb}")
        super().__init__(space, latent=latent, hidden=hidden, dropout=dropout, decoder=decoder)
        self.beta, self.climb = beta, climb
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))  # steps so far: a resumed run goes on

    def weight(self) -> Tensor:
        """beta_t."""
        climbed = (self.taken / self.climb).clamp(max=1) if self.climb else torch.ones(())
        return self.beta * climbed

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("train", (Objective("loss", self.parameters(), self.weighted),), self.loss),)

    def weighted(self, x: Tensor, generator: Generator) -> Tensor:
        """The objective of this step, which counts as one. (`loss` is that of `vae`, with beta = 1.)"""
        log_p, kl = self.terms(x, generator)
        loss = (self.weight() * kl - log_p).mean()
        self.taken += 1
        return loss


PRESETS = {
    "digits": Preset(
        {"beta": 2.0, "climb": 1000, "latent": 16, "hidden": 64, "dropout": 0.1, "decoder": "logistics"},
        steps=4000,
        batch_size=128,
        lr=3e-3,
        weight_decay=0.05,
        ema=0.99,
    ),
    "shapes": Preset(
        {"beta": 4.0, "climb": 2000, "latent": 8, "hidden": 96, "decoder": "gaussian-shared"},
        steps=12000,
        batch_size=128,
        lr=2e-3,
        ema=0.995,
        validate_every=500,
    ),
    "mnist-binary": Preset(
        {"beta": 2.0, "climb": 10000, "latent": 50, "hidden": 200},
        steps=60000,
        batch_size=128,
        lr=2e-3,
        ema=0.999,
        validate_every=2000,
        half=True,
    ),
}

build = BetaVAE
