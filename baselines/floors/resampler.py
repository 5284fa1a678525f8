"""Training-set resampler: draws training examples, with replacement, and calls them samples.

This floor looks like a ceiling. The samples are real, so Fréchet and kernel distances, precision and
coverage are about as good as the data allow; and the model has learnt nothing. A test of memorisation
(authenticity, data copying) must fail it, and a suite in which it wins outright measures copying.

The resampler has no likelihood. Its distribution is 1/N on each of N points: on real numbers that has no
density, and on integers log p(x) is -infinity for every example that was not stored, so its NLL on new data is
infinite, whatever the samples look like (Theis, van den Oord and Bethge, 2016, section 3.2, where good
samples and poor likelihood are told apart by such a lookup table).

References:
    A note on the evaluation of generative models (Theis, van den Oord, Bethge, 2016).
"""

import numpy as np
import torch
from torch import Generator, Tensor, nn

from genbench import GenbenchError, Space

VERSION = 1


class Resampler(nn.Module):
    """The uniform distribution on `size` stored examples.

    Arguments:
        size: how many examples are kept, the first ones. It is fixed beforehand, since the shape of the
            weights has to follow from the options.
    """

    examples: Tensor

    def __init__(self, space: Space, *, size: int = 1097) -> None:
        super().__init__()
        self.space = space
        # The dtype of arrays at rest: bytes for images, an eighth of what a model is given.
        self.register_buffer("examples", torch.from_numpy(np.zeros((size, *space.shape), space.dtype)))

    def fit(self, x: Tensor, labels: Tensor | None = None) -> None:
        size = len(self.examples)
        if len(x) < size:
            raise GenbenchError(
                f"the resampler keeps {size} examples, and the training set has {len(x)}",
                f"Pass --set size={len(x)} or fewer.",
            )
        self.examples.copy_(x[:size])

    def sample(self, n: int, generator: Generator) -> Tensor:
        index = torch.randint(len(self.examples), (n,), generator=generator, device=generator.device)
        x = self.examples[index]
        return x if self.space.levels is None else x.long()


build = Resampler
