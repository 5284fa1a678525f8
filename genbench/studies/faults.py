"""Known faults, planted in real data at a chosen strength: what a metric of samples should see.

Every fault begins with n examples of a pool that no metric compares with anything, so that without the
fault the samples are what a perfect model draws. A (fault, strength, seed) has a random stream of its own:
draws are independent given the pool, and a strength has the same samples whatever others are asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from genbench.datasets import SPLITS, Dataset
from genbench.errors import Unavailable

NEAR = 0.03  # noise of a near copy, as a share of the range: half a level of 17, eight of 256


@dataclass(frozen=True)
class HeldOut:
    """Real data to plant faults in, and the dataset that metrics compare them with; no example is in both.

    Arguments:
        dataset: its training split is the original's.
        pool: `[N, *shape]`, what a perfect model draws.
        labels: `[N]` of the pool, or None.
    """

    dataset: Dataset
    pool: np.ndarray
    labels: np.ndarray | None

    @property
    def range(self) -> float:
        """From the lowest to the highest value: of the space, or of the training data where it has no levels."""
        levels = self.dataset.space.levels
        return float(levels - 1 if levels else np.ptp(self.dataset.train))

    def classes(self) -> np.ndarray:
        """`[N]` of the pool.

        Raises:
            Unavailable: the dataset has no labels.
        """
        if self.labels is None:
            raise Unavailable(f"dataset '{self.dataset.name}' has no labels")
        return self.labels


def hold_out(dataset: Dataset) -> HeldOut:
    """Validation and test split are put together and shuffled (RandomState(0)); the first half is the pool.

    The other half is a validation and a test split of the sizes' old proportion, under a name of its own.
    """
    old = [len(dataset.validation), len(dataset.test)]
    order = np.random.RandomState(0).permutation(sum(old))
    half = sum(old) // 2
    parts = np.split(order, [half, half + round((sum(old) - half) * old[0] / sum(old))])
    pool, validation, test = (np.concatenate([dataset.validation, dataset.test])[part] for part in parts)
    labels, of_pool = None, None
    if dataset.labels is not None:
        both = np.concatenate([dataset.labels_of(split) for split in SPLITS[1:]])
        labels = {"train": dataset.labels["train"], "validation": both[parts[1]], "test": both[parts[2]]}
        of_pool = both[parts[0]]
    rest = replace(dataset, name=f"{dataset.name}-audit", validation=validation, test=test, labels=labels)
    return HeldOut(rest, pool, of_pool)


def plant(held: HeldOut, fault: str, strength: float, seed: int, n: int) -> np.ndarray:
    """Samples `[n, *shape]` in the space's dtype.

    Raises:
        Unavailable: the fault means nothing for this data, or cannot be so strong.
    """
    chosen = FAULTS[fault]
    if strength > chosen.most:
        raise Unavailable(f"{strength:g} is no {chosen.unit}: that is at most {chosen.most:g}")
    digest = hashlib.sha256(f"{fault} {float(strength)!r} {seed}".encode()).digest()
    rng = np.random.RandomState(np.frombuffer(digest, "<u4"))  # NumPy promises never to change its stream
    return held.dataset.space.checked(chosen.plant(held, n, strength, rng), fault)


def draw(held: HeldOut, n: int, rng: np.random.RandomState, weights: np.ndarray | None = None) -> np.ndarray:
    """n examples of the pool, one after another without replacement, in proportion to `weights` `[N]`.

    The n smallest of Exp(1) / weight are such a draw (Efraimidis and Spirakis, 2006): equal weights give a
    simple random sample, so that a skew grows out of it without a jump.
    """
    times = rng.exponential(size=len(held.pool))
    if weights is not None:
        with np.errstate(divide="ignore"):
            times = times / weights
    return held.pool[np.argsort(times, kind="stable")[:n]]


def control(held: HeldOut, n: int, s: float, rng: np.random.RandomState) -> np.ndarray:
    """No fault: at every strength other real examples. What a metric sees here is a false alarm."""
    return draw(held, n, rng)


def blur(held: HeldOut, n: int, s: float, rng: np.random.RandomState) -> np.ndarray:
    """Images under a Gaussian blur with a standard deviation of s pixels."""
    x = draw(_images(held), n, rng).astype(np.float64)
    return _in_space(held, gaussian_filter(x, (0, 0, s, s)))


def noise(held: HeldOut, n: int, s: float, rng: np.random.RandomState) -> np.ndarray:
    """Gaussian noise on every value, its standard deviation s times the range."""
    return _noisy(held, draw(held, n, rng), s, rng)


def dropped(held: HeldOut, n: int, s: float, rng: np.random.RandomState) -> np.ndarray:
    """A share s of the classes, chosen at random, is missing; others fill their places."""
    labels = held.classes()
    classes, counts = np.unique(labels, return_counts=True)
    gone = _whole(s, len(classes), "classes")
    kept = len(classes) - gone
    if np.sort(counts)[:kept].sum() < n:
        raise Unavailable(f"without {gone} of {len(classes)} classes fewer than {n} real examples are left")
    return draw(held, n, rng, ~np.isin(labels, rng.permutation(classes)[:gone]))


def imbalance(held: HeldOut, n: int, s: float, rng: np.random.RandomState) -> np.ndarray:
    """Classes in random order, an example of each drawn with a weight 1 - s times that of the one before."""
    classes, index = np.unique(held.classes(), return_inverse=True)
    rank = rng.permutation(len(classes))
    return draw(held, n, rng, (1.0 - s) ** rank[index])


def copies(held: HeldOut, n: int, s: float, rng: np.random.RandomState) -> np.ndarray:
    """A share s of the samples is replaced by different training examples, exactly."""
    return _copied(held, n, s, rng, 0.0)


def near_copies(held: HeldOut, n: int, s: float, rng: np.random.RandomState) -> np.ndarray:
    """The same, each copy under noise of 3 % of the range: to the eye the same image."""
    return _copied(_images(held), n, s, rng, NEAR)


def mirrored(held: HeldOut, n: int, s: float, rng: np.random.RandomState) -> np.ndarray:
    """A share s of the images is mirrored, left to right."""
    x = draw(_images(held), n, rng)
    some = rng.permutation(n)[: _whole(s, n, "samples")]
    x[some] = x[some][..., ::-1]
    return x


def repeated(held: HeldOut, n: int, s: float, rng: np.random.RandomState) -> np.ndarray:
    """A share s of the samples is one and the same real example."""
    x = draw(held, n, rng)
    some = rng.permutation(n)[: _whole(s, n, "samples")]
    x[some] = x[some[0]]
    return x


def _images(held: HeldOut) -> HeldOut:
    space = held.dataset.space
    if not space.is_image:
        raise Unavailable(f"dataset '{held.dataset.name}' has no images: its observations are {list(space.shape)}")
    return held


def _whole(share: float, n: int, what: str) -> int:
    """share * n as a whole number."""
    if (k := round(share * n)) == 0:
        raise Unavailable(f"{share:g} of {n} {what} is none")
    return k


def _copied(held: HeldOut, n: int, s: float, rng: np.random.RandomState, noise: float) -> np.ndarray:
    x, k, train = draw(held, n, rng), _whole(s, n, "samples"), held.dataset.train
    if k > len(train):
        raise Unavailable(f"there are only {len(train)} training examples to copy")
    stolen = train[rng.permutation(len(train))[:k]]
    x[rng.permutation(n)[:k]] = _noisy(held, stolen, noise, rng) if noise else stolen
    return x


def _noisy(held: HeldOut, x: np.ndarray, s: float, rng: np.random.RandomState) -> np.ndarray:
    space = held.dataset.space
    if space.levels is not None and not space.is_image:
        raise Unavailable(f"dataset '{held.dataset.name}' is of symbols, which have no order to add noise to")
    return _in_space(held, x + s * held.range * rng.standard_normal(x.shape))


def _in_space(held: HeldOut, x: np.ndarray) -> np.ndarray:
    """Real numbers -> the nearest values of the space."""
    space = held.dataset.space
    if space.levels is None:
        return x.astype(space.dtype)
    return x.round().clip(0, space.levels - 1).astype(space.dtype)


@dataclass(frozen=True)
class Fault:
    """One way to be wrong.

    Arguments:
        plant: `(held, n, strength, generator) -> [n, *shape]`.
        unit: of the strength.
        strengths: those that are measured by default.
        most: the largest strength that means something.
    """

    plant: Callable[[HeldOut, int, float, np.random.RandomState], np.ndarray]
    unit: str
    strengths: tuple[float, ...]
    most: float = 1.0

    @property
    def summary(self) -> str:
        return (self.plant.__doc__ or "").split("\n", 1)[0]


SHARES = (0.1, 0.2, 0.5, 1.0)
FAULTS = {
    "blur": Fault(blur, "standard deviation in pixels", (0.4, 0.6, 1.0, 2.0), np.inf),
    "noise": Fault(noise, "share of the range", (0.05, 0.1, 0.2, 0.4), np.inf),
    "mirrored": Fault(mirrored, "share of samples", SHARES),
    "dropped": Fault(dropped, "share of classes", (0.1, 0.2, 0.3, 0.5)),
    "imbalance": Fault(imbalance, "share lost from class to class", (0.05, 0.1, 0.2, 0.4)),
    "repeated": Fault(repeated, "share of samples", (0.05, 0.1, 0.2, 0.5)),
    "copies": Fault(copies, "share of samples", SHARES),
    "near-copies": Fault(near_copies, "share of samples", SHARES),
    "control": Fault(control, "nothing planted", SHARES),
}
