"""The trace of (S1 S2)^(1/2), and the optimal transport between the Gaussians that it belongs to.

For any factors S1 = F1 F1', S2 = F2 F2' the trace is the nuclear norm of F1' F2, the sum of its
singular values. Three ways to it:

    Cholesky    S1 = L L'; the roots of the eigenvalues of L' S2 L. The fastest, for full rank.
    eigen       F = V sqrt(w), eigenvalues within rounding of zero left out. Where Cholesky fails or
                L' S2 L is singular to rounding: there the root of a rounding error of 1e-16 would
                count as 1e-8.
    data        F' = the centred data over sqrt(n-1), where n <= d.

The optimal map from N(0, S1) to N(0, S2) is T12 = F1^-T (F1' S2 F1)^(1/2) F1^-1; its quadratic form
x' T12 x is what one row x adds to the trace, which makes it the influence function's hard part.

References:
    The Fréchet distance between multivariate normal distributions (Dowson, Landau, 1982), equation 16.
    The distance between two random vectors with given dispersion matrices (Olkin, Pukelsheim, 1982).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, eigh, lapack, solve_triangular, svd

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Factor:
    """S = F F' on the directions in which S has mass.

    Arguments:
        basis: V, orthonormal columns, `[d, r]`.
        sd: the standard deviation along each, positive, `[r]`.
    """

    basis: np.ndarray
    sd: np.ndarray

    @property
    def F(self) -> np.ndarray:  # noqa: N802
        return self.basis * self.sd  # [d, r]

    @property
    def F_inverse(self) -> np.ndarray:  # noqa: N802
        """F^-T on the range of S: `[d, r]`."""
        return self.basis / self.sd


@dataclass(frozen=True)
class Transport:
    """T12 = P w P' and T21 = Q w Q'.

    Arguments:
        w: singular values of F1' F2, `[r]`; their sum is the trace.
        P, Q: `[d, r]`.
    """

    w: np.ndarray
    P: np.ndarray
    Q: np.ndarray

    @property
    def trace(self) -> float:
        return float(self.w.sum())


def root_trace(S1: np.ndarray, S2: np.ndarray) -> float:
    """tr (S1 S2)^(1/2) of two covariances `[d, d]`, positive semi-definite."""
    try:
        L = cholesky(S1, lower=True)
        w = eigh(_congruent(S2, L), eigvals_only=True)
    except np.linalg.LinAlgError:
        w = None
    if w is not None and _full_rank(w):
        return float(np.sqrt(w).sum())
    return nuclear_norm(factor_of_covariance(S1), factor_of_covariance(S2))


def root_trace_of_data(x: np.ndarray, y: np.ndarray) -> float:
    """The same of the covariances of rows `[n, d]` and `[m, d]`, which are their own factors; cheap where n, m < d."""
    A, B = (_centred(rows) for rows in (x, y))
    return float(svd(A @ B.T, compute_uv=False).sum())


def nuclear_norm(a: Factor, b: Factor) -> float:
    """The sum of the singular values of F1' F2; 0 where one has no mass at all."""
    if not (len(a.sd) and len(b.sd)):
        return 0.0
    return float(svd(a.F.T @ b.F, compute_uv=False).sum())


def factor_of_covariance(S: np.ndarray) -> Factor:
    w, V = eigh(S)
    keep = w > len(w) * EPS * max(w[-1], 0.0)
    return Factor(V[:, keep], np.sqrt(w[keep]))


def factor_of_data(x: np.ndarray) -> Factor:
    """Of the covariance of the rows of `x` `[n, d]`, without forming it: exact to rounding at any rank."""
    _, s, Vt = svd(_centred(x), full_matrices=False)
    keep = s > max(x.shape) * EPS * s[0]
    return Factor(Vt[keep].T, s[keep])


def _centred(x: np.ndarray) -> np.ndarray:
    """A with A'A the covariance."""
    A = x.astype(np.float64)
    return (A - A.mean(0)) / np.sqrt(len(A) - 1)


def transport(S1: np.ndarray, S2: np.ndarray) -> Transport:
    """The maps between two covariances `[d, d]`, in the same way as `root_trace`."""
    try:
        L = cholesky(S1, lower=True)
        squares, W = eigh(_congruent(S2, L))
    except np.linalg.LinAlgError:
        squares = None
    if squares is not None and _full_rank(squares):
        w = np.sqrt(squares)
        return Transport(w, solve_triangular(L, W, lower=True, trans="T"), L @ W / w)
    return transport_of_factors(factor_of_covariance(S1), factor_of_covariance(S2))


def transport_of_factors(a: Factor, b: Factor) -> Transport:
    if not (len(a.sd) and len(b.sd)):
        empty = np.zeros((len(a.basis), 0))
        return Transport(np.zeros(0), empty, empty)
    U, w, Vt = svd(a.F.T @ b.F, full_matrices=False)
    return Transport(w, a.F_inverse @ U, b.F_inverse @ Vt.T)


def _congruent(S: np.ndarray, L: np.ndarray) -> np.ndarray:
    """The lower half of L' S L, which is all that `eigh` reads, in a quarter of the operations of two products."""
    reduced, info = lapack.dsygst(S, L, itype=2, lower=1)
    assert info == 0, info
    return reduced


def _full_rank(eigenvalues: np.ndarray) -> bool:
    """Whether the smallest of the ascending eigenvalues stands clear of rounding."""
    return bool(eigenvalues[0] > len(eigenvalues) * EPS * eigenvalues[-1])
