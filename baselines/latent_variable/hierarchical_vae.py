"""Hierarchical VAE in the manner of NVAE: groups of latents from coarse maps to fine ones, each given those before it.

    p(x, z) = p(z_1) prod_l p(z_l | z_<l) p(x | z),    q(z | x) = prod_l q(z_l | z_<l, x)
    p(z_l | z_<l) = N(mu_l, sd_l),    q(z_l | z_<l, x) = N(mu_l + dmu_l, sd_l dsd_l)                  (section 3.2)
    KL(q_l || p_l) = 1/2 (dmu_l^2 / sd_l^2 + dsd_l^2 - log dsd_l^2 - 1)                               (equation 2)

A residual posterior says how x moves the prior: where x says nothing of a latent its KL is zero at dmu = 0, dsd = 1,
whatever the prior has become meanwhile. One pass upwards gives features of x at every scale; one pass downwards
draws the groups in turn, each from the state h that those before it left, and the same pass without x draws samples.

The prior is autoregressive over groups where h keeps all of them, h <- h + f_l(z_l). With `prior="markov"` a group
is told only of the one before, h <- f_l(z_l), and x only of the last: as deep, without the shortcuts.

The KL between steep networks is unbounded, and training diverges by it. Spectral regularisation adds
lambda sum_i s_i to the loss, s_i the largest singular value of layer i, so that outputs move little with inputs (3.2).

References:
    NVAE: A deep hierarchical variational autoencoder (Vahdat, Kautz, 2020), sections 3.1 and 3.2.
    Spectral norm regularization (Yoshida, Miyato, 2017), algorithm 1, for the power iteration.

NOTE: plain residual cells, without batch normalisation, squeeze-and-excitation and depthwise convolutions.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage

from .._layers import log_normal, normalised
from .._observations import observation_of
from .vae import ROWS

VERSION = 1
LARGEST = 5.0  # of a log sd: what goes beyond is bent back


class Conv(nn.Conv2d):
    """A convolution that knows its largest singular value, as a matrix from what is under a filter to the outputs."""

    u: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2)
        self.register_buffer("u", F.normalize(torch.randn(outputs), dim=0))

    def norm(self) -> Tensor:
        """By one more step of a power iteration, which goes on from step to step of training."""
        matrix = self.weight.flatten(1)
        with torch.no_grad():
            v = F.normalize(matrix.T @ self.u, dim=0)
            self.u.copy_(F.normalize(matrix @ v, dim=0))
        return self.u.clone() @ matrix @ v


class Residual(nn.Module):
    """x + f(x), f two convolutions."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.f = nn.Sequential(nn.SiLU(), Conv(width, width), nn.SiLU(), nn.Dropout(dropout), Conv(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x)


