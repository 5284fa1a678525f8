"""Realism: how deep a sample lies in the data's manifold, by the ball that it lies deepest in; the median of samples.

    R(x) = max_j r_j / |x - y_j|

over the training examples y_j, r_j the distance from y_j to its k-th nearest other example. Balls
wider than the median radius are left out, as they stand where data is sparse: so R(x) >= 1 exactly
if x lies in one of the narrower half (compare `precision_recall`). A sample that equals the centre
of one has R infinite; where radii are 0 too, R is 0 off the centres.

The median, since the mean is infinite as soon as one sample is a copy; it is infinite itself (null in
a record) where half of the samples are. `scores` gives R of every sample; the details have its
quantiles and the places of the most and the least realistic samples. The reference code (commits b7b60f6 and
b0247ea) has squares in both places and adds 1e-5 below: its values are near the squares of these.

The interval is that of order statistics: exact for any distribution of R, over the draw of the
samples. It takes the training set as given.

References:
    Improved precision and recall metric for assessing generative models (Kynkäänniemi et al., 2019),
    "Estimating the quality of individual samples".
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.special import bdtr, bdtrik

from genbench.domains import check
from genbench.metrics import Measure
from genbench.metrics._inputs import enough, point_sets
from genbench.numerics import neighbours
from genbench.numerics.intervals import Z95
from genbench.numerics.neighbours import Rows, Tile
from genbench.numerics.points import Points

VERSION = 1
NEEDS = ("sample_features", "reference_features")
OUTPUTS = {
    "realism": {
        "unit": "radius / distance",
        "direction": "higher",
        "range": (0, None),
        "title": "median realism score",
        "misses": "blind to missing classes, repeated images and copies; half of the samples do not count",
        "group": "fidelity",
        "place": 290,
    },
}
REFERENCE = "Kynkäänniemi et al., 2019"
DOMAINS = {"k": "a whole number in [1, inf)"}

SHOWN = 10  # samples named in the details, from either end


def compute(sample_features: Points, reference_features: Points, k: int = 3) -> dict[str, Measure]:
    check(DOMAINS, {"k": k}, "realism")
    R = scores(sample_features, reference_features, k)
    order = np.argsort(-R, kind="stable")
    q = np.quantile(R, [0.05, 0.25, 0.75, 0.95], method="inverted_cdf")
    details = {
        "n_samples": len(R),
        "n_train": len(reference_features),
        "k": k,
        "share_at_least_1": float((R >= 1).mean()),
        "quantiles": dict(zip(("5%", "25%", "75%", "95%"), map(float, q), strict=True)),
        "most_realistic": order[:SHOWN].tolist(),
        "least_realistic": order[::-1][:SHOWN].tolist(),
    }
    return {"realism": median(R, details)}


def scores(samples: Points, train: Points, k: int = 3) -> np.ndarray:
    """R of every sample: `[n]`, in [0, inf]."""
    x, y = point_sets(1, sample_features=samples, reference_features=train)
    enough(len(y), "reference_features", k + 1)
    squared_radii = y.nearest(y, k)[0][:, -1]
    narrow = squared_radii <= np.median(squared_radii)
    centres, points = (narrow & (squared_radii > 0)), (narrow & (squared_radii == 0))
    least = np.full(len(x.rows), np.inf)  # min_j |x - y_j|^2 / r_j^2, [u]
    if centres.any():
        balls = Rows(y.x[centres], y.device)
        least = least_ratio(x.rows, balls, squared_radii[centres][balls.first], x.tile or neighbours.TILE)
    least = least[x.rows.index]  # [n]
    if points.any():
        to_point, _ = neighbours.nearest(x.rows, Rows(y.x[points], y.device), 1, x.tile)
        least[to_point[:, 0] == 0] = 0
    with np.errstate(divide="ignore"):
        return 1 / np.sqrt(least)


def least_ratio(x: Rows, y: Rows, squared_radii: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """min_j |x_i - y_j|^2 / r_j^2 for every distinct row of x, exact as in `neighbours`: `[u]`.

    Arguments:
        squared_radii: of the distinct rows of y, above 0.
        shape: of the tiles.
    """
    weight = torch.from_numpy(1 / squared_radii).to(x.device)
    bound = torch.full((len(x),), torch.inf, dtype=torch.float64, device=x.device)  # no less than the true minimum

    def proposed(tile: Tile) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places in x and in y that may be nearest yet, and lower bounds on their ratios."""
        w = weight[tile.columns]
        high = tile.d2.double().add_(tile.error).mul_(w)
        bound[tile.rows] = torch.minimum(bound[tile.rows], high.amin(1))
        low = high.sub_(2 * tile.error * w)
        i, j = (low <= bound[tile.rows, None]).nonzero(as_tuple=True)
        return (i + tile.rows.start).cpu().numpy(), (j + tile.columns.start).cpu().numpy(), low[i, j].cpu().numpy()

    least, found = np.full(len(x), np.inf), []
    for tile in neighbours.tiles(x, y, shape):
        pairs = proposed(tile)
        if len(pairs[0]) > 4 * len(tile.d2):  # many are too close to tell apart in float32
            pairs = proposed(tile.precise())
        found.append(pairs)
    i, j, low = (np.concatenate(part) for part in zip(*found, strict=True))
    kept = low <= bound.cpu().numpy()[i]
    i, j = i[kept], j[kept]
    np.minimum.at(least, i, neighbours.squared_distance(x.distinct, y.distinct, i, j) / squared_radii[j])
    return least


def median(values: np.ndarray, details: dict) -> Measure:
    """The median of values `[n]`, with the narrowest interval of order statistics that holds it 95 times in 100.

    The standard error is that of a normal interval of the same width.
    """
    n, infinite = len(values), int(np.isinf(values).sum())
    ordered = np.sort(values)
    value = float(np.median(ordered))
    rank = int(np.ceil(bdtrik(0.025, n, 0.5)))  # the least r with P(binomial <= r) >= 2.5 %
    rank -= bool(rank and bdtr(rank - 1, n, 0.5) >= 0.025)
    if rank == 0:
        why = f"none: the range of {n} values holds their median less than 95 times in 100"
        return Measure(value, "estimate", None, None, why, n_nonfinite=infinite, details=details)
    low, high = float(ordered[rank - 1]), float(ordered[n - rank])
    if math.isinf(high):
        why = f"none: {infinite} of {n} values are infinite, and its upper end with them"
        return Measure(value, "estimate", None, None, why, n_nonfinite=infinite, details=details)
    stderr = (high - low) / (2 * Z95)
    method = "order statistics over samples, given the training set"
    return Measure(value, "estimate", stderr, (low, high), method, n_nonfinite=infinite, details=details)
