"""PixelVAE: a VAE whose decoder is autoregressive within a window, so that z says what the window cannot.

    p(x | z) = prod_i p(x_i | x_window(i), z),    window(i): earlier pixels, at most `reach` rows or columns away

With no window (`reach` 0) every pixel knows z alone, and this is a plain VAE. With a window that holds all earlier
pixels the decoder can be any distribution by itself, and then the best bound ignores z:

    bound = log p(x) - KL(q(z | x) || p(z | x))

is log p(x) exactly if p(x | z) = p(x) and q(z | x) = p(z). As soon as z says something, q misses some of the true
posterior, and that KL is the price of what the window says for nothing: *posterior collapse* is the optimum, no
failure of the optimiser (Chen et al. 2017, section 2). There are two cures, one of the model and one of its training.

* A small window. Texture is cheap to tell from neighbours, the global shape is not and has to come from z: a code that
  is lossy by design (section 3.1).
* Free bits. A latent's KL counts only from `free` nats on, sum_j max(free, mean over the batch of KL_j), so that the
  first nats of each are no expense (Kingma et al. 2016). That objective is no bound; what is
  reported, and what chooses the weights, counts the KL whole.

The window is one masked filter, what follows sees a single pixel. So `reach` is the field exactly, without blind
spot, and the filter's part of log p(x | z) is computed once for all draws of z.

References:
    PixelVAE: A latent variable model for natural images (Gulrajani et al., 2017).
    Variational lossy autoencoder (Chen et al., 2017).
    Improved variational inference with inverse autoregressive flow (Kingma et al., 2016), for free bits.

NOTE: one level of latents, and a prior N(0, I) in the place of the autoregressive flow of Chen et al.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage

from .._layers import kl_to_standard_normal, normalised
from .._observations import Observation
from ..autoregressive.pixelcnn import MaskedConv2d, groups
from .conv_vae import Deconvolutions, encoder
from .vae import VAE

VERSION = 1
DRAWS = 32  # of x, in the mean of p(x | z)


class Windowed(Observation):
    """p(x | h) value by value in raster order, channels last: h tells every pixel P C features.

    Arguments:
        reach: rows above, and columns to either side, that a pixel sees; itself only its channels before.
        width: features of a pixel.
        depth: residual layers at each pixel.
        dropout: on what the filter gives, while training. What is missing there z has to say.
    """

    def __init__(self, space: Space, per_value: int, reach: int, width: int, depth: int, dropout: float) -> None:
        assert space.levels is not None
        super().__init__(space, per_value)
        C, self.reach = space.shape[0], reach
        g = groups(width, C)
        self.filter = MaskedConv2d(groups(C, C), g, reach, strict=True)
        self.dropout = nn.Dropout(dropout)
        self.told = nn.Conv2d(per_value * C, width, 1)
        self.layers = nn.ModuleList(MaskedConv2d(g, g, 0) for _ in range(depth))
        self.output = MaskedConv2d(g, groups(C * space.levels, C), 0)

    def padded(self, x: Tensor) -> Tensor:
        return F.pad(normalised(x, self.space), (self.reach, self.reach, self.reach, 0))

    def maps(self, h: Tensor) -> Tensor:
        """[n, P D] -> what every pixel is told [n, width, H, W]."""
        C, H, W = self.space.shape
        return self.told(h.view(-1, self.per_value * C, H, W))

    def logits(self, seen: Tensor, told: Tensor) -> Tensor:
        """[n, width, h, w] each -> [n, L, C, h, w]."""
        h = seen + told
        for layer in self.layers:
            h = h + layer(F.silu(h))
        return self.output(F.silu(h)).unflatten(1, (self.space.shape[0], -1)).transpose(1, 2)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        lead = h.shape[:-1]
        seen = self.dropout(self.filter(self.padded(x)))
        seen = seen.expand(*lead, *seen.shape[1:]).reshape(-1, *seen.shape[1:])  # the same for every draw of z
        target = x.expand(*lead, *x.shape[1:]).reshape(-1, *x.shape[1:])
        nats = F.cross_entropy(self.logits(seen, self.maps(h)), target, reduction="none")
        return -nats.flatten(1).sum(1).view(lead)

    def quantiles(self, h: Tensor, u: Tensor) -> Tensor:
        """The observations whose values are the quantiles u [n or 1, *shape] of their conditionals -> [n, *shape]."""
        C, H, W = self.space.shape
        r, told = self.reach, self.maps(h)
        x = torch.zeros(len(h), C, H, W, dtype=torch.int64, device=h.device)
        for i, j, c in itertools.product(range(H), range(W), range(C)):
            seen = self.filter(self.padded(x)[:, :, i : i + r + 1, j : j + 2 * r + 1])
            logits = self.logits(seen, told[:, :, i : i + 1, j : j + 1])[:, :, c, 0, 0]
            below = logits.softmax(1).cumsum(1)[:, :-1]  # the last level is what is left
            x[:, c, i, j] = (below <= u[:, c, i, j, None]).sum(1)
        return x

    def sample(self, h: Tensor, generator: Generator) -> Tensor:
        return self.quantiles(h, torch.rand(len(h), *self.space.shape, generator=generator, device=generator.device))

    def mean(self, h: Tensor) -> Tensor:
        """By `DRAWS` draws with the same uniform numbers for every h: no sum over the values before is possible."""
        generator = torch.Generator().manual_seed(0)
        draws = torch.rand(DRAWS, 1, *self.space.shape, generator=generator).to(h.device)
        return torch.stack([self.quantiles(h, u).float() for u in draws]).mean(0)


class PixelVAE(VAE):
    """The bound, its weights and the sampler are those of `vae`, the encoder that of `conv_vae`.

    Arguments:
        space: images [C, H, W] of integer levels.
        reach: of the window, see above; the larger of height and width less one sees all that came before.
        free: nats of each latent that cost nothing in training.
        latent: dimensions of z.
        maps: features at full resolution of the encoder, and of what the decoder tells each value.
        halvings: of height and width, on both sides.
        width, depth: features and layers of the decoder at each pixel.
        dropout: in both networks, and on what the window says, in training.
    """

    def __init__(
        self,
        space: Space,
        *,
        reach: int = 1,
        free: float = 0.0,
        latent: int = 16,
        maps: int = 12,
        halvings: int = 2,
        width: int = 48,
        depth: int = 2,
        dropout: float = 0.0,
    ) -> None:
        if not space.is_image or space.levels is None:
            raise ValueError("it models images [C, H, W] of integer levels")
        if reach < 0 or free < 0 or width < space.shape[0]:
            raise ValueError(f"reach and free are at least 0, width at least {space.shape[0]}: one for each channel")
        super().__init__(space, latent=latent)
        self.free = free
        self.observation = Windowed(space, maps, reach, width, depth, dropout)  # all three in the place of those of vae
        self.encoder = encoder(space, maps, 2 * latent, halvings, dropout)
        self.decoder = Deconvolutions(space, maps, latent, halvings, maps, dropout)

    # E[x | z] is known by draws alone, which jump where z moves: no path may be measured on it.
    expected = None  # type: ignore[assignment]

    def reconstruct(self, x: Tensor) -> Tensor:
        """About E[x | z] at the posterior mean, the mean of `DRAWS` draws: [B, *shape] -> [B, *shape]."""
        return self.mean_of_draws(self.encode(x))

    def mean_of_draws(self, z: Tensor) -> Tensor:
        """[n, latent] -> [n, *shape]."""
        return self.observation.mean(self.decoder(z))

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("train", (Objective("loss", self.parameters(), self.freed),), self.loss),)

    def freed(self, x: Tensor, generator: Generator) -> Tensor:
        """The objective with free bits. (`loss` is that of `vae`, with all of the KL.)"""
        log_p, _ = self.terms(x, generator)
        return self.kl_by_latent(x).clamp(min=self.free).sum() - log_p.mean()

    def kl_by_latent(self, x: Tensor) -> Tensor:
        """The mean of KL(q(z_j | x) || N(0, 1)) over a batch: [B, *shape] -> [latent]."""
        mean, log_sd = self.posterior(x)
        return kl_to_standard_normal(mean, log_sd).mean(0)


PRESETS = {
    "digits": Preset(
        {"reach": 1, "free": 0.1, "latent": 16, "dropout": 0.2},
        steps=900,
        batch_size=128,
        lr=3e-3,
        weight_decay=0.05,
        clip=50.0,
        ema=0.99,
    ),
    "mnist-binary": Preset(
        {"reach": 2, "free": 0.05, "latent": 32, "maps": 6, "width": 48},
        steps=8000,
        batch_size=64,
        lr=2e-3,
        clip=100.0,
        ema=0.999,
        validate_every=1000,
        half=True,
    ),
}

build = PixelVAE
