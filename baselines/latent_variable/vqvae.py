"""VQ-VAE: images as small grids of discrete codes, with an autoregressive prior over the codes.

    p(x) = sum_c p(c) p(x | e_c),    q(c | x) = 1 where every c_ij is the code nearest to z(x)_ij

Stage one learns encoder z, codebook e and decoder; stage two fits the prior, a Gated PixelCNN, to
the codes of the training images. q is a point mass, so the bound log p(c, x) - log q(c | x) has no
noise. It is the logarithm of one term of a sum of positive terms, and so a lower bound on log p(x).

References:
    Neural Discrete Representation Learning (van den Oord, Vinyals, Kavukcuoglu, 2017), equations 1-3;
    appendix A.1: the codebook by moving averages.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage

from .._layers import categorical_log_likelihood, normalised, sample_categorical
from ..autoregressive.gated_pixelcnn import GatedPixelCNN

VERSION = 1


class Codebook(nn.Module):
    """K vectors e_k, each the moving average of the encoder's outputs that are nearest to it.

        N_k <- g N_k + (1 - g) n_k,    e_k <- e_k + (1 - g) (S_k - n_k e_k) / N_k

    with n_k the number and S_k the sum of a batch's outputs assigned to k. That is equations 6-8
    of the paper with m_k = N_k e_k put in: a code without outputs stays exactly where it is. A code that
    had none for long (every code, at first) is put on an output drawn by the generator.

    Arguments:
        decay: g.
        dead: the moving average N_k below which a code is put elsewhere.
    """

    vectors: Tensor
    count: Tensor

    def __init__(self, size: int, dim: int, decay: float = 0.99, dead: float = 0.5) -> None:
        super().__init__()
        self.decay, self.dead = decay, dead
        self.register_buffer("vectors", torch.randn(size, dim))
        self.register_buffer("count", torch.zeros(size))

    def nearest(self, z: Tensor) -> Tensor:
        """Equation 1: [B, d, h, w] -> [B, 1, h, w] int64."""
        e = self.vectors
        distance = e.square().sum(1) - 2 * z.movedim(1, -1) @ e.T  # |z - e|^2 without |z|^2: [B, h, w, K]
        return distance.argmin(-1).unsqueeze(1)

    def forward(self, codes: Tensor) -> Tensor:
        """[B, 1, h, w] -> [B, d, h, w]."""
        return F.embedding(codes[:, 0], self.vectors).movedim(-1, 1)

    @torch.no_grad()
    def update(self, z: Tensor, generator: Generator) -> None:
        """One step of the moving averages, from a batch of the encoder's outputs [B, d, h, w]."""
        outputs = z.movedim(1, -1).flatten(0, 2)  # [n, d]
        dead = (self.count < self.dead).nonzero()[:, 0]
        drawn = torch.randint(len(outputs), (len(dead),), generator=generator, device=z.device)
        self.vectors[dead], self.count[dead] = outputs[drawn], 1.0
        chosen = F.one_hot(self.nearest(z).flatten(), len(self.vectors)).to(z.dtype)  # [n, K]
        n = chosen.sum(0)
        self.count.mul_(self.decay).add_(n, alpha=1 - self.decay)
        towards = chosen.T @ outputs - n[:, None] * self.vectors
        self.vectors.add_(towards / self.count[:, None], alpha=1 - self.decay)


