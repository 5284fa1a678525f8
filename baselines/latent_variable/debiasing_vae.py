"""Debiasing VAE: examples whose latents are rare are drawn more often, so that rare groups are learnt without labels.

    W(x) ~ prod_j 1 / (Q_j(z_j(x)) + alpha),    z(x) the posterior mean        (Amini et al. 2019)

Q_j is the histogram of latent j over the training data: a group that few examples belong to lies where it is low. As
alpha falls to 0 training data become uniform over the latents, as it grows they stay what they were.
Nobody says what the groups are, and that is the method's strength and its limit: it raises whatever is rare in some
latent, noise and mistakes as well as the group one has in mind, and nothing that no latent tells apart.

Each batch is a sample of the training data. What is trained on is drawn from it with replacement by W, which is
resampling of the data by W but for the size of the batch. Histograms follow the encoder: they are running sums
over the batches as they come, in which a batch counts less the longer ago it was.

What is learnt is the distribution of the resampled data. So its bound on data as they are is worse than that of a VAE
that spends itself on the common, and better on the rare: compare both, by group. `loss`, by which weights are chosen,
is the plain bound on examples as they are.

References:
    Uncovering and mitigating algorithmic bias through learned latent structure (Amini et al., 2019).

NOTE: the generative half of the paper's model alone, without its classifier; there histograms are made anew from all
examples before each epoch.
"""

import torch
from torch import Generator, Tensor

from genbench import Objective, Preset, Space, Stage

from .vae import VAE

VERSION = 1
EDGE = 4.0  # bins share [-EDGE, EDGE] equally, what lies beyond is in the outermost
DECAY = 0.98  # of a batch in the histograms, with each batch after it


class DebiasingVAE(VAE):
    """`vae` on resampled batches; the bound, the weights and the sampler are the same.

    Arguments:
        alpha: see above, beside the share of examples that are in a bin; infinite for a plain VAE.
        bins: of each histogram.
        kept: examples drawn from a batch, relative to its size. Few from many resample more freely.
        latent, hidden, dropout, decoder: as for `vae`. The product over many latents is ruled by a few examples.
    """

    histogram: Tensor

    def __init__(
        self,
        space: Space,
        *,
        alpha: float = 0.1,
        bins: int = 16,
        kept: float = 0.5,
        latent: int = 8,
        hidden: int = 64,
        dropout: float = 0.0,
        decoder: str = "natural",
    ) -> None:
        if not alpha > 0 or bins < 2 or not 0 < kept <= 1:
            raise ValueError(f"alpha > 0, bins >= 2 and 0 < kept <= 1, got {alpha}, {bins} and {kept}")
        super().__init__(space, latent=latent, hidden=hidden, dropout=dropout, decoder=decoder)
        self.alpha, self.bins, self.kept = alpha, bins, kept
        self.register_buffer("histogram", torch.full((latent, bins), 1 / bins))  # Q, its rows sum to one

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("train", (Objective("loss", self.parameters(), self.debiased),), self.loss),)

    def debiased(self, x: Tensor, generator: Generator) -> Tensor:
        """The negative bound of the examples that are drawn from x. (`loss` is that of `vae`, of all of x.)"""
        self.count(x)
        return self.loss(self.resampled(x, generator), generator)

    @torch.no_grad()
    def places(self, x: Tensor) -> Tensor:
        """The bin of each latent: [B, *shape] -> [B, latent] int64."""
        return ((self.encode(x) + EDGE) * (self.bins / (2 * EDGE))).long().clamp(0, self.bins - 1)

    def count(self, x: Tensor) -> None:
        """Moves the histograms towards that of a batch."""
        shares = torch.nn.functional.one_hot(self.places(x), self.bins).float().mean(0)
        self.histogram.lerp_(shares, 1 - DECAY)

    def log_density(self, x: Tensor) -> Tensor:
        """log (Q_j(z_j) + alpha) of each latent, up to a constant: [B, *shape] -> [B, latent]."""
        q = self.histogram.T.gather(0, self.places(x))
        return torch.log1p(q / self.alpha)  # also where alpha is infinite

    def chances(self, x: Tensor) -> Tensor:
        """W, the chance of each example of a batch to be the next one drawn: [B, *shape] -> [B], its sum is 1."""
        return (-self.log_density(x).sum(1)).softmax(0)

    def resampled(self, x: Tensor, generator: Generator) -> Tensor:
        """Draws from a batch, with replacement: [B, *shape] -> [kept B, *shape]."""
        n = max(1, round(self.kept * len(x)))
        return x[torch.multinomial(self.chances(x), n, replacement=True, generator=generator)]


PRESETS = {
    "digits": Preset(
        {"alpha": 0.5, "latent": 8, "hidden": 64, "decoder": "logistics"},
        steps=2000,
        batch_size=256,  # half of which are kept
        lr=1e-3,
        weight_decay=0.05,
        ema=0.99,
    ),
    "digits-skewed": Preset(
        {"alpha": 0.1, "latent": 8, "hidden": 64, "decoder": "logistics"},
        steps=4000,
        batch_size=256,  # so that as many are learnt from in a step as by `vae`
        lr=1e-3,
        weight_decay=0.05,
        ema=0.99,
    ),
}

build = DebiasingVAE
