"""Autoencoder: a network that gives its input back through a bottleneck of a few code values.

    minimise E |x - g(f(x))|^2,    f: R^D -> R^d,  g: R^d -> R^D,  d < D        (Rumelhart, Hinton, Williams 1986)

With linear f and g (`hidden=0`) no code does better than PCA's: at every global minimum g f projects onto the span of
the d leading eigenvectors of the covariance, and all other critical points are saddles (Baldi and Hornik 1989, facts 1
to 4). f and g are known only up to an invertible d x d map between them, so single codes are no principal
components. With a hidden layer on either side the codes live on a curved surface, which costs less error at the same d
(Hinton and Salakhutdinov 2006).

The model has no likelihood; why not, and where its samples come from, is told in `_codes.py`.

References:
    Learning internal representations by error propagation (Rumelhart, Hinton, Williams, 1986), the encoder problem.
    Auto-association by multilayer perceptrons and singular value decomposition (Bourlard, Kamp, 1988).
    Neural networks and principal component analysis: learning from examples without local minima (Baldi, Hornik, 1989).
    Reducing the dimensionality of data with neural networks (Hinton, Salakhutdinov, 2006).
"""

from torch import nn

from genbench import Objective, Preset, Space, Stage

from ._codes import CodeModel

VERSION = 1


def network(d_in: int, hidden: int, d_out: int) -> nn.Sequential:
    """One hidden layer; a linear map if that has no units."""
    if hidden == 0:
        return nn.Sequential(nn.Linear(d_in, d_out))
    return nn.Sequential(nn.Linear(d_in, hidden), nn.SiLU(), nn.Linear(hidden, d_out))


class Autoencoder(CodeModel):
    """Encoder f: D -> latent, decoder g: latent -> D.

    Arguments:
        latent: width of the code.
        hidden: width of the hidden layer on either side; 0 for none, which makes f and g linear.
    """

    def __init__(self, space: Space, *, latent: int = 16, hidden: int = 256) -> None:
        if latent < 1:
            raise ValueError(f"a code has at least one value, not {latent}")
        super().__init__(space, network(space.dim, hidden, latent), network(latent, hidden, space.dim), latent)

    def stages(self) -> tuple[Stage, ...]:
        """The autoencoder first; then, its weights at rest, the Gaussian of its codes."""
        learn = Objective("error", [*self.f.parameters(), *self.g.parameters()], self.squared_error)
        return Stage("autoencoder", (learn,), self.squared_error, fraction=0.75), self.latent_stage()


PRESETS = {
    "digits": Preset({"latent": 16, "hidden": 256}, steps=8000, batch_size=128, lr=2e-3, ema=0.998),
    "digits-without-9": Preset({"latent": 16, "hidden": 256}, steps=8000, batch_size=128, lr=2e-3, ema=0.998),
}

build = Autoencoder
