"""BigGAN in small: residual blocks, class-conditional batch normalisation, self-attention, hinge loss, truncation.

    critic      min_D  E relu(1 - D(x, y)) + E relu(1 + D(G(z, y), y))
    generator   min_G  -E D(G(z, y), y) + beta sum_W |W W^T * (1 - I)|^2

z is cut in pieces, one for the first layer and one for every block, which meets the class embedding e(y) there; the two
set the gain and the bias of each batch normalisation. The critic judges the class by an inner product with what it saw,
D(x, y) = psi(phi(x)) + <v(y), phi(x)>. All weights, but for the gains and embeddings of the generator, have spectral
norm one (see `gan`). The penalty keeps the rows of a weight orthogonal, without a say in their length: it makes the
generator smooth, so that also a z that is not drawn as in training gives a good image. Then z may be drawn from
a normal truncated at +-t: samples nearer to the middle, better and less various.

References:
    Large Scale GAN Training for High Fidelity Natural Image Synthesis (Brock, Donahue and Simonyan, 2019), section 3,
    equation 3, appendix B; cGANs with Projection Discriminator (Miyato and Koyama, 2018), equation 4;
    Self-Attention Generative Adversarial Networks (Zhang et al., 2019), equations 1 to 3.
"""

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from genbench import Preset, Space

from ._skeleton import ClassConditional

VERSION = 1
PIECES = 3  # of z: for the first layer and for two blocks


def conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Module:
    return spectral_norm(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2))


class ConditionalNorm(nn.Module):
    """Batch normalisation whose gain and bias are linear in c: x [B, C, H, W], c [B, d]."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain, self.bias = (nn.Linear(condition, channels, bias=False) for _ in range(2))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        return self.norm(x) * (1 + self.gain(c))[:, :, None, None] + self.bias(c)[:, :, None, None]


class Attention(nn.Module):
    """x + gamma o(softmax(q(x)^T k(x)) v(x)) over all places; gamma begins at zero, so that learning begins locally."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.q, self.k = (conv(channels, max(1, channels // 8), 1) for _ in range(2))
        self.v, self.out = conv(channels, channels // 2, 1), conv(channels // 2, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (f(x).flatten(2) for f in (self.q, self.k, self.v))  # [B, ., H W]
        weights = (q.transpose(1, 2) @ k).softmax(-1)  # of each place (row) on all places
        return x + self.gamma * self.out((v @ weights.transpose(1, 2)).unflatten(2, x.shape[2:]))


class Up(nn.Module):
    """A residual block that doubles the sides."""

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ConditionalNorm(channels, condition) for _ in range(2))
        self.convs = nn.ModuleList(conv(channels, channels) for _ in range(2))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        x = self.norms[0](x, c).relu()  # as in ResNet's second version, the shortcut is left as it is
        h = self.convs[0](F.interpolate(x, scale_factor=2))
        return F.interpolate(x, scale_factor=2) + self.convs[1](self.norms[1](h, c).relu())


