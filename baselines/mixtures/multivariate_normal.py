"""Multivariate normal: one Gaussian with its full covariance, fitted in closed form.

    p(x) = N(x; mu, Sigma) = prod_d N(x_d; m_d, s_d^2),    m_d = mu_d + sum_{j<d} b_dj (x_j - mu_j)

The product is the same density by the chain rule: every value is a linear regression on those before it. With
Sigma = L L', L lower triangular, s is the diagonal of L and B = I - diag(s) L^-1. On real numbers mu and Sigma are
those of maximum likelihood, the mean and the covariance of the training data.

On integers every factor is discretised: P(x_d | x_<d) is the mass of N(m_d, s_d^2) between x_d - 1/2 and x_d + 1/2,
the edge levels taking the tails. Each conditional sums to one over its levels, hence P over all integers; it is exact,
and drawn from by going through the values once. Sigma is the covariance of the data with uniform noise on their unit
cells, that is 1/12 more on the diagonal, which no constant pixel makes singular.

NOTE: this P is not the mass of N(mu, Sigma) in the cell around x. That is an integral over D dimensions with no closed
form; a model that rounds draws of N(mu, Sigma) would have it. Here a value is told of the *integers* before it, not of
what was rounded to them. The two meet where the cells are narrow beside s; elsewhere P depends on the order of values.

References:
    Pattern Recognition and Machine Learning (Bishop, 2006), sections 2.3.4 and 8.1.4 (linear-Gaussian models).
"""

import torch
from torch import Generator, Tensor, nn

from genbench import GenbenchError, Space

from .._layers import log_normal, log_normal_mass, normalised

VERSION = 1
LEAST = 1e-5  # of a value's standard deviation: where the values before it leave less, rounding of float32 decides


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of maximum likelihood, in float64: [N, D] -> [D], [D, D]."""
    x = x.double()
    mean = x.mean(0)
    return mean, (x - mean).T @ (x - mean) / len(x)


def regressions(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """B, strictly lower triangular, and s of the chain rule: [D, D] -> [D, D], [D].

    Raises:
        GenbenchError: a value is a linear function of those before it.
    """
    L, info = torch.linalg.cholesky_ex(covariance)
    s = L.diagonal()
    if int(info) or not bool((s > LEAST * covariance.diagonal().sqrt()).all()):
        raise GenbenchError(
            "a value is constant or a linear function of those before it: such a Gaussian has no density",
            "Leave out redundant dimensions, or give at least one more example than there are dimensions.",
        )
    eye = torch.eye(len(L), dtype=L.dtype, device=L.device)
    return eye - s[:, None] * torch.linalg.solve_triangular(L, eye, upper=False), s


def triangle(D: int, device: torch.device) -> Tensor:
    """Where B may differ from 0: boolean [D, D]. Its entries are stored row by row."""
    return torch.ones(D, D, device=device).tril(-1).bool()


class MultivariateNormal(nn.Module):
    """log p(x) in closed form; samples value by value.

    The parameters are of data normalised to [-1, 1] where they are integers.
    """

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        D = space.dim
        self.mean = nn.Parameter(torch.zeros(D), requires_grad=False)
        self.below = nn.Parameter(torch.zeros(D * (D - 1) // 2), requires_grad=False)
        self.log_sd = nn.Parameter(torch.zeros(D), requires_grad=False)

    def fit(self, x: Tensor, labels: Tensor | None = None) -> None:
        mean, covariance = moments(normalised(x, self.space).flatten(1))
        if self.space.levels is not None:  # the variance of uniform noise on a cell 2/(L - 1) wide
            covariance.diagonal().add_((2 / (self.space.levels - 1)) ** 2 / 12)
        B, s = regressions(covariance)
        self.mean.copy_(mean)
        self.below.copy_(B[triangle(len(B), B.device)])
        self.log_sd.copy_(s.log())

    @property
    def B(self) -> Tensor:  # noqa: N802
        D = self.space.dim
        return self.below.new_zeros(D, D).masked_scatter(triangle(D, self.below.device), self.below)

    def log_prob(self, x: Tensor) -> Tensor:
        x = normalised(x, self.space).flatten(1).to(self.mean.dtype)  # [B, D]
        m = self.mean + (x - self.mean) @ self.B.T
        if self.space.levels is None:
            return log_normal(x, m, self.log_sd).sum(1)
        return log_normal_mass(x, m, self.log_sd, self.space.levels).sum(1)

    @torch.no_grad()
    def fill(self, x: Tensor, hidden: Tensor, generator: Generator) -> Tensor:
        """Draws the hidden values, each given all values before it.

        Arguments:
            x: [n, *shape].
            hidden: boolean, of the same shape: true where a value is drawn, false where that of x stands.
        """
        y, hidden, B = normalised(x, self.space).flatten(1).to(self.mean.dtype, copy=True), hidden.flatten(1), self.B
        noise = torch.randn(y.shape, generator=generator, device=y.device, dtype=y.dtype)
        for d in range(self.space.dim):
            m = self.mean[d] + (y[:, :d] - self.mean[:d]) @ B[d, :d]
            drawn = self.rounded(m + self.log_sd[d].exp() * noise[:, d])
            y[:, d] = torch.where(hidden[:, d], drawn, y[:, d])
        if self.space.levels is None:
            return y.view(x.shape)
        return ((y + 1) / 2 * (self.space.levels - 1)).round().long().view(x.shape)

    def rounded(self, y: Tensor) -> Tensor:
        """The level nearest to y, on [-1, 1]; real numbers stay as they are."""
        if self.space.levels is None:
            return y
        top = self.space.levels - 1
        return ((y + 1) / 2 * top).round().clamp(0, top) * (2 / top) - 1

    def sample(self, n: int, generator: Generator) -> Tensor:
        dtype = self.mean.dtype if self.space.levels is None else torch.int64
        x = torch.zeros(n, *self.space.shape, dtype=dtype, device=generator.device)
        return self.fill(x, torch.ones_like(x).bool(), generator)

    def complete(self, x: Tensor, mask: Tensor, generator: Generator) -> Tensor:
        """x where mask is 1, draws elsewhere: [B, *shape] -> [B, *shape].

        The draws are exact, from p(hidden | visible), where the visible values come first, such as an upper half. A
        visible value after a hidden one is kept, but does not inform it.
        """
        hidden = ~mask.expand_as(x).bool()
        return self.fill(x.masked_fill(hidden, 0), hidden, generator)


build = MultivariateNormal
