"""Sliced Wasserstein distance of order 2, and MIND, which is 3 d times its square.

    SW^2 = mean over directions u of W^2(u),    W^2(u) = int_0^1 (F_u^-1(t) - G_u^-1(t))^2 dt

F_u^-1 and G_u^-1 the quantile functions of the projections u.x and u.y. Both are step functions, so
the integral is a sum over the merged steps of 1/n and 1/m. torch-fidelity draws subsets of equal
size where n and m differ; with n = m the values agree. Its directions are used: normal vectors from
a CPU generator of seed 2020, scaled to length 1.

The value exceeds that of infinitely many samples, so it compares at equal counts only, and the
interval is for the expectation at these counts, over all directions. Its variance has two parts. The
directions give var W^2(u) / M. The rows give, by the influence function of SW^2, which is the
dual potential of the transport averaged over directions,

    phi(x) = mean_u int^(u.x) 2 (s - T_u(s)) ds,    T_u = G_u^-1 F_u the map that moves u.x to u.y,

var phi1 / n + var phi2 / m, with the quadratic part corrected (see `_halves.py`). Models that are
measured alike share the directions, so their differences know less noise than the intervals say.

References:
    Sliced and Radon Wasserstein barycenters of measures (Bonneel, Rabin, Peyré, Pfister, 2015), definition 2.
    MIND: Monge inception distance for generative models evaluation (Berthet et al., 2026).
    Central limit theorems for empirical transportation cost in general dimension (del Barrio, Loubes, 2019).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from genbench.metrics import Measure
from genbench.metrics._halves import corrected, of_square, split
from genbench.metrics._inputs import enough, point_sets
from genbench.numerics.points import Points

VERSION = 1
MIN_SAMPLES = 4
NEEDS = ("sample_features", "train_features")
OUTPUTS = {
    "mind": {"unit": "squared feature distance", "direction": "lower", "title": "MIND"},
    "sliced_wasserstein": {"unit": "feature distance", "direction": "lower", "title": "sliced Wasserstein distance"},
}
REFERENCE = "Bonneel et al., 2015; Berthet et al., 2026"

BLOCK = 2**23  # projections held at once: 64 MiB


def compute(
    sample_features: np.ndarray | Points,
    train_features: np.ndarray | Points,
    directions: int = 1000,
    seed: int = 2020,
) -> dict[str, Measure]:
    x, y = point_sets(MIN_SAMPLES, sample_features=sample_features, train_features=train_features)
    enough(directions, "sliced_wasserstein: directions", 2)
    squares, of_rows = slices(x, y, unit_vectors(directions, x.d, seed))
    square, of_directions = float(squares.mean()), float(squares.var(ddof=1)) / directions
    stderr = float(np.sqrt(of_directions + of_rows))
    details = {
        "n_samples": len(x),
        "n_train": len(y),
        "dimension": x.d,
        "directions": directions,
        "share_of_variance_from_directions": of_directions / stderr**2 if stderr > 0 else 0.0,
    }
    method = "normal for the root at these counts: spread over directions, and influence function corrected from halves"
    mind = of_square(3 * x.d * square, 3 * x.d * stderr, method, details)
    low, high = np.sqrt(np.array(mind.ci95) / (3 * x.d)).tolist()
    root = square**0.5
    distance = Measure(root, "estimate", stderr / (2 * root) if root > 0 else 0.0, (low, high), method, details=details)
    return {"mind": mind, "sliced_wasserstein": distance}


def unit_vectors(directions: int, d: int, seed: int) -> Tensor:
    """Directions `[M, d]` as torch-fidelity draws them, in float32; kept as float64."""
    normal = torch.randn(directions, d, generator=torch.Generator().manual_seed(seed))
    return (normal / normal.norm(dim=1, keepdim=True).clamp_min(1e-12)).double()


def slices(x: Points, y: Points, U: Tensor) -> tuple[np.ndarray, float]:
    """W^2 in every direction `[M]`, and the variance of their mean that comes from the rows."""
    n, m = len(x), len(y)
    i, j, weights = merged_steps(n, m)
    squares, parts = [], [Part(np.arange(n), np.arange(m), n, m)]
    parts += [Part(a, b, n, m) for a, b in zip(split(n), split(m), strict=True)]
    step = max(1, BLOCK // (n + m))
    for s in range(0, len(U), step):
        of_x, of_y = (_project(points.x, U[s : s + step]).sort(dim=1) for points in (x, y))
        squares.append((of_x.values[:, i] - of_y.values[:, j]).square() @ weights)
        for part in parts:
            part.add(of_x, of_y)
    whole, *halves = (part.linear_variance(len(U)) for part in parts)
    return torch.cat(squares).numpy(), corrected(whole, halves)


class Part:
    """Sums phi over directions, for some rows of x and of y."""

    def __init__(self, rows: np.ndarray, others: np.ndarray, n: int, m: int) -> None:
        self.members = torch.zeros(n, dtype=torch.bool), torch.zeros(m, dtype=torch.bool)
        self.phi = torch.zeros(n, dtype=torch.float64), torch.zeros(m, dtype=torch.float64)
        for member, index in zip(self.members, (rows, others), strict=True):
            member[torch.from_numpy(index)] = True

    def add(self, of_x: torch.return_types.sort, of_y: torch.return_types.sort) -> None:
        """Of all rows' projections, sorted `[B, n]` and `[B, m]`: a part of what is sorted is sorted."""
        sorted_rows = []
        for (values, order), member in zip((of_x, of_y), self.members, strict=True):
            keep = member[order]
            sorted_rows.append((values[keep].view(len(values), -1), order[keep].view(len(values), -1)))
        (X, x_rows), (Y, y_rows) = sorted_rows
        for phi, rows, values in zip(self.phi, (x_rows, y_rows), (potential(X, Y), potential(Y, X)), strict=True):
            phi += torch.zeros(len(rows), len(phi), dtype=phi.dtype).scatter_(1, rows, values).sum(0)

    def linear_variance(self, directions: int) -> float:
        """J: var phi1 / n + var phi2 / m."""
        means = [phi[member] / directions for phi, member in zip(self.phi, self.members, strict=True)]
        return sum(float(phi.var()) / len(phi) for phi in means)