class Residual(nn.Module):
    """x + f(x), f a 3x3 and a 1x1 convolution, each after a ReLU."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.f = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.Dropout(dropout), nn.ReLU(), nn.Conv2d(width, width, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)


def encoder(inputs: int, width: int, dim: int, halvings: int, blocks: int) -> nn.Sequential:
    """[B, inputs, H, W] -> [B, dim, H / 2^halvings, W / 2^halvings]. No dropout: a code is a function of x."""
    halve = [layer for _ in range(halvings) for layer in (nn.ReLU(), nn.Conv2d(width, width, 4, 2, 1))]
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1),
        *halve,
        *(Residual(width, 0.0) for _ in range(blocks)),
        nn.ReLU(),
        nn.Conv2d(width, dim, 1),
    )


def decoder(outputs: int, width: int, dim: int, halvings: int, blocks: int, dropout: float) -> nn.Sequential:
    """[B, dim, h, w] -> [B, outputs, h 2^halvings, w 2^halvings]."""
    double = [layer for _ in range(halvings) for layer in (nn.ReLU(), nn.ConvTranspose2d(width, width, 4, 2, 1))]
    return nn.Sequential(
        nn.Conv2d(dim, width, 3, padding=1),
        *(Residual(width, dropout) for _ in range(blocks)),
        *double,
        nn.ReLU(),
        nn.Conv2d(width, outputs, 3, padding=1),
    )


class QuantisedAutoencoder(nn.Module):
    """Stage one: encoder, codebook and decoder. What it says of x by a grid of codes, and how well.

    Arguments:
        width, blocks, dropout: features and residual blocks of encoder and decoder; dropout of the decoder.
        codes, dim: K and the dimension of the codebook's vectors.
        halvings: how often the encoder halves height and width.
        beta: weight of the commitment loss.
    """

    def __init__(
        self,
        space: Space,
        *,
        width: int,
        blocks: int,
        dropout: float,
        codes: int,
        dim: int,
        halvings: int,
        beta: float,
    ) -> None:
        super().__init__()
        if not space.is_image or space.levels is None:
            raise ValueError("it models images [C, H, W] of integer levels")
        C, H, W = space.shape
        if H % 2**halvings or W % 2**halvings:
            raise ValueError(f"{H}x{W} cannot be halved {halvings} times")
        self.space, self.beta = space, beta
        self.encoder = encoder(C, width, dim, halvings, blocks)
        self.codebook = Codebook(codes, dim)
        self.decoder = decoder(C * space.levels, width, dim, halvings, blocks, dropout)
        self.grid = Space((1, H >> halvings, W >> halvings), levels=codes)

    def codes(self, x: Tensor) -> Tensor:
        """c(x): [B, C, H, W] -> [B, 1, h, w] int64."""
        return self.codebook.nearest(self.encoder(normalised(x, self.space)))

    def logits(self, e: Tensor) -> Tensor:
        """[B, d, h, w] -> [B, L, C, H, W]."""
        return self.decoder(e).unflatten(1, (self.space.shape[0], -1)).transpose(1, 2)

    def code_stage(self) -> Stage:
        autoencoder = [*self.encoder.parameters(), *self.decoder.parameters()]
        return Stage("codes", (Objective("codes", autoencoder, self.code_loss),), self.distortion)

    def code_loss(self, x: Tensor, generator: Generator) -> Tensor:
        """Equation 3; the codebook's own term is its moving average. Gradients pass straight through the codes."""
        z = self.encoder(normalised(x, self.space))
        self.codebook.update(z.detach(), generator)
        e = self.codebook(self.codebook.nearest(z))
        commitment = (z - e).square().flatten(1).sum(1)
        log_p = categorical_log_likelihood(self.logits(z + (e - z).detach()), x)
        return (self.beta * commitment - log_p).mean()

    def distortion(self, x: Tensor, generator: Generator) -> Tensor:
        """-log p(x | c(x)), in nats."""
        return -self.log_likelihood(x, self.codes(x)).mean()

    def log_likelihood(self, x: Tensor, codes: Tensor) -> Tensor:
        """log p(x | c): [n, C, H, W], [n, 1, h, w] -> [n]."""
        return categorical_log_likelihood(self.logits(self.codebook(codes)), x)

    def observe(self, codes: Tensor, generator: Generator) -> Tensor:
        """One draw of p(x | c): [n, 1, h, w] -> [n, C, H, W]."""
        return sample_categorical(self.logits(self.codebook(codes)).movedim(1, -1), generator)

    def encode(self, x: Tensor) -> Tensor:
        """The code vectors of the grid, flattened -> [B, d h w]."""
        return self.codebook(self.codes(x)).flatten(1)

    def reconstruct(self, x: Tensor) -> Tensor:
        """E[x' | c(x)] -> [B, C, H, W] float."""
        p = self.logits(self.codebook(self.codes(x))).softmax(1)
        return (p.movedim(1, -1) * torch.arange(p.shape[1], device=p.device)).sum(-1)


class VQVAE(QuantisedAutoencoder):
    """A bound on log p(x) without noise; samples by prior and decoder.

    Arguments:
        width, blocks, dropout, codes, dim, halvings, beta: of the autoencoder.
        prior_width, prior_depth, prior_dropout: of the Gated PixelCNN over codes.
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
        prior_width: int = 32,
        prior_depth: int = 6,
        prior_dropout: float = 0.0,
    ) -> None:
        super().__init__(
            space, width=width, blocks=blocks, dropout=dropout, codes=codes, dim=dim, halvings=halvings, beta=beta
        )
        self.prior = GatedPixelCNN(
            self.grid, width=prior_width, depth=prior_depth, first=3, dropout=prior_dropout, one_hot=True
        )

    @property
    def latent_space(self) -> Space:
        """The space of the codes: where it is small, the harness sums over all of them."""
        return self.grid

    def stages(self) -> tuple[Stage, ...]:
        prior = list(self.prior.parameters())
        return self.code_stage(), Stage("prior", (Objective("prior", prior, self.prior_loss),), self.bound_loss)

    def prior_loss(self, x: Tensor, generator: Generator) -> Tensor:
        """-log p(c(x)), in nats."""
        with torch.no_grad():
            codes = self.codes(x)
        return -self.log_prior(codes).mean()

    def bound_loss(self, x: Tensor, generator: Generator) -> Tensor:
        return -self.elbo(x, generator).mean()

    def log_prior(self, codes: Tensor) -> Tensor:
        """log p(c): [n, 1, h, w] int64 -> [n]."""
        return self.prior.log_prob(codes)

    def elbo(self, x: Tensor, generator: Generator) -> Tensor:
        """log p(c(x)) + log p(x | c(x)) -> [B].

        q(c | x) is a point mass, so the bound has no noise. For the same reason its exp is no importance weight,
        which would be p(x) in expectation: p(x) is the sum of the same term over all codes.
        """
        codes = self.codes(x)
        return self.log_prior(codes) + self.log_likelihood(x, codes)

    def sample_prior(self, n: int, generator: Generator) -> Tensor:
        """c from the prior -> [n, 1, h, w] int64."""
        return self.prior.sample(n, generator)

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
            "prior_width": 20,
            "prior_depth": 4,
            "prior_dropout": 0.3,
        },
        steps=3000,
        batch_size=64,
        lr=2e-3,
        weight_decay=0.02,
        ema=0.99,
        validate_every=100,
    ),
}

build = VQVAE
