"""Independent pixels: every value of an observation has its own distribution and knows nothing of the others.

    p(x) = prod_d p_d(x_d)

On integers p_d is the categorical of the training counts with add-one smoothing (Laplace's rule of
succession), so that a level never seen keeps a probability; on real numbers it is the Gaussian of
maximum likelihood. A floor: a model that does no better has learnt the marginals and no structure.

References:
    Pattern Recognition and Machine Learning (Bishop, 2006), sections 2.2.1 and 2.3.4.
"""

import torch
from torch import Generator, Tensor, nn

from genbench import GenbenchError, Space

from .._layers import log_normal, sample_categorical

VERSION = 1
ROWS = 1000  # examples counted at once


class IndependentCategorical(nn.Module):
    """P(x_d = l) = (n_dl + 1) / (N + L), with n_dl the number of the N training examples that have x_d = l."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        assert space.levels is not None
        self.space = space
        uniform = torch.zeros(space.dim, space.levels).log_softmax(1)
        self.log_p = nn.Parameter(uniform, requires_grad=False)  # [D, L]

    def fit(self, x: Tensor, labels: Tensor | None = None) -> None:
        n_dims, levels = self.log_p.shape
        of_pixel = torch.arange(n_dims, device=x.device) * levels
        counts = torch.zeros(n_dims * levels, dtype=torch.int64, device=x.device)
        for part in x.flatten(1).split(ROWS):
            counts += torch.bincount((part + of_pixel).flatten(), minlength=len(counts))
        counts = counts.view(n_dims, levels)
        self.log_p.copy_((counts + 1).double().log() - torch.tensor(len(x) + counts.shape[1]).double().log())

    def log_prob(self, x: Tensor) -> Tensor:
        return self.log_p.gather(1, x.flatten(1).T).sum(0)  # [D, B] -> [B]

    def sample(self, n: int, generator: Generator) -> Tensor:
        return sample_categorical(self.log_p.expand(n, -1, -1), generator).view(n, *self.space.shape)


class IndependentGaussian(nn.Module):
    """p_d = N(mean_d, sd_d^2), the two moments of the training data."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        self.mean = nn.Parameter(torch.zeros(space.dim), requires_grad=False)
        self.log_sd = nn.Parameter(torch.zeros(space.dim), requires_grad=False)

    def fit(self, x: Tensor, labels: Tensor | None = None) -> None:
        variance, mean = torch.var_mean(x.flatten(1).double(), 0, correction=0)
        if constant := int((variance == 0).sum()):
            raise GenbenchError(
                f"{constant} of {self.space.dim} dimensions are constant, and a Gaussian without spread has no density",
                "Leave those dimensions out of the data.",
            )
        self.mean.copy_(mean)
        self.log_sd.copy_(0.5 * variance.log())

    def log_prob(self, x: Tensor) -> Tensor:
        return log_normal(x.flatten(1), self.mean, self.log_sd).sum(1)

    def sample(self, n: int, generator: Generator) -> Tensor:
        noise = torch.randn(n, self.space.dim, generator=generator, device=generator.device)
        return (self.mean + self.log_sd.exp() * noise).view(n, *self.space.shape)


def build(space: Space) -> nn.Module:
    return IndependentGaussian(space) if space.levels is None else IndependentCategorical(space)
