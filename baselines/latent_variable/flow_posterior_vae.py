"""VAE with an inverse autoregressive flow as its posterior: q(z | x) can have correlations, bends and several modes.

    z_0 = mean(x) + sd(x) eps
    z_t = s_t z_{t-1} + (1 - s_t) m_t,    s_t = sigmoid(a_t),    [m_t, a_t] = MADE_t(z_{t-1}, h(x))
    log q(z_T | x) = log N(eps; 0, I) - sum_i log sd_i - sum_t sum_i log s_ti        (equations 10, 11 and 14)

Value i of m_t and a_t depends on the values before i of z_{t-1} alone, so the Jacobian of a step is triangular with s_t
on its diagonal. A diagonal Gaussian makes the model pay for every way in which the true posterior is none:
a flow narrows that gap, and touches neither the decoder nor the prior. The flow is *inverse* autoregressive because
drawing, which is all that training needs, takes one pass; the density of a given z would take a pass for each
dimension, and nothing here asks for it. Steps alternate between the two orders of the latents.

References:
    Improved variational inference with inverse autoregressive flow (Kingma, Salimans, Jozefowicz, Chen, Sutskever,
    Welling, 2016), sections 3 and 4, algorithm 1.
    MADE (Germain, Gregor, Murray, Larochelle, 2015), section 3, for the masks.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Preset, Space

from .._layers import normalised
from .vae import VAE, perceptron

VERSION = 1
OPEN = 2.0  # added to a_t: at first a step forgets little of its input (section 4)


class Masked(nn.Linear):
    """A linear layer whose output j sees input i only where mask[j, i]."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class Step(nn.Module):
    """One step of the flow: a MADE with one hidden layer, which the context enters unmasked.

    Arguments:
        latent, hidden, context: dimensions of z, of the hidden layer, and of h.
        backwards: the last latent comes first.
    """

    def __init__(self, latent: int, hidden: int, context: int, backwards: bool) -> None:
        super().__init__()
        order = torch.arange(latent)
        if backwards:
            order = order.flip(0)
        degree = torch.arange(hidden) % max(1, latent - 1)  # a hidden unit sees the latents of order up to its degree
        self.first = Masked(order <= degree[:, None])
        self.context = nn.Linear(context, hidden, bias=False)
        self.second = Masked((degree < order[:, None]).repeat(2, 1))
        nn.init.zeros_(self.second.weight)

    def forward(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """z_t and log |det dz_t / dz_{t-1}|: [..., latent], [B, context] -> [..., latent], [...]."""
        m, a = self.second(F.silu(self.first(z) + self.context(h))).chunk(2, dim=-1)
        a = a + OPEN
        s = a.sigmoid()
        return s * z + (1 - s) * m, F.logsigmoid(a).sum(-1)


class FlowPosteriorVAE(VAE):
    """Decoder, prior and sampler of `vae`; the encoder gives a context h beside mean and log sd.

    Arguments:
        flow: T, the steps of the flow; 0 is a VAE.
        width: of the hidden layer of each step.
        context: dimensions of h.
        latent, hidden, dropout, decoder: as for `vae`.
    """

    gaussian_posterior = None  # type: ignore[assignment]  # the flow makes it another than Gaussian

    def __init__(
        self,
        space: Space,
        *,
        flow: int = 4,
        width: int = 64,
        context: int = 16,
        latent: int = 16,
        hidden: int = 64,
        dropout: float = 0.0,
        decoder: str = "natural",
    ) -> None:
        if flow < 0:
            raise ValueError(f"a flow has no fewer than 0 steps, got {flow}")
        if width < latent - 1:
            raise ValueError(f"a step of width {width} would see no more than {width} of {latent} latents")
        super().__init__(space, latent=latent, hidden=hidden, dropout=dropout, decoder=decoder)
        self.sizes = [latent, latent, context]
        self.encoder = perceptron(space.dim, hidden, sum(self.sizes), dropout)
        self.flow = nn.ModuleList(Step(latent, width, context, t % 2 == 1) for t in range(flow))

    def posterior(self, x: Tensor) -> tuple[Tensor, ...]:
        """Mean and log sd of z_0, and the context: [B, *shape] -> [B, latent] twice, [B, context]."""
        return self.encoder(normalised(x, self.space).flatten(1)).split(self.sizes, dim=1)

    def draw(self, q: tuple[Tensor, ...], k: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """k draws of z_T and their log q(z_T | x) -> [k, B, latent], [k, B]."""
        mean, log_sd, h = q
        z, log_q = super().draw((mean, log_sd), k, generator)
        for step in self.flow:
            z, log_det = step(z, h)
            log_q = log_q - log_det
        return z, log_q

    def terms(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """log p(x | z), and log q(z | x) - log p(z), at one draw of z: [B, *shape] -> [B] each."""
        z, log_q = (t[0] for t in self.draw(self.posterior(x), 1, generator))
        return self.observation.log_prob(self.decoder(z), x), log_q - self.log_prior(z)

    def encode(self, x: Tensor) -> Tensor:
        """z_T at the mean of z_0, which is not its own mean: [B, *shape] -> [B, latent]."""
        z, _, h = self.posterior(x)
        for step in self.flow:
            z, _ = step(z, h)
        return z


PRESETS = {
    "digits": Preset(
        {"flow": 4, "width": 48, "context": 16, "latent": 16, "hidden": 64, "dropout": 0.1, "decoder": "logistics"},
        steps=4000,
        batch_size=128,
        lr=3e-3,
        weight_decay=0.05,
        ema=0.99,
    ),
    "mnist-binary": Preset(
        {"flow": 4, "width": 200, "context": 50, "latent": 50, "hidden": 200},
        steps=60000,
        batch_size=128,
        lr=2e-3,
        validate_every=2000,
    ),
}

build = FlowPosteriorVAE
