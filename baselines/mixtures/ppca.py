"""Probabilistic PCA: latents z ~ N(0, I), data x | z ~ N(W z + mu, s^2 I), fitted in closed form or by EM.

    p(x) = N(x; mu, C),    C = W W' + s^2 I                                       (Tipping and Bishop 1999, equation 4)
    W = U_q (Lambda_q - s^2 I)^(1/2),    s^2 = mean of the other D - q eigenvalues          (equations 7 and 8)

with Lambda_q the q largest eigenvalues of the training covariance and U_q their eigenvectors: the axes of PCA, now
with a likelihood. Maximum likelihood knows W up to a rotation of z; this one is fixed by the axes, and by the sign that
makes the largest entry of each positive. EM reaches the same C without a D x D matrix.

On integers x is the level nearest to y = W z + mu + noise, the edge levels taking the tails: P(x) is the mass of
N(mu, C) in the cell around x. Given z the values are independent, so P(x | z) is a product of one-dimensional masses,
and P(x) an integral over z with no closed form. As in a VAE it is bounded by importance weights, but no encoder is
learned: p(z | x) is log-concave, and q is the Gaussian at its mode with its curvature (Laplace), by Newton's method.
W and s are fitted to the integers as if they were real numbers.

References:
    Probabilistic Principal Component Analysis (Tipping and Bishop, 1999).
    EM algorithms for PCA and SPCA (Roweis, 1998).
"""

import math

import torch
from torch import Generator, Tensor, nn

from genbench import GenbenchError, Preset, Space

from .._layers import log_normal, log_normal_mass, normalised

VERSION = 1
CONVERGED = 1e-13  # relative change of W in one step of EM
EM, NEWTON = 20, 5  # steps to the mode of a posterior


