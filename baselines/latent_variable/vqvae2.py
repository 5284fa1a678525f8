"""VQ-VAE-2: two grids of codes, a small one for the whole and a larger one for details, with priors given the class.

    t(x) = nearest codes of E_t(E_b(x)),    b(x) = nearest codes of [E_b(x), D_t(e_t)]       (section 3.1, figure 2a)
    p(x | y) = sum_{t, b} p(t | y) p(b | t, y) p(x | e_t, e_b)

The upper codes t are found first, and the lower ones are told of them, so that b need not repeat what t says already;
the decoder sees both. Stage two fits the two priors to the codes of the training images: self-attention over the
upper grid, and self-attention over the lower one that is told at every place of the upper codes and of the class.

The codes are a function of x, so the bound log p(x | t(x), b(x)) + log p(t(x), b(x) | y) has no noise: it is one term
of the sum over all codes. For p(x) without a class this term is summed over the classes, for which nothing has to be
approximated: log p(t, b) = log 1/C sum_y p(t | y) p(b | t, y). What is reported is that, as for every conditional
model; given the label the same prior says more, and answers another question.

References:
    Generating diverse high-fidelity images with VQ-VAE-2 (Razavi, van den Oord, Vinyals, 2019), sections 3.1 and 3.2,
        algorithms 1 and 2.
    Neural Discrete Representation Learning (van den Oord, Vinyals, Kavukcuoglu, 2017), for codes and codebooks.

NOTE: both priors are Transformers. The paper's lower prior is a PixelCNN without attention, for lack of memory at
64 x 64; here it has 16 places. There is no rejection of samples by a classifier (section 3.3): it is of another model.
"""

import math
from typing import Any

import torch
from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage

from .._layers import categorical_log_likelihood, normalised, sample_categorical
from ..autoregressive.image_transformer import ImageTransformer
from .vqvae import Codebook, decoder, encoder

VERSION = 1


class LowerPrior(ImageTransformer):
    """p(b | t, y), where what is known of t and y reaches every place as features: `told` [n, D, width], for labels."""

    def place(self, n: int, told: Tensor | None) -> Tensor:
        place = super().place(n, None)
        return place if told is None else place + told


