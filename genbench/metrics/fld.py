"""Feature likelihood divergence: how likely test data are under a mixture of Gaussians about the samples.

    q(x) = 1/m sum_j N(x; g_j, exp(s_j) I)        g_j the samples, s_j fitted on the training data

    FLD = 100/d ( E_test[-log q] - baseline ),    gap = 100/d ( E_train[-log q] - E_test[-log q] )

The baseline is the same with one half of the training data as the centres (no more than there are
samples) and the other half to fit on. Poor and missing samples raise FLD, and so do copies of training
data: their Gaussians shrink onto what they copied and leave the test data out. The gap says how much of
it is copying: the more negative, the more. The m numbers s_j were fitted on the training data, so it is a
little below 0 for every model. Samples that are test examples themselves have neither number.

What the definition leaves open is as in the reference code at commit 245ac7c of github.com/marcojira/fld; its later
head stops the fit early and clamps, so that its values differ from these. Features are centred and scaled by the
test data's mean and standard deviation (ddof = 1). s_j starts at log((squared distance to the nearest
training example + 0.001)/d); Adam with rate 0.5 takes 50 epochs over the training data, shuffled once,
in batches of 10,000, and s_j is held within [-40, 20]. During the fit alone, q/d is helped by one Gaussian
about the training mean, its squared distances times 0.81 and with weight one. Of more than 10,000 samples a
seeded 10,000 are the centres. A feature that is constant on the test data, by which the reference code
divides, is centred only. Squares are exact where they are small; distances are computed once where they fit
into 256 MiB as float32, everything else is float64.

The standard error adds two variances: that of the mean over test examples, the baseline taken off example
by example, and that of the mean over the samples of what leaving one out does to q, the other s_j held. It
covers fresh test data and samples, given the training data. FLD depends on the number of samples.

References:
    Feature likelihood divergence: evaluating the generalization of generative models using samples
    (Jiralerspong, Bose, Gemp, Qin, Bachrach, Gidel, 2023), section 3; code: github.com/marcojira/fld at 245ac7c.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from genbench.errors import Unavailable
from genbench.metrics import Measure, normal
from genbench.metrics._inputs import are_examples, enough, point_sets
from genbench.numerics.moments import variance_of_means
from genbench.numerics.neighbours import squared_distance
from genbench.numerics.points import Points

VERSION = 1
MIN_SAMPLES = 2
NEEDS = ("sample_features", "train_features", "test_features")
OUTPUTS = {
    "fld": {
        "unit": "100 nats/feature",
        "direction": "lower",
        "range": (None, None),
        "title": "feature likelihood divergence",
        "misses": "sees copies only once they are half of the samples; judges in the features of one extractor",
        "group": "fidelity",
        "place": 170,
    },
    "fld_gap": {
        "unit": "100 nats/feature",
        "direction": "higher",
        "range": (None, None),
        "title": "generalisation gap of FLD",
        "misses": "blind to noise and missing classes; strong blur and mirrored images look better than real data",
        "group": "copying",
        "place": 180,
    },
}
REFERENCE = "Jiralerspong et al., 2023"

RATE, EPOCHS, BATCH, CENTRES = 0.5, 50, 10_000, 10_000
NEAREST, LOWEST, HIGHEST = 1e-3, -40.0, 20.0  # added to the nearest square; the range of s
ORIGIN = 0.81  # on the squared distances to the training mean
CACHE, BLOCK = 2**28, 2**17  # bytes of kept distances; numbers in a block
COPIED = 1000.0  # where the reference code warns


def compute(
    sample_features: np.ndarray | Points, train_features: np.ndarray | Points, test_features: np.ndarray | Points
) -> dict[str, Measure]:
    samples, train, test = point_sets(
        MIN_SAMPLES, sample_features=sample_features, train_features=train_features, test_features=test_features
    )
    enough(len(train), "train_features", 4)  # two halves of two
    if are_examples(samples, test):
        raise Unavailable("the samples are test examples: a mixture about them finds the test set too likely")
    mean, sd = test.remember("fld scale", lambda: _scale(test.x))
    g, x, y = ((points.x - mean) / sd for points in (samples, train, test))  # float64
    if len(g) > CENTRES:
        g = g[np.random.RandomState(0).permutation(len(g))[:CENTRES]]
    half = min(len(g), len(x) // 2)
    base = train.remember_against(test, ("fld baseline", half), lambda: _baseline(x, y, half))

    mixture = Mixture.fitted(g, x)
    on_train, on_test = mixture.score(x), mixture.score(y)
    unit = 100 / test.d
    value = unit * float((on_test.nll - base).mean())
    gap = unit * (float(on_train.nll.mean()) - float(on_test.nll.mean()))
    variance = variance_of_means(on_test.nll - base, on_test.shares)
    variance_of_gap = variance_of_means(on_test.nll, on_train.shares - on_test.shares)
    details = {
        "n_samples": len(samples),
        "n_train": len(train),
        "n_test": len(test),
        "dimension": test.d,
        "centres": len(g),
        "nll_test": float(on_test.nll.mean()),
        "nll_train": float(on_train.nll.mean()),
        "nll_baseline": float(base.mean()),
    }
    method = "normal, over test data and samples given the training data"
    copied = ("FLD is very high: the samples are likely copies of training data",) if value > COPIED else ()
    return {
        "fld": normal(value, unit * math.sqrt(variance), method=method, details=details, warnings=copied),
        "fld_gap": normal(gap, unit * math.sqrt(variance_of_gap), method=method, details=dict(details)),
    }


def _scale(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of every feature, 1 where it is constant: `[d]` float64."""
    sd = x.std(0, ddof=1, dtype=np.float64)
    return x.mean(0, dtype=np.float64), np.where(x.min(0) == x.max(0), 1.0, sd)