class PPCA(nn.Module):
    """What is the same for real numbers and for integers, which are normalised to [-1, 1].

    Arguments:
        latent: q, dimensions of z, fewer than those of x.
        method: "closed-form" or "em".
        em_steps: of EM, at most; it ends where W no longer changes.
    """

    def __init__(self, space: Space, *, latent: int, method: str, em_steps: int) -> None:
        super().__init__()
        self.space, self.latent, self.method, self.em_steps = space, latent, method, em_steps
        self.mean = nn.Parameter(torch.zeros(space.dim), requires_grad=False)
        self.W = nn.Parameter(torch.randn(space.dim, latent), requires_grad=False)  # where EM starts
        self.log_sd = nn.Parameter(torch.zeros(()), requires_grad=False)

    def fit(self, x: Tensor, labels: Tensor | None = None) -> None:
        """Maximum likelihood, in float64.

        Raises:
            GenbenchError: the data lie in q dimensions.
        """
        x = normalised(x, self.space).flatten(1).double()
        mean = x.mean(0)
        W, variance = self.closed_form(x - mean) if self.method == "closed-form" else self.em(x - mean)
        if not float(variance) > 1e-12 * float((x - mean).square().mean()):
            raise GenbenchError(
                f"{self.latent} dimensions hold all of the data: no noise is left, and no density",
                "Give fewer latents, or more examples.",
            )
        self.mean.copy_(mean)
        self.W.copy_(W)
        self.log_sd.copy_(0.5 * variance.log())

    def closed_form(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """W and s^2 of centred data [N, D], by equations 7 and 8."""
        q = self.latent
        eigenvalues, U = torch.linalg.eigh(c.T @ c / len(c))  # ascending
        variance = eigenvalues[:-q].mean()
        U = U[:, -q:].flip(1)
        U = U * U.gather(0, U.abs().argmax(0, keepdim=True)).sign()
        return U * (eigenvalues[-q:].flip(0) - variance).clamp(min=0).sqrt(), variance

    def em(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """W and s^2 of centred data [N, D], by equations 29 and 30, which are an E and an M step in one.

        S, the covariance, is met in products with W alone: a step takes O(N D q).
        """
        N, D = c.shape
        W, trace = self.W.double(), c.square().sum() / N  # of S
        eye = self.eye().double()
        variance = trace / D
        for _ in range(self.em_steps):
            SW, before = c.T @ (c @ W) / N, W
            M = W.T @ W + variance * eye
            W = torch.linalg.solve(variance * eye + torch.linalg.solve(M, W.T @ SW), SW, left=False)
            variance = (trace - (torch.linalg.solve(M, SW, left=False) * W).sum()) / D
            if float((W - before).norm()) <= CONVERGED * float(W.norm()):
                break
        return W, variance

    def covariance(self) -> Tensor:
        """C [D, D]."""
        C = self.W @ self.W.T
        C.diagonal().add_((2 * self.log_sd).exp())
        return C

    def eye(self) -> Tensor:
        return torch.eye(self.latent, dtype=self.W.dtype, device=self.W.device)

    def reconstruct(self, x: Tensor) -> Tensor:
        """The nearest point of the plane mu + W z, as PCA gives it (section 3.3): [B, *shape] -> [B, *shape]."""
        c = normalised(x, self.space).flatten(1).to(self.W.dtype) - self.mean
        Q = torch.linalg.qr(self.W)[0]
        return self.raw(self.mean + c @ Q @ Q.T)

    def raw(self, y: Tensor) -> Tensor:
        """Normalised values in the raw range of the space, not rounded: [n, D] -> [n, *shape]."""
        if self.space.levels is not None:
            top = self.space.levels - 1
            y = ((y + 1) / 2 * top).clamp(0, top)
        return y.view(-1, *self.space.shape)

    def sample_prior(self, n: int, generator: Generator) -> Tensor:
        return torch.randn(n, self.latent, generator=generator, device=generator.device, dtype=self.W.dtype)

    def log_prior(self, z: Tensor) -> Tensor:
        """log N(z; 0, I): [..., q] -> [...]."""
        zero = z.new_zeros(())
        return log_normal(z, zero, zero).sum(-1)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z): [B, *shape], [..., B, q] -> [..., B]."""
        x, m = normalised(x, self.space).flatten(1).to(z.dtype), self.mean + z @ self.W.T
        if self.space.levels is None:
            return log_normal(x, m, self.log_sd).sum(-1)
        return log_normal_mass(x, m, self.log_sd, self.space.levels).sum(-1)

    def observe(self, z: Tensor, generator: Generator) -> Tensor:
        """One draw of p(x | z): [n, q] -> [n, *shape]."""
        m = self.mean + z @ self.W.T
        noise = torch.randn(m.shape, generator=generator, device=generator.device, dtype=m.dtype)
        x = self.raw(m + self.log_sd.exp() * noise)
        return x if self.space.levels is None else x.round().long()

    def sample(self, n: int, generator: Generator) -> Tensor:
        return self.observe(self.sample_prior(n, generator), generator)


class RealPPCA(PPCA):
    """On real numbers the likelihood and the posterior of z are closed forms."""

    def log_prob(self, x: Tensor) -> Tensor:
        """log N(x; mu, C), within the plane and beside it: with W = Q R, C is R R' + s^2 I there and s^2 I here."""
        c = x.flatten(1).to(self.W.dtype) - self.mean
        Q, R = torch.linalg.qr(self.W)
        inside = c @ Q  # [B, q]
        L = torch.linalg.cholesky(R @ R.T + (2 * self.log_sd).exp() * self.eye())
        z = torch.linalg.solve_triangular(L, inside.T, upper=False).T
        within = self.log_prior(z) - L.diagonal().log().sum()
        beside = (c - inside @ Q.T).square().sum(1) * (-2 * self.log_sd).exp()
        return within - 0.5 * beside - (self.space.dim - self.latent) * (self.log_sd + 0.5 * math.log(2 * math.pi))

    def encode(self, x: Tensor) -> Tensor:
        """E[z | x] = M^-1 W'(x - mu), M = W'W + s^2 I (equation 6): [B, *shape] -> [B, q]."""
        M = self.W.T @ self.W + (2 * self.log_sd).exp() * self.eye()
        return torch.linalg.solve(M, (x.flatten(1).to(self.W.dtype) - self.mean) @ self.W, left=False)

    def expected(self, z: Tensor) -> Tensor:
        """E[x | z]: [n, q] -> [n, *shape]."""
        return self.raw(self.mean + z @ self.W.T)


class IntegerPPCA(PPCA):
    """On integers the likelihood is bounded by importance weights."""

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mode [B, q] of p(z | x), and the Cholesky factor [B, q, q] of the precision there.

        Of y given z and x only its cell is known: it is a truncated normal, with mean t and variance v. Gradient and
        precision of log p(x, z) are W'(t - m) / s^2 - z and I + W' diag((1 - v / s^2) / s^2) W. With v = 0 in the
        latter a step is one of EM, which never lowers p(x, z); Newton's are faster, and safe near the mode.
        """
        x = normalised(x, self.space).flatten(1).to(self.W.dtype)
        W, variance, eye = self.W, (2 * self.log_sd).exp(), self.eye()
        z, precision = W.new_zeros(len(x), self.latent), eye.expand(len(x), -1, -1)
        slow = torch.linalg.inv(eye + W.T @ W / variance)
        for step in range(EM + NEWTON):
            shift, kept = self.truncated(x, self.mean + z @ W.T)
            gradient = shift @ W / variance.sqrt() - z
            if step < EM:
                z = z + gradient @ slow
                continue
            precision = eye + torch.einsum("di,bd,dj->bij", W, (1 - kept) / variance, W)
            z = z + torch.linalg.solve(precision, gradient.unsqueeze(2)).squeeze(2)
        return z, torch.linalg.cholesky(precision)

    def truncated(self, x: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        """(t - m) / s and v / s^2 of N(m, s^2) within the cell of x, elementwise."""
        assert self.space.levels is not None
        top, sd = self.space.levels - 1, self.log_sd.exp()
        a = ((x - 1 / top - m) / sd).masked_fill(x <= -1 + 1 / top, -math.inf)
        b = ((x + 1 / top - m) / sd).masked_fill(x >= 1 - 1 / top, math.inf)
        log_mass = log_normal_mass(x, m, self.log_sd, self.space.levels) + 0.5 * math.log(2 * math.pi)
        at_a, at_b = (-0.5 * a**2 - log_mass).exp(), (-0.5 * b**2 - log_mass).exp()  # densities there, over the mass
        shift = torch.clamp(at_a - at_b, a, b)
        kept = 1 + torch.nan_to_num(a * at_a) - torch.nan_to_num(b * at_b) - shift**2
        # Far out all of this cancels. Beyond an edge d away the density falls faster than exp(-d u): v / s^2 < 1 / d^2.
        d = torch.maximum(a, -b).clamp(min=1)
        return shift, kept.clamp(min=0).minimum(d**-2)

    def log_weights(self, x: Tensor, k: int, generator: Generator, q: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """log p(x, z) - log q(z | x) for k draws of z from q, which is the posterior of x: [B, *shape] -> [k, B]."""
        mode, R = q or self.posterior(x)
        noise = torch.randn(k, *mode.shape, generator=generator, device=generator.device, dtype=mode.dtype)
        away = torch.linalg.solve_triangular(R.mT, noise.permute(1, 2, 0), upper=True)  # [B, q, k]
        z = mode + away.permute(2, 0, 1)
        log_q = self.log_prior(noise) + R.diagonal(dim1=1, dim2=2).log().sum(1)
        return self.log_likelihood(x, z) + self.log_prior(z) - log_q

    def encode(self, x: Tensor) -> Tensor:
        """The mode of p(z | x): [B, *shape] -> [B, q]."""
        return self.posterior(x)[0]

    def expected(self, z: Tensor) -> Tensor:
        """E[x | z] = sum_l P(x >= l | z), over the levels l above 0: [n, q] -> [n, *shape]."""
        assert self.space.levels is not None
        m, top = self.mean + z @ self.W.T, self.space.levels - 1
        edges = (2 * torch.arange(1, top + 1, device=m.device, dtype=m.dtype) - 1) / top - 1
        return torch.special.ndtr((m.unsqueeze(-1) - edges) * (-self.log_sd).exp()).sum(-1).view(-1, *self.space.shape)


PRESETS = {
    "digits": Preset({"latent": 24}),
    "digits-without-9": Preset({"latent": 24}),
    "digits-skewed": Preset({"latent": 24}),
    "patches": Preset({"latent": 64}),
    "mnist-binary": Preset({"latent": 50}),
}


def build(space: Space, *, latent: int = 1, method: str = "closed-form", em_steps: int = 1000) -> nn.Module:
    """Raises ValueError for as many latents as values or more, and for another method."""
    if not 1 <= latent < space.dim:
        raise ValueError(f"latent is at least 1 and below the {space.dim} values of an observation, not {latent}")
    if method not in ("closed-form", "em"):
        raise ValueError(f"method is 'closed-form' or 'em', not {method!r}")
    of_space = RealPPCA if space.levels is None else IntegerPPCA
    return of_space(space, latent=latent, method=method, em_steps=em_steps)
