"""PacGAN: the critic is shown m observations at once, all real or all made, so a lack of variety gives samples away.

    critic      D(x_1, ..., x_m),   max_D  E log D(x_1, ..., x_m) + E log(1 - D(G(z_1), ..., G(z_m)))
    generator   min_G  -E log D(G(z_1), ..., G(z_m))

The game is then between the products p^m and q^m. A q that misses a mode looks almost like p one sample at a time; m at
once it lacks more and more, and its total variation from p^m grows faster than that of a q of the same distance which
misses none. Only the critic's first layer changes: m times the inputs.

References:
    PacGAN: The power of two samples in generative adversarial networks (Lin et al., 2018), sections 2 and 3.
"""

from torch import Generator, Tensor

from genbench import Preset, Space

from ._skeleton import FullyConnected
from .nonsaturating_gan import NonsaturatingGAN

VERSION = 1


class PacGAN(NonsaturatingGAN):
    """Arguments as in `FullyConnected`, and

    m: observations in a pack; those of a batch that fill no pack are left out.
    """

    def __init__(
        self,
        space: Space,
        *,
        latent: int = 4,
        width: int = 64,
        critic_width: int = 64,
        repeats: int = 1,
        m: int = 2,
    ) -> None:
        if m < 1:
            raise ValueError(f"m is {m}: a pack holds at least one observation")
        FullyConnected.__init__(
            self, space, latent=latent, width=width, critic_width=critic_width, repeats=repeats, pack=m
        )
        self.m = m

    def shown(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """Packs of independent observations: `[n, *shape]` -> `[n // m, m, *shape]`."""
        packs = len(x) // self.m
        if packs == 0:
            raise ValueError(f"{len(x)} observations fill no pack of {self.m}")
        return x[: packs * self.m].unflatten(0, (packs, self.m))


PRESETS = dict.fromkeys(
    ("ring8", "grid25"),  # chosen on ring8; the grid has the same
    Preset({"m": 2}, steps=6_000, batch_size=256, lr=3e-3, betas=(0.5, 0.9), ema=0.995, validate_every=250),
)
build = PacGAN
