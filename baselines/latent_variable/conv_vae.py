"""Convolutional VAE: the variational autoencoder with convolutions on both sides, and a decoder that can be exchanged.

    log p(x) >= E_q log p(x | z) - KL(q(z | x) || N(0, I)),    p(x | z) = prod_i p(x_i | h_i(z))

What the bound measures is decided as much by the family of p(x_i | h_i) as by the networks. `decoder` takes

    gaussian              fixed sd: the loss is a squared error in disguise, with a weight that nobody chose
    gaussian-shared       one sd, learned (Rybkin et al. 2021)
    gaussian-predicted    an sd for each value
    logistic              location and scale (Kingma et al. 2016); heavier tails
    logistics             a mixture of three: bimodal, with mass at the ends (Salimans et al. 2017)
    categorical           L logits: anything, but it has to learn that levels are a line
    bernoulli             of two levels exact; of grey values a pseudo-likelihood, which is never reported

On integers the continuous families are taken at the mass that they have in the bins of the levels, so all of
them are probabilities of the same data, and their bounds can be compared.

References:
    Auto-Encoding Variational Bayes (Kingma and Welling, 2014), equation 3.
    Simple and effective VAE training with calibrated decoders (Rybkin, Daniilidis, Levine, 2021), section 3.
    Improved variational inference with inverse autoregressive flow (Kingma et al., 2016), appendix C.
    PixelCNN++ (Salimans, Karpathy, Chen, Kingma, 2017), section 2.1.
"""

from torch import Tensor, nn

from genbench import Preset, Space

from .vae import VAE

VERSION = 1


def encoder(space: Space, width: int, outputs: int, halvings: int, dropout: float) -> nn.Sequential:
    """Images as flat rows [B, D] -> [B, outputs]; width doubles where height and width are halved."""
    C, H, W = space.shape
    layers: list[nn.Module] = [nn.Unflatten(1, space.shape), nn.Conv2d(C, width, 3, padding=1), nn.SiLU()]
    for i in range(halvings):
        layers += [nn.Conv2d(width << i, width << (i + 1), 3, 2, 1), nn.SiLU()]
    h, w = halved(H, halvings), halved(W, halvings)
    layers += [nn.Flatten(), nn.Dropout(dropout), nn.Linear((width << halvings) * h * w, outputs)]
    return nn.Sequential(*layers)


def halved(size: int, times: int) -> int:
    """Rounded up each time, as a convolution with stride 2 and padding 1 does it."""
    return -(-size // 2**times)


class Deconvolutions(nn.Module):
    """[..., latent] -> [..., P D]: a small map from z, doubled by transposed convolutions and cut to size."""

    def __init__(self, space: Space, width: int, latent: int, halvings: int, per_value: int, dropout: float) -> None:
        super().__init__()
        C, self.H, self.W = space.shape
        h, w = halved(self.H, halvings), halved(self.W, halvings)
        first = width << halvings
        layers: list[nn.Module] = [nn.Linear(latent, first * h * w), nn.SiLU(), nn.Dropout(dropout)]
        layers += [nn.Unflatten(1, (first, h, w))]
        for i in range(halvings, 0, -1):
            layers += [nn.ConvTranspose2d(width << i, width << (i - 1), 4, 2, 1), nn.SiLU()]
        layers += [nn.Dropout(dropout), nn.Conv2d(width, per_value * C, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        maps = self.layers(z.flatten(0, -2))[..., : self.H, : self.W]  # [n, P C, H, W]
        return maps.flatten(1).unflatten(0, z.shape[:-1])


class ConvVAE(VAE):
    """The bound, its weights and the sampler are those of `vae`; the networks are convolutions.

    Arguments:
        space: images [C, H, W].
        latent: dimensions of z.
        width: features at full resolution, twice as many each time it is halved.
        halvings: how often.
        dropout: before the last layer of either network and after the first of the decoder, in training.
        decoder: the family of p(x | z), see above.
    """

    def __init__(
        self,
        space: Space,
        *,
        latent: int = 16,
        width: int = 16,
        halvings: int = 2,
        dropout: float = 0.0,
        decoder: str = "natural",
    ) -> None:
        if not space.is_image:
            raise ValueError("it models images [C, H, W]")
        super().__init__(space, latent=latent, decoder=decoder)
        self.encoder = encoder(space, width, 2 * latent, halvings, dropout)  # in the place of the perceptrons
        self.decoder = Deconvolutions(space, width, latent, halvings, self.observation.per_value, dropout)


PRESETS = {
    "digits": Preset(
        {"latent": 16, "width": 16, "halvings": 2, "dropout": 0.1, "decoder": "logistics"},
        steps=3000,
        batch_size=128,
        lr=3e-3,
        weight_decay=0.05,
        ema=0.99,
    ),
    "patches": Preset(
        {"latent": 64, "width": 12, "halvings": 2, "decoder": "logistic"},
        steps=20000,
        batch_size=64,
        lr=2e-3,
        clip=100.0,
        ema=0.995,
        validate_every=1000,
    ),
}

build = ConvVAE
