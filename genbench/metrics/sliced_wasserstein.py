"""Sliced Wasserstein distance of order 2, and MIND, which is 3 d times its square.

    SW^2 = mean over directions u of W^2(u),    W^2(u) = int_0^1 (F_u^-1(t) - G_u^-1(t))^2 dt

F_u^-1 and G_u^-1 the quantile functions of the projections u.x and u.y. Both are step functions, so
the integral is a sum over the merged steps of 1/n and 1/m. The `metric_mind.py` of torch-fidelity's repository at
commit a51aa64, which its release 0.4.0 is without, draws subsets of equal size where n and m differ; with n = m and its
defaults the values agree to float32. Its directions are used: normal vectors from a CPU generator of seed 2020, scaled
to length 1.

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

from genbench.domains import check
from genbench.metrics import Measure, alone, holding
from genbench.metrics._halves import corrected, of_square
from genbench.metrics._inputs import point_sets
from genbench.numerics.moments import variance_of_means
from genbench.numerics.points import Points

VERSION = 2
MIN_SAMPLES = 4
NEEDS = ("sample_features", "reference_features")
OUTPUTS = {
    "mind": {
        "unit": "squared feature distance",
        "direction": "lower",
        "range": (0, None),
        "title": "MIND",
        "misses": "blind to copies of training data; every direction of the features counts alike",
        "group": "fidelity",
        "place": 140,
    },
    "sliced_wasserstein": {
        "unit": "feature distance",
        "direction": "lower",
        "range": (0, None),
        "title": "sliced Wasserstein distance",
        "misses": "blind to copies of training data; every direction of the features counts alike",
        "group": "fidelity",
        "place": 150,
    },
}
REFERENCE = "Bonneel et al., 2015; Berthet et al., 2026"
DOMAINS = {"directions": "a whole number in [2, inf)", "seed": "a whole number in [0, 4294967295]"}

BLOCK = 2**22  # projections held at once: 32 MiB


def compute(
    sample_features: np.ndarray | Points,
    reference_features: np.ndarray | Points,
    directions: int = 1000,
    seed: int = 2020,
    intervals: bool = True,
) -> dict[str, Measure]:
    check(DOMAINS, {"directions": directions, "seed": seed}, "sliced_wasserstein")
    x, y = point_sets(MIN_SAMPLES, sample_features=sample_features, reference_features=reference_features)
    squares, of_rows = slices(x, y, unit_vectors(directions, x.d, seed), intervals)
    square = float(squares.mean())
    details: dict[str, float] = {"n_samples": len(x), "n_train": len(y), "dimension": x.d, "directions": directions}
    if not intervals:
        return {
            "mind": alone(3 * x.d * square, details=details),
            "sliced_wasserstein": alone(square**0.5, details=details),
        }
    of_directions = variance_of_means(squares)
    stderr = float(np.sqrt(of_directions + of_rows))
    details["share_of_variance_from_directions"] = of_directions / stderr**2 if stderr > 0 else 0.0
    method = "normal for the root at these counts: spread over directions, and influence function corrected from halves"
    mind = of_square(3 * x.d * square, 3 * x.d * stderr, method, details)
    low, high = np.sqrt(np.array(mind.ci95) / (3 * x.d)).tolist()
    root = square**0.5
    ci = holding(root, low, high)
    distance = Measure(root, "estimate", stderr / (2 * root) if root > 0 else 0.0, ci, method, details=details)
    return {"mind": mind, "sliced_wasserstein": distance}


def unit_vectors(directions: int, d: int, seed: int) -> Tensor:
    """Directions `[M, d]` as torch-fidelity draws them, in float32; kept as float64."""
    normal = torch.randn(directions, d, generator=torch.Generator().manual_seed(seed))
    return (normal / normal.norm(dim=1, keepdim=True).clamp_min(1e-12)).double()


def slices(x: Points, y: Points, U: Tensor, spread: bool = True) -> tuple[np.ndarray, float]:
    """W^2 in every direction `[M]`, and the variance of their mean that comes from the rows, 0 without `spread`."""
    n, m = len(x), len(y)
    i, j, weights = merged_steps(n, m)
    squares: list[Tensor] = []
    parts: list[Part] = []
    if spread:
        parts = [Part(np.arange(n), np.arange(m), n, m)]
        parts += [Part(a, b, n, m) for (a, _), (b, _) in zip(x.halves, y.halves, strict=True)]
    step = max(1, BLOCK // (n + m))
    for s in range(0, len(U), step):
        X, x_rows = _project(x.x, U[s : s + step]).sort(dim=1)
        Y, y_rows = _project(y.x, U[s : s + step]).sort(dim=1)
        squares.append((X[:, i] - Y[:, j]).square() @ weights)
        for part in parts:
            part.add(X, x_rows, Y, y_rows)
    found = torch.cat(squares).numpy()
    if not spread:
        return found, 0.0
    whole, *halves = (part.linear_variance(len(U)) for part in parts)
    return found, corrected(whole, halves)


class Part:
    """Some of the rows of x and of y, with the sum of their phi over directions."""

    def __init__(self, x_rows: np.ndarray, y_rows: np.ndarray, n: int, m: int) -> None:
        self.in_x, self.in_y = torch.zeros(n, dtype=torch.bool), torch.zeros(m, dtype=torch.bool)
        self.in_x[torch.from_numpy(x_rows)] = True
        self.in_y[torch.from_numpy(y_rows)] = True
        self.phi1, self.phi2 = np.zeros(n), np.zeros(m)

    def add(self, X: Tensor, x_rows: Tensor, Y: Tensor, y_rows: Tensor) -> None:
        """Projections of all rows, sorted, and which rows they are: `[B, n]`, `[B, n]`, `[B, m]`, `[B, m]`."""
        X, x_rows = (sorted_[self.in_x[x_rows]].view(len(X), -1) for sorted_ in (X, x_rows))  # sorted still
        Y, y_rows = (sorted_[self.in_y[y_rows]].view(len(Y), -1) for sorted_ in (Y, y_rows))
        self.phi1 += np.bincount(x_rows.flatten(), potential(X, Y).flatten(), len(self.phi1))
        self.phi2 += np.bincount(y_rows.flatten(), potential(Y, X).flatten(), len(self.phi2))

    def linear_variance(self, directions: int) -> float:
        """J: var phi1 / n + var phi2 / m."""
        return variance_of_means(self.phi1[self.in_x] / directions, self.phi2[self.in_y] / directions)


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