def merged_steps(n: int, m: int) -> tuple[Tensor, Tensor, Tensor]:
    """The steps of two quantile functions together: the place in either `[k]`, and their lengths `[k]`, k < n + m."""
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)  # in units of 1 / (n m), so exact
    starts = np.concatenate([[0], ends[:-1]])
    return torch.from_numpy(starts // m), torch.from_numpy(starts // n), torch.from_numpy((ends - starts) / (n * m))


def potential(X: Tensor, Y: Tensor) -> Tensor:
    """int 2 (s - T(s)) ds from the smallest X to each: `[B, n]`, of sorted rows X `[B, n]` and Y `[B, m]`.

    Between X_k and X_(k+1) the map T is Y's quantile at k/n; where that is a step, the middle of it.
    """
    n, m = X.shape[1], Y.shape[1]
    rank = torch.arange(1, n) * m
    T = (Y[:, (rank - 1) // n] + Y[:, rank // n]) / 2  # one and the same where k m / n is not whole
    steps = (X[:, 1:] - X[:, :-1]) * (X[:, 1:] + X[:, :-1] - 2 * T)
    return torch.nn.functional.pad(steps.cumsum(1), (1, 0))


def _project(x: np.ndarray, U: Tensor, block: int = 4096) -> Tensor:
    """u.x `[B, n]` float64."""
    rows = (torch.from_numpy(x[i : i + block].astype(np.float64)) for i in range(0, len(x), block))
    return torch.cat([U @ part.T for part in rows], dim=1)
