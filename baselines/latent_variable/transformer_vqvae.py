"""VQ-VAE with a Transformer prior: every code is drawn given all codes before it, however far away they lie.

    p(x) = sum_c p(c) p(x | e_c),    p(c) = prod_t p(c_t | c_<t), by causal self-attention over codes in raster order

Encoder, codebook, decoder and bound are those of `vqvae`, whose prior is a stack of masked convolutions: there two
codes at opposite corners meet only after many layers, here in the first. A grid of codes is short (64 pixels became 16
codes), so attention to all of it is cheap, which on pixels it is not. Stage one is that of `vqvae`, weight for weight
where both are trained with one seed: what differs between the two bounds is the prior's part alone.

References:
    Neural Discrete Representation Learning (van den Oord, Vinyals, Kavukcuoglu, 2017), section 3.2: the prior is fitted
        to the codes when they are done.
    Attention is all you need (Vaswani et al., 2017).
    Taming transformers for high-resolution image synthesis (Esser, Rombach, Ommer, 2021), section 3.2, where the same
        pair is trained with a critic besides.
"""

from genbench import Preset, Space

from ..autoregressive.image_transformer import ImageTransformer
from .vqvae import VQVAE

VERSION = 1


class TransformerVQVAE(VQVAE):
    """`vqvae` with another prior.

    Arguments:
        width, blocks, dropout, codes, dim, halvings, beta: of the autoencoder, as for `vqvae`.
        prior_width, prior_layers, prior_heads, prior_hidden, prior_dropout: of the Transformer over codes.
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
        prior_width: int = 64,
        prior_layers: int = 3,
        prior_heads: int = 4,
        prior_hidden: int = 128,
        prior_dropout: float = 0.0,
    ) -> None:
        super().__init__(
            space, width=width, blocks=blocks, dropout=dropout, codes=codes, dim=dim, halvings=halvings, beta=beta
        )
        self.prior = ImageTransformer(  # type: ignore[assignment]  # in the place of the Gated PixelCNN
            self.grid,
            width=prior_width,
            layers=prior_layers,
            heads=prior_heads,
            hidden=prior_hidden,
            window=self.grid.dim,
            dropout=prior_dropout,
        )


PRESETS = {
    "digits": Preset(
        {
            "width": 24,
            "blocks": 2,
            "dropout": 0.2,
            "codes": 32,
            "dim": 8,
            "prior_width": 40,
            "prior_layers": 2,
            "prior_hidden": 80,
            "prior_dropout": 0.4,
        },
        steps=3000,  # stage one as in `vqvae`
        batch_size=64,
        lr=2e-3,
        weight_decay=0.02,
        ema=0.99,
        validate_every=100,
    ),
}

build = TransformerVQVAE
