"""Diffusion on codes: a chain of denoising steps is the prior of a VQ-VAE's codes, and its last step is a categorical.

    stage one   c(x), codebook e and p(x | c) of a VQ-VAE (`latent_variable/vqvae.py`)
    stage two   forward   q(z_t | c) = N(sqrt(abar_t) e_c, (1 - abar_t) I),    t = 1..T
                reverse   p(z_T) = N(0, I),   p(z_{t-1} | z_t) Gaussian,   p(c | z_1) = prod_i categorical

The vectors of codes are points, and latent diffusion as for a VAE would score them by a density p(z_0 = e_c). That is
no probability of c: a VAE pays for a narrow q in its entropy, but q(z_0 | x) is a point mass here, whose entropy is
minus infinity. The density grows without limit as the last step narrows, and summed over all codes it can be anything.
So the chain ends one step earlier, in a distribution over the K codes of each place given z_1. Then
p(c) = int p(c | z_1) p(z_1 | z_2) ... p(z_T) sums to one over all grids c, and with q(z_1..z_T | c) as above Jensen
gives

    log p(c) >= L(c) = E_q log p(c | z_1) - sum_{t>1} E_q KL(q(z_{t-1} | z_t, c) || p(z_{t-1} | z_t))
                       - KL(q(z_T | c) || p(z_T))
    log p(x) >= log p(x | c(x)) + L(c(x)),     one term of the sum over codes p(x) = sum_c p(c) p(x | c)

L is the bound of `ddpm.py` but for its first term, and a draw of noise for each t estimates it without bias.

One network serves all steps: it says which code each place had, p(c_i | z_t), and the mean of e under it is the
estimate of z_0 from which p(z_{t-1} | z_t) is made. By Bayes' rule p(c_i | z_t) is N(z_ti; sqrt(abar_t) e_c,
1 - abar_t) times what the other places say of c_i. The first factor is known and is put in; the network learns the
second.

References:
    High-resolution image synthesis with latent diffusion models (Rombach et al., 2022), section 3.1, VQ-regularised.
    Diffusion-LM improves controllable text generation (Li et al., 2022), equation 2: the chain between words.
    Continuous diffusion for categorical data (Dieleman et al., 2022), section 3.1: the estimate by a softmax.
    Denoising diffusion probabilistic models (Ho, Jain, Abbeel, 2020), equation 5; variational diffusion models
        (Kingma et al., 2021), appendix I.1: times spread evenly over a batch.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage

from .._layers import sample_categorical
from ..autoregressive.image_transformer import Block
from ..latent_variable.vqvae import QuantisedAutoencoder
from .ddpm import Schedule, bound_term

VERSION = 1


class Believer(nn.Module):
    """(z_t [B, d, h, w], t / T [B]) -> what speaks for each code at each place [B, K, h, w], and the share of variance.

    Self-attention over the places, without a mask: everything is noisy at once, and nothing comes first.
    """

    def __init__(self, grid: Space, dim: int, width: int, layers: int, embedding: int, dropout: float) -> None:
        super().__init__()
        assert grid.levels is not None
        self.shape, self.K, self.embedding = grid.shape[1:], grid.levels, embedding
        self.enter, self.time = nn.Linear(dim, width), nn.Linear(embedding, width)
        self.place = nn.Parameter(0.1 * torch.randn(grid.dim, width))
        blocks = [Block(width, 4, 2 * width, dropout) for _ in range(layers)]
        self.blocks: list[Block] = nn.ModuleList(blocks)  # type: ignore[assignment]
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, grid.levels + dim)

    def forward(self, z: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        angle = time[:, None] * torch.logspace(0, 1.5, self.embedding // 2, device=z.device)
        told = self.time(torch.cat([angle.sin(), angle.cos()], 1))
        h = self.enter(z.flatten(2).transpose(1, 2)) + self.place + told[:, None]  # [B, h w, width]
        for block in self.blocks:
            h = block.finish(h, F.scaled_dot_product_attention(*block.projections(h)))
        found = self.head(self.norm(h)).transpose(1, 2).unflatten(2, self.shape)
        return found[:, : self.K], found[:, self.K :].sigmoid()


class CodeDiffusion(QuantisedAutoencoder):
    """Both stages.

    Arguments:
        width, blocks, dropout, codes, dim, halvings, beta: of the autoencoder, as for `vqvae`.
        T, log_snr: of the chain, as in `ddpm.py`; z_0 are code vectors, of mean 0 and mean square 1 over the codebook.
        prior_width, prior_layers, embedding, prior_dropout: of the network, and features of the time.

    Raises:
        ValueError: fewer than two steps, an odd number of features of the time, or heads that do not fit.
    """

    def __init__(
        self,
        space: Space,
        *,
        width: int = 64,
        blocks: int = 2,
        dropout: float = 0.0,
        codes: int = 64,
        dim: int = 16,
        halvings: int = 1,
        beta: float = 0.25,
        T: int = 100,
        log_snr: tuple[float, float] = (5.0, -7.0),
        prior_width: int = 64,
        prior_layers: int = 3,
        embedding: int = 32,
        prior_dropout: float = 0.0,
    ) -> None:
        if T < 2 or embedding % 2 or prior_width % 4:
            raise ValueError("T must be at least 2, embedding even, prior_width a multiple of 4 heads")
        super().__init__(
            space, width=width, blocks=blocks, dropout=dropout, codes=codes, dim=dim, halvings=halvings, beta=beta
        )
        self.schedule = Schedule(torch.linspace(*log_snr, T, dtype=torch.float64))
        self.believer = Believer(self.grid, dim, prior_width, prior_layers, embedding, prior_dropout)

    def stages(self) -> tuple[Stage, ...]:
        chain = list(self.believer.parameters())
        return self.code_stage(), Stage("prior", (Objective("chain", chain, self.chain_loss),), self.negative_elbo)

    @property
    def points(self) -> Tensor:
        """z_0 of every code: [K, d]."""
        centred = self.codebook.vectors - self.codebook.vectors.mean(0)
        return centred / centred.square().mean().sqrt()

    def start(self, codes: Tensor) -> Tensor:
        """z_0: [n, 1, h, w] -> [n, d, h, w]."""
        return F.embedding(codes[:, 0], self.points).movedim(-1, 1)

    def belief(self, zt: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of p(c_i | z_t) [B, K, h, w], and the share of the variance [B, d, h, w]."""
        others, share = self.believer(zt, t / len(self.schedule))
        e = self.points
        abar, noise = self.schedule.at("alpha_bar", t, zt), self.schedule.at("noise", t, zt)
        near = abar.sqrt() * torch.einsum("kd,bdhw->bkhw", e, zt) - 0.5 * abar * e.square().sum(1)[:, None, None]
        return others + near / noise, share  # log N(z_t; sqrt(abar) e_k, noise) without what all k share

    def denoise(self, zt: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The noise in z_t by the mean of e under the belief, as `ddpm.py` asks for it."""
        logits, share = self.belief(zt, t)
        return self.noise_in(zt, t, logits), share

    def noise_in(self, zt: Tensor, t: Tensor, logits: Tensor) -> Tensor:
        z0 = torch.einsum("kd,bkhw->bdhw", self.points, logits.softmax(1))
        abar, noise = self.schedule.at("alpha_bar", t, zt), self.schedule.at("noise", t, zt)
        return (zt - abar.sqrt() * z0) / noise.sqrt()

    def term(self, codes: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """Term t of -L in nats, -log p(c | z_1) at the first: [B, 1, h, w], [B], [B, d, h, w] -> [B]."""
        z0 = self.start(codes)
        zt = self.schedule.diffuse(z0, t, eps)
        logits, share = self.belief(zt, t)  # once for both
        predicted = self.noise_in(zt, t, logits)
        divergence = bound_term(self.schedule, lambda zt, t: (predicted, share), z0, t, eps, None)
        return torch.where(t == 0, F.cross_entropy(logits, codes[:, 0], reduction="none").flatten(1).sum(1), divergence)

    def log_prior_bound(self, codes: Tensor, generator: Generator) -> Tensor:
        """An unbiased estimate of L(c), with one draw of noise for each t: [B, 1, h, w] -> [B]."""
        z0, last = self.start(codes), self.schedule.alpha_bar[-1]
        total = -0.5 * (last * z0**2 - last - torch.log1p(-last)).flatten(1).sum(1)  # KL(q(z_T | c) || N(0, I))
        for step in range(len(self.schedule)):
            t = torch.full((len(z0),), step, device=z0.device)
            total = total - self.term(codes, t, torch.randn(z0.shape, generator=generator, device=z0.device))
        return total

    def chain_loss(self, x: Tensor, generator: Generator) -> Tensor:
        """-L but for its constant, by one term of each example; a batch has its times spread evenly over the chain."""
        with torch.no_grad():
            codes = self.codes(x)
            z0 = self.start(codes)
        spread = torch.arange(len(x), device=x.device) + torch.rand(1, generator=generator, device=x.device)
        t = (spread / len(x) * len(self.schedule)).long().clamp(max=len(self.schedule) - 1)
        eps = torch.randn(z0.shape, generator=generator, device=z0.device)
        return len(self.schedule) * self.term(codes, t, eps).mean()

    def elbo(self, x: Tensor, generator: Generator) -> Tensor:
        """log p(x | c(x)) + L(c(x)), by one draw: [B, *shape] -> [B]."""
        codes = self.codes(x)
        return self.log_likelihood(x, codes) + self.log_prior_bound(codes, generator)

    def negative_elbo(self, x: Tensor, generator: Generator) -> Tensor:
        return -self.elbo(x, generator).mean()

    @torch.no_grad()
    def sample_prior(self, n: int, generator: Generator) -> Tensor:
        """c by the chain, from noise: [n, 1, h, w] int64."""
        shape = n, self.points.shape[1], *self.grid.shape[1:]
        z = torch.randn(shape, generator=generator, device=generator.device)
        for step in reversed(range(1, len(self.schedule))):
            t = torch.full((n,), step, device=z.device)
            mean, log_sd = self.schedule.reverse(self.denoise, z, t, bounded=False)
            z = mean + log_sd.exp() * torch.randn(z.shape, generator=generator, device=z.device)
        logits, _ = self.belief(z, torch.zeros(n, dtype=torch.int64, device=z.device))
        return sample_categorical(logits.movedim(1, -1), generator)[:, None]

    def sample(self, n: int, generator: Generator) -> Tensor:
        return self.observe(self.sample_prior(n, generator), generator)


PRESETS = {
    "digits": Preset(
        {
            "width": 24,
            "blocks": 2,
            "dropout": 0.2,
            "codes": 32,
            "dim": 8,
            "T": 100,
            "prior_width": 40,
            "prior_layers": 2,
            "prior_dropout": 0.2,
        },
        steps=3000,  # stage one as in `vqvae`
        batch_size=64,
        lr=2e-3,
        weight_decay=0.02,
        ema=0.99,
        validate_every=100,
    ),
}

build = CodeDiffusion