class VQVAE2(nn.Module):
    """Latents are rows [n, d] of int64: the upper codes, then the lower ones. `labels` are int64 [B].

    Arguments:
        space: images [C, H, W] of integer levels, of sides that can be halved twice.
        classes: C.
        width, blocks, dropout: features and residual blocks of encoders and decoders; dropout of the last decoder.
        codes, dim: K and the dimension of the vectors of either codebook.
        beta: weight of the commitment loss.
        prior_width, prior_layers, prior_heads, prior_hidden, prior_dropout: of both Transformers over codes.
    """

    def __init__(
        self,
        space: Space,
        *,
        classes: int = 10,
        width: int = 32,
        blocks: int = 2,
        dropout: float = 0.0,
        codes: int = 64,
        dim: int = 16,
        beta: float = 0.25,
        prior_width: int = 64,
        prior_layers: int = 3,
        prior_heads: int = 4,
        prior_hidden: int = 128,
        prior_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not space.is_image or space.levels is None:
            raise ValueError("it models images [C, H, W] of integer levels")
        C, H, W = space.shape
        if H % 4 or W % 4:
            raise ValueError(f"{H}x{W} cannot be halved twice")
        self.space, self.n_classes, self.beta = space, classes, beta
        self.upper_grid = Space((1, H // 4, W // 4), levels=codes)
        self.lower_grid = Space((1, H // 2, W // 2), levels=codes)
        self.lower_encoder = encoder(C, width, width, 1, blocks)
        self.upper_encoder = encoder(width, width, dim, 1, blocks)
        self.upper_book, self.lower_book = Codebook(codes, dim), Codebook(codes, dim)
        self.upper_decoder = decoder(width, width, dim, 1, blocks, 0.0)  # without dropout: codes are functions of x
        self.join = nn.Conv2d(2 * width, dim, 1)
        self.widen = nn.ConvTranspose2d(dim, dim, 4, 2, 1)
        self.decoder = decoder(C * space.levels, width, 2 * dim, 1, blocks, dropout)
        sizes: dict[str, Any] = {
            "width": prior_width,
            "layers": prior_layers,
            "heads": prior_heads,
            "hidden": prior_hidden,
            "window": self.lower_grid.dim,  # everything before, on either grid
            "dropout": prior_dropout,
        }
        self.upper_prior = ImageTransformer(self.upper_grid, **sizes, classes=classes)
        self.lower_prior = LowerPrior(self.lower_grid, **sizes)
        self.tell_codes = nn.Sequential(
            nn.Conv2d(dim, prior_width, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(prior_width, prior_width, 4, 2, 1)
        )
        self.tell_class = nn.Embedding(classes, prior_width)

    @property
    def latent_space(self) -> Space:
        """The space of the codes: where it is small, the harness sums over all of them."""
        return Space((self.upper_grid.dim + self.lower_grid.dim,), levels=self.upper_grid.levels)

    def split(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """[n, d] -> t [n, 1, H / 4, W / 4], b [n, 1, H / 2, W / 2]."""
        t, b = z.split([self.upper_grid.dim, self.lower_grid.dim], dim=1)
        return t.view(-1, *self.upper_grid.shape), b.view(-1, *self.lower_grid.shape)

    def codes(self, x: Tensor) -> Tensor:
        """t(x) and b(x): [B, C, H, W] -> [B, d]."""
        features = self.lower_encoder(normalised(x, self.space))
        t = self.upper_book.nearest(self.upper_encoder(features))
        b = self.lower_book.nearest(self.details(features, self.upper_book(t)))
        return torch.cat([t.flatten(1), b.flatten(1)], 1)

    def details(self, features: Tensor, e: Tensor) -> Tensor:
        """What the lower codes are nearest to, given the vectors of the upper ones: -> [B, dim, H / 2, W / 2]."""
        return self.join(torch.cat([features, self.upper_decoder(e)], 1))

    def logits(self, upper: Tensor, lower: Tensor) -> Tensor:
        """Of every level, from code vectors [B, dim, H / 4, W / 4] and [B, dim, H / 2, W / 2] -> [B, L, C, H, W]."""
        both = torch.cat([self.widen(upper), lower], 1)
        return self.decoder(both).unflatten(1, (self.space.shape[0], -1)).transpose(1, 2)

    def decode(self, z: Tensor) -> Tensor:
        """The same from codes [n, d]."""
        t, b = self.split(z)
        return self.logits(self.upper_book(t), self.lower_book(b))

    def stages(self) -> tuple[Stage, ...]:
        priors = nn.ModuleList([self.upper_prior, self.lower_prior, self.tell_codes, self.tell_class])
        of_priors = set(priors.parameters())
        autoencoder = [p for p in self.parameters() if p not in of_priors]
        return (
            Stage("codes", (Objective("codes", autoencoder, self.code_loss),), self.distortion),
            Stage("priors", (Objective("priors", list(priors.parameters()), self.prior_loss),), self.bound_loss),
        )

    def code_loss(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """Equation 2 of both levels (algorithm 1). Gradients pass straight through the codes."""
        features = self.lower_encoder(normalised(x, self.space))
        upper, far = self.quantised(self.upper_book, self.upper_encoder(features), generator)
        lower, near = self.quantised(self.lower_book, self.details(features, upper), generator)
        return (self.beta * (far + near) - categorical_log_likelihood(self.logits(upper, lower), x)).mean()

    def quantised(self, book: Codebook, z: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """The nearest vectors, with the gradient of z, and the squared distances [B] that bind z to them."""
        book.update(z.detach(), generator)
        e = book(book.nearest(z))
        return z + (e - z).detach(), (z - e).square().flatten(1).sum(1)

    def distortion(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """-log p(x | t(x), b(x)), in nats."""
        return -self.log_likelihood(x, self.codes(x)).mean()

    def prior_loss(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """-log p(t(x), b(x) | y), in nats; training always knows y."""
        assert labels is not None
        with torch.no_grad():
            z = self.codes(x)
        return -self.log_prior(z, labels).mean()

    def bound_loss(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """Of p(x), whatever the labels: what is reported chooses the weights."""
        return -self.elbo(x, generator).mean()

    def told(self, t: Tensor, labels: Tensor) -> Tensor:
        """What the lower prior knows at each place: [n, 1, H / 4, W / 4], [n] -> [n, H W / 4, prior width]."""
        maps = self.tell_codes(self.upper_book(t)) + self.tell_class(labels)[:, :, None, None]
        return maps.flatten(2).transpose(1, 2)

    def log_prior(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(t, b | y), without labels log 1/C sum_y p(t, b | y): [n, d] -> [n]."""
        if labels is None:
            given = [self.log_prior(z, torch.full_like(z[:, 0], y)) for y in range(self.n_classes)]
            return torch.stack(given).logsumexp(0) - math.log(self.n_classes)
        t, b = self.split(z)
        return self.upper_prior.log_prob(t, labels) + self.lower_prior.log_prob(b, self.told(t, labels))

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | t, b), of which y is no part: [n, C, H, W], [n, d] -> [n]."""
        return categorical_log_likelihood(self.decode(z), x)

    def elbo(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """log p(z | y) + log p(x | z) at z = t(x), b(x), without labels with log p(z) -> [B]. It has no noise."""
        z = self.codes(x)
        return self.log_prior(z, labels) + self.log_likelihood(x, z)

    def sample_prior(self, n: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """t, then b given it, y uniform where it is not given -> [n, d]."""
        if labels is None:
            labels = torch.randint(self.n_classes, (n,), generator=generator, device=generator.device)
        with torch.no_grad():
            t = self.upper_prior.sample(n, generator, labels)
            b = self.lower_prior.sample(n, generator, self.told(t, labels))
        return torch.cat([t.flatten(1), b.flatten(1)], 1)

    def observe(self, z: Tensor, generator: Generator) -> Tensor:
        """One draw of p(x | t, b): [n, d] -> [n, C, H, W]."""
        return sample_categorical(self.decode(z).movedim(1, -1), generator)

    def sample(self, n: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """Algorithm 2."""
        return self.observe(self.sample_prior(n, generator, labels), generator)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The vectors of all codes, which no class has a say in: [B, C, H, W] -> [B, dim d]."""
        t, b = self.split(self.codes(x))
        return torch.cat([self.upper_book(t).flatten(1), self.lower_book(b).flatten(1)], 1)

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """E[x' | t(x), b(x)], in the raw range: [B, C, H, W] -> [B, C, H, W]."""
        p = self.decode(self.codes(x)).softmax(1)
        return (p.movedim(1, -1) * torch.arange(p.shape[1], device=p.device)).sum(-1)


PRESETS = {
    "digits": Preset(
        {
            "width": 18,
            "blocks": 1,
            "dropout": 0.2,
            "codes": 16,
            "dim": 8,
            "prior_width": 28,
            "prior_layers": 2,
            "prior_hidden": 56,
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

build = VQVAE2
