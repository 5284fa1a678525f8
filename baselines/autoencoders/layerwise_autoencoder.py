"""Layer-wise autoencoder: a deep encoder trained greedily, one layer after another, then fine-tuned as a whole.

    layer k    minimise E |h_{k-1} - g_k(f_k(h_{k-1}))|^2 over f_k, g_k,    h_0 = x,  h_k = f_k(h_{k-1}) at rest
    all        minimise E |x - g_1(... g_K(f_K(... f_1(x))))|^2 over everything

(Bengio, Lamblin, Popovici, Larochelle 2007, section 4; Hinton and Salakhutdinov 2006 do the same with RBMs). Deep
saturating networks (tanh here, as then) trained from random weights used to stop at much larger errors: the lower
layers got hardly any gradient. Pretraining starts every layer from one that already keeps what is below it.

Whether that still pays is a question of optimiser and initialisation, so the control is one option away:
`pretraining=False` spends the very same steps on fine-tuning alone.

The model has no likelihood; why not, and where its samples come from, is told in `_codes.py`.

References:
    Reducing the dimensionality of data with neural networks (Hinton, Salakhutdinov, 2006).
    Greedy layer-wise training of deep networks (Bengio, Lamblin, Popovici, Larochelle, 2007).
    Understanding the difficulty of training deep feedforward neural networks (Glorot, Bengio, 2010), for the first
    weights, with and without pretraining.
"""

import itertools

from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage

from ._codes import CodeModel

VERSION = 1
GREEDY, FINE, LATENT = 0.3, 0.45, 0.25  # of the steps: all layers together, fine-tuning, the Gaussian of the codes


class LayerwiseAutoencoder(CodeModel):
    """f = f_K ... f_1 and g = g_1 ... g_K: linear maps and tanh, but none on the code and on the output.

    Arguments:
        latent: width of the code.
        hidden: width of the layers before it; there are depth - 1 of them on either side.
        depth: K, the layers of the encoder.
        pretraining: layer by layer, before fine-tuning; otherwise fine-tuning has those steps too.
    """

    def __init__(
        self, space: Space, *, latent: int = 16, hidden: int = 128, depth: int = 3, pretraining: bool = True
    ) -> None:
        if depth < 1 or latent < 1:
            raise ValueError(f"an encoder has at least one layer and one code value, not {depth} and {latent}")
        widths = [space.dim, *[hidden] * (depth - 1), latent]
        up, down = [], []
        for k, (below, above) in enumerate(itertools.pairwise(widths), 1):
            up.append(nn.Sequential(nn.Linear(below, above), nn.Tanh() if k < depth else nn.Identity()))
            down.append(nn.Sequential(nn.Linear(above, below), nn.Tanh() if k > 1 else nn.Identity()))
        super().__init__(space, nn.Sequential(*up), nn.Sequential(*down[::-1]), latent)
        self.depth, self.pretraining = depth, pretraining
        for layer in [*self.f, *self.g]:
            nn.init.xavier_uniform_(layer[0].weight)

    def pair(self, k: int) -> tuple[nn.Module, nn.Module]:
        """f_k and g_k, k = 1..K."""
        return self.f[k - 1], self.g[self.depth - k]

    def greedy(self, k: int) -> Stage:
        """Layer k as an autoencoder of what the layers below it give, which rest."""
        below, (f, g) = self.f[: k - 1], self.pair(k)

        def error(x: Tensor, generator: Generator) -> Tensor:
            h = below(self.clean(x)).detach()
            return (g(f(h)) - h).square().sum(1).mean()

        learn = Objective("error", [*f.parameters(), *g.parameters()], error)
        return Stage(f"layer {k}", (learn,), error, fraction=GREEDY / self.depth)

    def stages(self) -> tuple[Stage, ...]:
        layers = [self.greedy(k) for k in range(1, self.depth + 1)] if self.pretraining else []
        learn = Objective("error", [*self.f.parameters(), *self.g.parameters()], self.squared_error)
        fraction = FINE if self.pretraining else GREEDY + FINE
        fine = Stage("fine-tuning", (learn,), self.squared_error, fraction=fraction)
        return *layers, fine, self.latent_stage(LATENT)


PRESETS = {
    "digits": Preset(
        {"latent": 16, "hidden": 128, "depth": 3, "pretraining": True}, steps=10000, batch_size=128, lr=2e-3, ema=0.998
    ),
}

build = LayerwiseAutoencoder