class Group(nn.Module):
    """The networks of one group, a map of c latents at each place of the state h."""

    def __init__(self, width: int, channels: int, first: bool, keeps: bool, dropout: float) -> None:
        super().__init__()
        self.first, self.keeps = first, keeps
        self.prior = Conv(width, 2 * channels, 1)
        self.posterior = nn.Sequential(Conv(2 * width, width, 1), nn.SiLU(), Conv(width, 2 * channels, 1))
        self.enter = Conv(channels, width, 1)
        self.cell = Residual(width, dropout)

    def p(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log sd of p(z_l | z_<l), N(0, I) of the first group: [n, w, H, W] -> [n, c, H, W] each."""
        mean, log_sd = self.prior(F.silu(h)).chunk(2, dim=1)
        return (0 * mean, 0 * log_sd) if self.first else (mean, bent(log_sd))

    def residual(self, h: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """dmu and log dsd."""
        dmu, log_dsd = self.posterior(F.silu(torch.cat([h, features], dim=1))).chunk(2, dim=1)
        return dmu, bent(log_dsd)

    def join(self, h: Tensor, z: Tensor) -> Tensor:
        """The state after z_l."""
        entered = self.enter(z)
        return self.cell(h + entered if self.keeps else entered)


def bent(log_sd: Tensor) -> Tensor:
    return LARGEST * torch.tanh(log_sd / LARGEST)


class HierarchicalVAE(nn.Module):
    """Latents are rows [n, d]: all groups, the coarsest first, flattened one after another.

    Arguments:
        space: images [C, H, W].
        width: features of every map.
        channels: c, latents at each place of a group.
        halvings: scales, each half of the one before; the finest is half of x.
        groups: at each scale.
        prior: "autoregressive" or "markov".
        spectral: lambda.
        dropout: in the residual cells, while training.
        decoder: the family of p(x | z), see `observation_of`.
    """

    def __init__(
        self,
        space: Space,
        *,
        width: int = 24,
        channels: int = 4,
        halvings: int = 2,
        groups: int = 2,
        prior: str = "autoregressive",
        spectral: float = 0.0,
        dropout: float = 0.0,
        decoder: str = "natural",
    ) -> None:
        super().__init__()
        if not space.is_image:
            raise ValueError("it models images [C, H, W]")
        if prior not in ("autoregressive", "markov"):
            raise ValueError(f"prior is 'autoregressive' or 'markov', not {prior!r}")
        if min(width, channels, halvings, groups) < 1:
            raise ValueError("width, channels, halvings and groups are at least 1")
        C, H, W = space.shape
        self.space, self.spectral, self.per_scale = space, spectral, groups
        self.observation = observation_of(space, decoder)
        if not self.observation.is_likelihood:
            raise ValueError("a Bernoulli of grey values is a pseudo-likelihood, by which nothing here can be weighed")
        self.sizes = [(-(-H // 2**s), -(-W // 2**s)) for s in range(halvings, -1, -1)]  # from the coarsest to x
        self.shapes = [(channels, *size) for size in self.sizes[:-1] for _ in range(groups)]  # of the groups
        self.stem = Conv(C, width)
        self.ups = nn.ModuleList(  # from x to the coarsest
            nn.Sequential(nn.SiLU(), Conv(width, width, 3, 2), Residual(width, dropout)) for _ in range(halvings)
        )
        self.places = nn.ParameterList(torch.zeros(width, *size) for size in self.sizes)  # what lies where, learned
        keeps = prior == "autoregressive"
        self.groups: list[Group] = nn.ModuleList(  # type: ignore[assignment]
            Group(width, channels, i == 0, keeps, dropout) for i in range(halvings * groups)
        )
        self.downs = nn.ModuleList(Residual(width, dropout) for _ in range(halvings))
        self.output = Conv(width, self.observation.per_value * C)

    def posterior(self, x: Tensor) -> list[Tensor]:
        """The features of x at every scale, the coarsest first: [B, *shape] -> [B, w, H_s, W_s] each."""
        features = [self.stem(normalised(x, self.space))]
        for up in self.ups:
            features.insert(0, up(features[0]))
        return features[:-1]

    def descend(self, n: int, choose: Callable[[int, Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        """The pass downwards, of n rows -> what p(x | z) is made of [n, P D].

        Arguments:
            choose: from the number of a group, h, and mean and log sd of its prior, z_l [n, c, H_s, W_s].
        """
        h = self.places[0].expand(n, -1, -1, -1)
        for i, group in enumerate(self.groups):
            mean, log_sd = group.p(h)
            h = group.join(h, choose(i, h, mean, log_sd))
            if (i + 1) % self.per_scale == 0:
                s = (i + 1) // self.per_scale
                h = self.downs[s - 1](F.interpolate(h, self.sizes[s], mode="nearest") + self.places[s])
        return self.output(F.silu(h)).flatten(1)

    def given(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """log p(z), and what p(x | z) is made of: [n, d] -> [n], [n, P D]."""
        maps = [part.unflatten(1, shape) for part, shape in zip(self.split(z), self.shapes, strict=True)]
        log_p = [z.new_zeros(len(z))]

        def choose(i: int, h: Tensor, mean: Tensor, log_sd: Tensor) -> Tensor:
            log_p.append(log_normal(maps[i], mean, log_sd).flatten(1).sum(1))
            return maps[i]

        outputs = self.descend(len(z), choose)
        return torch.stack(log_p).sum(0), outputs

    def split(self, z: Tensor) -> tuple[Tensor, ...]:
        return z.split([c * h * w for c, h, w in self.shapes], dim=1)

    def infer(self, features: list[Tensor], generator: Generator | None) -> tuple[Tensor, ...]:
        """z ~ q(z | x); log p(z); log q(z | x); the KL of each group; the outputs, of the n rows of `features`.

        Arguments:
            generator: None for the mean of each group given the means before it.

        Returns:
            [n, d], [n], [n], [n, L], [n, P D].
        """
        n, parts, log_p, log_q, kls = len(features[0]), [], [], [], []

        def choose(i: int, h: Tensor, mean: Tensor, log_sd: Tensor) -> Tensor:
            dmu, log_dsd = self.groups[i].residual(h, features[i // self.per_scale])
            noise = torch.zeros_like(dmu)
            if generator is not None:
                noise = torch.randn(dmu.shape, generator=generator, device=generator.device)
            z = mean + dmu + (log_sd + log_dsd).exp() * noise
            parts.append(z.flatten(1))
            log_p.append(log_normal(z, mean, log_sd).flatten(1).sum(1))
            log_q.append(log_normal(z, mean + dmu, log_sd + log_dsd).flatten(1).sum(1))
            kl = 0.5 * ((dmu * (-log_sd).exp()) ** 2 + (2 * log_dsd).exp() - 2 * log_dsd - 1)
            kls.append(kl.flatten(1).sum(1))
            return z

        outputs = self.descend(n, choose)
        return torch.cat(parts, 1), torch.stack(log_p).sum(0), torch.stack(log_q).sum(0), torch.stack(kls, 1), outputs

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("train", (Objective("loss", self.parameters(), self.loss),), self.bound),)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The negative bound, and the regularisation, which is no part of what is reported."""
        norms = [layer.norm() for layer in self.modules() if isinstance(layer, Conv)] if self.spectral else []
        return self.bound(x, generator) + self.spectral * sum(norms)

    def bound(self, x: Tensor, generator: Generator) -> Tensor:
        """-E_q log p(x | z) + sum_l KL_l, by one draw."""
        _, _, _, kl, outputs = self.infer(self.posterior(x), generator)
        return (kl.sum(1) - self.observation.log_prob(outputs, x)).mean()

    def log_weights(self, x: Tensor, k: int, generator: Generator, q: list[Tensor] | None = None) -> Tensor:
        """log p(x, z) - log q(z | x), over all groups, for k draws: [B, *shape] -> [k, B]."""
        features, most = q or self.posterior(x), max(1, ROWS // len(x))
        parts = [min(most, k - done) for done in range(0, k, most)]
        return torch.cat([self.weights(x, part, features, generator) for part in parts])

    def weights(self, x: Tensor, k: int, features: list[Tensor], generator: Generator) -> Tensor:
        """`log_weights` of so few draws that all maps of them are at hand at once."""
        _, log_p, log_q, _, outputs = self.infer([f.repeat(k, 1, 1, 1) for f in features], generator)
        log_x = self.observation.log_prob(outputs.unflatten(0, (k, -1)), x)
        return log_x + (log_p - log_q).unflatten(0, (k, -1))

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z), of all groups: [n, d] -> [n]."""
        return self.given(z)[0]

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z): [n, *shape], [n, d] -> [n]."""
        return self.observation.log_prob(self.given(z)[1], x)

    def sample_prior(self, n: int, generator: Generator) -> Tensor:
        """All groups in turn -> [n, d]."""
        parts: list[Tensor] = []

        def choose(i: int, h: Tensor, mean: Tensor, log_sd: Tensor) -> Tensor:
            noise = torch.randn(mean.shape, generator=generator, device=generator.device)
            parts.append((mean + log_sd.exp() * noise).flatten(1))
            return parts[-1].unflatten(1, self.shapes[i])

        self.descend(n, choose)
        return torch.cat(parts, 1)

    def observe(self, z: Tensor, generator: Generator) -> Tensor:
        """One draw of p(x | z): [n, d] -> [n, *shape]."""
        return self.observation.sample(self.given(z)[1], generator)

    def sample(self, n: int, generator: Generator) -> Tensor:
        return self.observe(self.sample_prior(n, generator), generator)

    def expected(self, z: Tensor) -> Tensor:
        """E[x | z], in the raw range: [n, d] -> [n, *shape]."""
        return self.observation.mean(self.given(z)[1])

    def encode(self, x: Tensor) -> Tensor:
        """The mean of every group given the means before it: [B, *shape] -> [B, d]."""
        return self.infer(self.posterior(x), None)[0]

    def reconstruct(self, x: Tensor) -> Tensor:
        """E[x' | z] there, in the raw range: [B, *shape] -> [B, *shape]."""
        return self.observation.mean(self.infer(self.posterior(x), None)[4])


PRESETS = {
    "digits": Preset(
        {"width": 24, "channels": 2, "spectral": 0.02, "dropout": 0.1, "decoder": "logistics"},
        steps=3000,
        batch_size=64,
        lr=2e-3,
        weight_decay=0.05,
        ema=0.99,
    ),
    "mnist-binary": Preset(
        {"width": 32, "channels": 4, "spectral": 0.02},
        steps=2500,
        batch_size=128,
        lr=2e-3,
        clip=200.0,
        ema=0.999,
        validate_every=1000,
    ),
}

build = HierarchicalVAE