class Down(nn.Module):
    """A residual block that halves the sides."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(nn.ReLU(), conv(inputs, outputs), nn.ReLU(), conv(outputs, outputs), nn.AvgPool2d(2))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), conv(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.convs(x)


class ImageGenerator(nn.Module):
    """(z, one-hot y) `[n, latent + K]` -> images on [-1, 1]."""

    def __init__(self, space: Space, latent: int, width: int, classes: int, embedding: int) -> None:
        super().__init__()
        channels, height, breadth = space.shape
        piece = latent // PIECES
        self.sizes, self.seed = (latent, classes), (width, height // 4, breadth // 4)
        self.embed = nn.Linear(classes, embedding, bias=False)
        self.first = spectral_norm(nn.Linear(piece, math.prod(self.seed)))
        self.blocks = nn.ModuleList(Up(width, piece + embedding) for _ in range(2))
        self.attention = Attention(width)
        self.last = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), conv(width, channels), nn.Tanh())

    def forward(self, zy: Tensor) -> Tensor:
        z, y = zy.split(self.sizes, 1)
        first, *pieces = z.chunk(PIECES, 1)
        e = self.embed(y)
        x = self.first(first).unflatten(1, self.seed)
        x = self.attention(self.blocks[0](x, torch.cat([pieces[0], e], 1)))
        return self.last(self.blocks[1](x, torch.cat([pieces[1], e], 1)))


def orthogonality(generator: nn.Module) -> Tensor:
    """Sum over its weights of the squared inner products of their different rows, equation 3; but for the embedding."""
    total = torch.zeros(())
    for name, module in generator.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and name != "embed":
            rows = module.weight.flatten(1)
            products = rows @ rows.T
            total = total + (products - products.diag().diag()).square().sum()
    return total


class ImageCritic(nn.Module):
    """(x, one-hot y) `[n, D + K]` -> [n, 1]."""

    def __init__(self, space: Space, width: int, classes: int) -> None:
        super().__init__()
        self.shape, self.sizes = space.shape, (space.dim, classes)
        self.features = nn.Sequential(
            conv(space.shape[0], width), Down(width, width), Attention(width), Down(width, 2 * width), nn.ReLU()
        )
        self.score = spectral_norm(nn.Linear(2 * width, 1))
        self.embed = spectral_norm(nn.Linear(classes, 2 * width, bias=False))

    def forward(self, xy: Tensor) -> Tensor:
        x, y = xy.split(self.sizes, 1)
        h = self.features(x.unflatten(1, self.shape)).sum((2, 3))
        return self.score(h) + (self.embed(y) * h).sum(1, keepdim=True)


class BigGAN(ClassConditional):
    """Arguments:
    latent: dimensions of z, a multiple of 3.
    width, critic_width: channels.
    embedding: dimensions of e(y).
    slope: factor on the scores: a critic whose every layer has norm one is too flat to tell 8x8 images apart.
    repeats: critic steps for each generator step.
    beta: weight of the orthogonal regularisation.
    truncation: t, infinity where z is normal.
    classes: labels are 0 to classes - 1.
    """

    def __init__(
        self,
        space: Space,
        *,
        latent: int = 24,
        width: int = 28,
        critic_width: int = 20,
        embedding: int = 16,
        slope: float = 4.0,
        repeats: int = 2,
        beta: float = 1e-4,
        truncation: float = math.inf,
        classes: int = 10,
    ) -> None:
        if not space.is_image or space.levels is None or space.shape[1] % 4 or space.shape[2] % 4:
            raise ValueError("it needs images of integer values whose sides are multiples of 4")
        if latent % PIECES:
            raise ValueError(f"latent must be a multiple of {PIECES}, got {latent}")
        if not truncation > 0:
            raise ValueError(f"truncation is {truncation}: give a number above 0")
        generator = ImageGenerator(space, latent, width, classes, embedding)
        critic = ImageCritic(space, critic_width, classes)
        super().__init__(space, generator, critic, latent=latent, repeats=repeats)
        self.slope, self.beta, self.truncation, self.n_classes = slope, beta, truncation, classes

    def critic_loss(self, real: Tensor, fake: Tensor, generator: Generator) -> Tensor:
        return (1 - self.slope * self.critic(real)).relu().mean() + (1 + self.slope * self.critic(fake)).relu().mean()

    def generator_loss(self, fake: Tensor) -> Tensor:
        return -self.slope * self.critic(fake).mean() + self.beta * orthogonality(self.generator)

    def sample_prior(self, n: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """z from the normal truncated at +-t (in training it is not truncated), with the class beside it."""
        zy = super().sample_prior(n, generator, labels)
        if math.isinf(self.truncation) or self.training:
            return zy
        z, y = zy.split([self.latent, self.n_classes], 1)
        # Each normal number keeps its rank: u = erf(z / sqrt(2)) is uniform on (-1, 1), and is shrunk to within +-t.
        shrunk = torch.erf(z / math.sqrt(2)) * math.erf(self.truncation / math.sqrt(2))
        return torch.cat([math.sqrt(2) * torch.erfinv(shrunk), y], 1)


PRESETS = {
    "digits": Preset({}, steps=1_500, batch_size=64, lr=1e-3, betas=(0.0, 0.9), ema=0.99, validate_every=200),
}
build = BigGAN