def _baseline(x: np.ndarray, y: np.ndarray, half: int) -> np.ndarray:
    """-log q of test data under the mixture about one part of the training data, fitted on the rest: `[n]` nats."""
    x = x[np.random.RandomState(0).permutation(len(x))]
    return Mixture.fitted(x[:half], x[half:]).score(y).nll


class Score:
    """A mixture at some data.

    Arguments:
        nll: -log q of every example, nats `[n]`.
        shares: m times the mean responsibility of every centre, `[m]`, whose mean is 1: to first order, leaving
            centre j out raises the mean of nll by (shares_j - 1)/m.
    """

    def __init__(self, nll: np.ndarray, shares: np.ndarray) -> None:
        self.nll, self.shares = nll, shares


class Mixture:
    """sum_j w_j N(x; g_j, exp(s_j) I) over centres `[m, d]`; s `[m]`."""

    def __init__(self, centres: np.ndarray, s: Tensor) -> None:
        self.centres, self.s = centres, s

    @classmethod
    def fitted(cls, centres: np.ndarray, x: np.ndarray) -> Mixture:
        """The s that the reference code's optimiser finds on x `[n, d]`."""
        m, d = centres.shape
        x = x[np.random.RandomState(0).permutation(len(x))]
        batches = [slice(i, min(i + BATCH, len(x))) for i in range(0, len(x), BATCH)]
        squares = Squares(x, centres, with_origin=True)
        least = torch.stack([d2.amin(0) for batch in batches for d2 in squares.blocks(batch)]).amin(0)
        s = ((least + NEAREST) / d).log()
        s[m] = 0.0  # the Gaussian about the mean
        log_w = torch.zeros_like(s)
        log_w[:m] = -math.log(m)
        optimiser = torch.optim.Adam([s], lr=RATE)
        for _ in range(EPOCHS):
            for batch in batches:
                s.grad = gradient(squares, batch, s, log_w, d)
                optimiser.step()
                s[:m].clamp_(LOWEST, HIGHEST)
        return cls(centres, s[:m])

    def score(self, x: np.ndarray) -> Score:
        m, d = self.centres.shape
        log_w = torch.full_like(self.s, -math.log(m))
        nll, total = [], torch.zeros(m, dtype=torch.float64)
        for d2 in Squares(x, self.centres, keep=False).blocks(slice(0, len(x))):
            log_q, r = responsibilities(d2, self.s, log_w, d)
            nll.append(-log_q)
            total += r.sum(0)
        return Score(torch.cat(nll).numpy(), (total * (m / len(x))).numpy())


def responsibilities(d2: Tensor, s: Tensor, log_w: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """log q `[b]`, and the part of q that every centre has `[b, m]`, from squared distances `[b, m]`."""
    terms = torch.addcmul(log_w - 0.5 * d * (s + math.log(2 * math.pi)), d2, -0.5 * (-s).exp())  # log w_j N(x_i; ...)
    top = terms.amax(1, keepdim=True)
    r = terms.sub_(top).exp_()
    total = r.sum(1, keepdim=True)
    return (top + total.log())[:, 0], r.div_(total)


def gradient(squares: Squares, batch: slice, s: Tensor, log_w: Tensor, d: int) -> Tensor:
    """Of the mean over a batch of -log q(x)/d: with r the responsibilities, -mean_i r_ij (d2_ij exp(-s_j) - d)/(2d)."""
    weighted, total = torch.zeros_like(s), torch.zeros_like(s)
    for d2 in squares.blocks(batch):
        _, r = responsibilities(d2, s, log_w, d)
        total += r.sum(0)
        weighted += r.mul_(d2).sum(0)
    return (d * total - weighted * (-s).exp()) / (2 * d * (batch.stop - batch.start))


class Squares:
    """Squared distances of rows `[n, d]` to centres `[m, d]`, a block of rows at a time.

    Arguments:
        with_origin: a last column for the distances to the rows' own mean, times 0.81.
        keep: in float32, if they fit.
    """

    def __init__(self, x: np.ndarray, centres: np.ndarray, with_origin: bool = False, keep: bool = True) -> None:
        self.x, self.centres = x, centres
        self.origin = torch.from_numpy(x.mean(0)) if with_origin else None
        self.m = len(centres) + with_origin
        self.kept: dict[int, Tensor] | None = {} if keep and 4 * len(x) * self.m <= CACHE else None

    def blocks(self, rows: slice) -> Iterator[Tensor]:
        """`[b, m]` float64, in order."""
        step = max(1, BLOCK // self.m)
        for start in range(rows.start, rows.stop, step):
            if self.kept is None:
                yield self.made(start, min(start + step, rows.stop))
            else:
                if start not in self.kept:
                    self.kept[start] = self.made(start, min(start + step, rows.stop)).float()
                yield self.kept[start].double()

    def made(self, start: int, stop: int) -> Tensor:
        """By the expansion, and by the definition where the expansion's rounding would show."""
        x = self.x[start:stop]
        X, G = torch.from_numpy(x), torch.from_numpy(self.centres)
        xx, gg = X.square().sum(1), G.square().sum(1)
        d2 = torch.addmm(xx[:, None] + gg, X, G.T, alpha=-2)
        near = (d2 < 1e-6 * (xx.max() + gg.max())).nonzero()
        i, j = near[:, 0], near[:, 1]
        d2[i, j] = torch.from_numpy(squared_distance(x, self.centres, i.numpy(), j.numpy()))
        if self.origin is None:
            return d2
        to_origin = ORIGIN * (X - self.origin).square().sum(1)
        return torch.cat([d2, to_origin[:, None]], dim=1)
