"""Kernels over ready features: moments, the Fréchet trace, neighbours, kernel sums, scores, and all metrics at once."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Sequence
from functools import cache, partial
from types import ModuleType
from typing import Any

import numpy as np
import scipy.linalg
from scipy.spatial.distance import cdist
from scipy.special import log_softmax

from genbench import catalog
from genbench.errors import Unavailable
from genbench.features import _torchvision
from genbench.metrics import inception_score, kd, precision_recall
from genbench.numerics import roots, single
from genbench.numerics.logmeanexp import LogMeanExp
from genbench.numerics.moments import moments
from genbench.numerics.points import Points
from genbench.studies.profiling.kernel import Kernel, Way, Work

FLOAT, DOUBLE = 4, 8  # bytes
BOTH = ("cpu", "cuda")
LOGITS = 1008  # of InceptionV3
FEW = 8  # dimensions up to which trees make do with less than all distances, so that no formula holds
CHUNK = 50  # log-weights that arrive together
WITH = "with intervals"  # our other way: what values alone are faster than
READY = ("sample_features", "train_features", "test_features", "sample_logits")  # what a metric can be given here


@cache
def fidelity(module: str) -> ModuleType:
    """A module of torch-fidelity, imported beside whatever torch is here."""
    _torchvision.make_importable()
    return importlib.import_module(f"torch_fidelity.{module}")


def rows(n: int, d: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Features `[n, d]` float32 of full rank, their standard deviations from 0.2 to 2."""
    x = np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)
    return x * np.linspace(0.2, 2, d, dtype=np.float32) + np.float32(shift)


def two_sets(device: str, n: int, d: int, **_: int) -> tuple:
    """Samples and training data that are close and not alike, `[n, d]` each."""
    return rows(n, d, 0, shift=0.1), rows(n, d, 1)


# Moments


def numpy_moments(x: np.ndarray) -> Any:
    return x.mean(0, dtype=np.float64), np.cov(x, rowvar=False, dtype=np.float64)


def genbench_moments(x: np.ndarray) -> Any:
    found = moments(x)
    return found.mean, found.covariance


def long_moments(x: np.ndarray) -> Any:
    """In extended precision, where the platform has it."""
    wide = x.astype(np.longdouble)
    centred = wide - wide.mean(0)
    return wide.mean(0), centred.T @ centred / (len(x) - 1)


MOMENTS = Kernel(
    "moments",
    "mean and covariance of n rows",
    inputs=lambda device, n, d: (rows(n, d, 0, shift=1.0),),
    ways=(Way("genbench", genbench_moments), Way("numpy", numpy_moments)),
    sizes=({"n": 10_000, "d": 64}, {"n": 10_000, "d": 2048}),
    quick={"n": 1000, "d": 32},
    # One triangle of the covariance, and the mean.
    work=lambda n, d: Work(n * d * (d + 1) + 3 * n * d, FLOAT * n * d + DOUBLE * d * d),
    reference=long_moments,
    check={"n": 1000, "d": 64},
    cost={"n": 1, "d": 2},
    start={"n": 4000, "d": 256},
)


# The trace of (S1 S2)^(1/2)


def covariances(device: str, d: int) -> tuple:
    return tuple(moments(x).covariance for x in (rows(2 * d, d, 0), rows(2 * d, d, 1)))


def sqrtm_trace(S1: np.ndarray, S2: np.ndarray) -> float:
    return float(np.trace(scipy.linalg.sqrtm(S1 @ S2)).real)


def fidelity_trace(S1: np.ndarray, S2: np.ndarray) -> float:
    """What torch-fidelity's FID of two centred Gaussians says of the trace."""
    mean = np.zeros(len(S1))
    found = fidelity("metric_fid").fid_statistics_to_metric(
        {"mu": mean, "sigma": S1}, {"mu": mean, "sigma": S2}, verbose=False
    )
    return float(np.trace(S1) + np.trace(S2) - found["frechet_inception_distance"]) / 2


def pytorch_fid_trace(S1: np.ndarray, S2: np.ndarray) -> float:
    _torchvision.make_importable()
    from pytorch_fid.fid_score import calculate_frechet_distance

    mean = np.zeros(len(S1))
    with contextlib.redirect_stdout(io.StringIO()):
        distance = calculate_frechet_distance(mean, S1, mean, S2)
    return float(np.trace(S1) + np.trace(S2) - distance) / 2


def eigh_trace(S1: np.ndarray, S2: np.ndarray) -> float:
    """By the symmetric root of S1: sum of the roots of the eigenvalues of S1^(1/2) S2 S1^(1/2)."""
    w, V = scipy.linalg.eigh(S1)
    root = V * np.sqrt(w) @ V.T
    return float(np.sqrt(scipy.linalg.eigvalsh(root @ S2 @ root)).sum())


FRECHET_TRACE = Kernel(
    "frechet-trace",
    "tr (S1 S2)^(1/2) of two covariances of full rank",
    inputs=covariances,
    ways=(
        Way("genbench", roots.root_trace),
        Way("scipy sqrtm", sqrtm_trace),
        Way("torch-fidelity", fidelity_trace, packages=("torch-fidelity",)),
        Way("pytorch-fid", pytorch_fid_trace, packages=("pytorch-fid",)),
    ),
    sizes=({"d": 64}, {"d": 2048}),
    quick={"d": 48},
    # Cholesky d^3/3, the congruence L' S2 L d^3, tridiagonal reduction 4 d^3/3 (Golub, Van Loan 2013, 4.2, 8.3, 8.7).
    work=lambda d: Work(8 * d**3 / 3, 2 * DOUBLE * d * d),
    reference=eigh_trace,
    check={"d": 512},
    cost={"d": 3},
    start={"d": 128},
)


def few_rows(device: str, n: int, d: int) -> tuple:
    """Two sets, and for the peers their covariances, ready."""
    x, y = two_sets(device, n, d)
    return x, y, moments(x).covariance, moments(y).covariance


def gram_trace(x: np.ndarray, y: np.ndarray, *_: np.ndarray) -> float:
    """By the eigenvalues of (A B')(A B')', of which centring makes exactly one zero: A 1 = 0."""
    A, B = ((z - z.mean(0, dtype=np.float64)) / np.sqrt(len(z) - 1) for z in (x, y))
    C = A @ B.T
    return float(np.sqrt(scipy.linalg.eigvalsh(C @ C.T)[1:]).sum())


FRECHET_TRACE_LOW_RANK = Kernel(
    "frechet-trace-low-rank",
    "the same with fewer rows than dimensions; the peers' covariances are ready",
    inputs=few_rows,
    ways=(
        Way("genbench", lambda x, y, S1, S2: roots.root_trace_of_data(x, y)),
        Way("scipy sqrtm", lambda x, y, S1, S2: sqrtm_trace(S1, S2)),
        Way("torch-fidelity", lambda x, y, S1, S2: fidelity_trace(S1, S2), packages=("torch-fidelity",)),
    ),
    sizes=({"n": 500, "d": 2048},),
    quick={"n": 20, "d": 64},
    # The product A B', and its singular values by way of a bidiagonal matrix, 8 n^3/3 (Golub, Van Loan 2013, 5.4.8).
    work=lambda n, d: Work(2 * n * n * d + 8 * n**3 / 3, 2 * FLOAT * n * d),
    reference=gram_trace,
    check={"n": 100, "d": 512},
    cost={"d": 1},
    start={"n": 200, "d": 1024},
)


# Neighbours


def sets_on(device: str, n: int, d: int) -> tuple:
    """Two sets, and where their distances shall be computed."""
    return *two_sets(device, n, d), device


def scikit_nearest(x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=k).fit(y).kneighbors(x)[0] ** 2


def sorted_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distances by the definition, `[n, m]`, sorted along the rows."""
    return np.sort(cdist(x.astype(np.float64), y.astype(np.float64), "sqeuclidean"), 1)


def neighbours(k: int) -> Kernel:
    return Kernel(
        "nearest",
        f"the {k} nearest of n rows to each of n others",
        inputs=sets_on,
        ways=(
            Way("genbench", lambda x, y, where: Points(x, where).nearest(Points(y, where), k)[0], "float32", BOTH),
            Way("scikit-learn", lambda x, y, where: scikit_nearest(x, y, k), "float32"),
        ),
        sizes=tuple({"n": 10_000, "d": d} for d in (2, 64, 784, 2048)),
        quick={"n": 500, "d": 16},
        work=lambda n, d: Work(2 * n * n * d, 2 * FLOAT * n * d + 2 * DOUBLE * n * k) if d > FEW else None,
        reference=lambda x, y, where: sorted_distances(x, y)[:, :k],
        check={"n": 500},
        cost={"n": 2, "d": 1},
        start={"n": 1000, "d": 256},
    )


def genbench_prdc(x: np.ndarray, y: np.ndarray, where: str, k: int) -> np.ndarray:
    """Precision, recall, density, coverage of samples x against data y with open balls, as in prdc."""
    samples, data = Points(x, where), Points(y, where)
    inside = samples.balls(data, k).open
    radii = data.nearest(data, k)[0][:, -1]
    covered = data.nearest(samples, 1)[0][:, 0] < radii
    recalled = data.balls(samples, k).open > 0
    return np.array([(inside > 0).mean(), recalled.mean(), inside.mean() / k, covered.mean()])


def prdc_prdc(x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    from prdc import compute_prdc

    with contextlib.redirect_stdout(io.StringIO()):
        found = compute_prdc(y, x, nearest_k=k)
    return np.array([found[name] for name in ("precision", "recall", "density", "coverage")])


def defined_prdc(x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """From the whole matrix of distances in float64."""
    across = cdist(x.astype(np.float64), y.astype(np.float64), "sqeuclidean")
    own_x, own_y = sorted_distances(x, x)[:, k], sorted_distances(y, y)[:, k]  # column 0 is the row itself
    inside = across < own_y
    recalled = (across < own_x[:, None]).any(0)
    covered = across.min(0) < own_y
    return np.array([inside.any(1).mean(), recalled.mean(), inside.sum(1).mean() / k, covered.mean()])


def all_distances(n: int, d: int) -> Work | None:
    """Within two sets, where half are enough, and between them."""
    return Work(4 * n * n * d, 2 * FLOAT * n * d) if d > FEW else None


def prdc(k: int) -> Kernel:
    return Kernel(
        "prdc",
        f"precision, recall, density and coverage of n samples against n data, k={k}",
        inputs=sets_on,
        ways=(
            Way("genbench", lambda x, y, where: genbench_prdc(x, y, where, k), "float32", BOTH),
            Way(
                "prdc",
                lambda x, y, where: prdc_prdc(x, y, k),
                packages=("prdc",),
                note="starts eight threads of its own",
            ),
        ),
        sizes=tuple({"n": 10_000, "d": d} for d in (2, 64, 784, 2048)),
        quick={"n": 500, "d": 16},
        work=all_distances,
        reference=lambda x, y, where: defined_prdc(x, y, k),
        check={"n": 500},
        cost={"n": 2, "d": 1},
        start={"n": 1000, "d": 256},
    )


def genbench_precision_recall(x: np.ndarray, y: np.ndarray, where: str, intervals: bool = False) -> np.ndarray:
    found = precision_recall.compute(Points(x, where), Points(y, where), intervals=intervals)
    return np.array([found["precision"].value, found["recall"].value])


def fidelity_precision_recall(x: np.ndarray, y: np.ndarray, where: str) -> np.ndarray:
    import torch

    metric_prc = fidelity("metric_prc")
    return np.array(metric_prc.calculate_precision_recall_full(torch.from_numpy(x), torch.from_numpy(y), 3))


def defined_precision_recall(x: np.ndarray, y: np.ndarray, where: str) -> np.ndarray:
    across = cdist(x.astype(np.float64), y.astype(np.float64), "sqeuclidean")
    own_x, own_y = sorted_distances(x, x)[:, 3], sorted_distances(y, y)[:, 3]
    return np.array([(across <= own_y).any(1).mean(), (across <= own_x[:, None]).any(0).mean()])


PRECISION_RECALL = Kernel(
    "precision-recall",
    "improved precision and recall, k=3",
    inputs=sets_on,
    ways=(
        Way("genbench", genbench_precision_recall, "float32", BOTH),
        Way("torch-fidelity", fidelity_precision_recall, dtype="float32", packages=("torch-fidelity",)),
        Way(WITH, lambda x, y, where: genbench_precision_recall(x, y, where, True), "float32", BOTH),
    ),
    sizes=({"n": 10_000, "d": 2048},),
    quick={"n": 500, "d": 16},
    work=all_distances,
    reference=defined_precision_recall,
    check={"n": 500},
    cost={"n": 2, "d": 1},
    start={"n": 1000, "d": 256},
)


# Kernel sums


def long_kernel_distance(x: np.ndarray, y: np.ndarray) -> float:
    """The U-statistic from whole matrices, in extended precision where the platform has it."""
    X: np.ndarray = x.astype(np.longdouble)
    Y: np.ndarray = y.astype(np.longdouble)
    d = x.shape[1]
    xx, yy, xy = (((A @ B.T) / d + 1) ** 3 for A, B in ((X, X), (Y, Y), (X, Y)))
    n, m = len(x), len(y)
    within = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(within - 2 * xy.mean())


def fidelity_kernel_distance(x: np.ndarray, y: np.ndarray) -> float:
    return float(fidelity("metric_kid").kernel_mmd(x, y))


def of_products(n: int, d: int) -> str:
    """What kernels of these sets are multiplied in, which differ by more than float32 rounds."""
    return "float32" if single.worth(n, d) else "float64"


KERNEL_SUMS = Kernel(
    "kernel-sums",
    "cubic kernel over all pairs within and between two sets: the kernel distance",
    inputs=two_sets,
    ways=(
        Way("genbench", lambda x, y: kd.compute(x, y, intervals=False)["kd"].value, of_products),
        Way("torch-fidelity", fidelity_kernel_distance, dtype="float32", packages=("torch-fidelity",)),
        Way(WITH, lambda x, y: kd.compute(x, y)["kd"].value, of_products),
    ),
    sizes=({"n": 10_000, "d": 64}, {"n": 10_000, "d": 2048}),
    quick={"n": 500, "d": 16},
    # Half of the pairs within each set, all between them; five operations a kernel value.
    work=lambda n, d: Work(2 * n * n * (2 * d + 5), 2 * FLOAT * n * d),
    reference=long_kernel_distance,
    check={"n": 500},
    cost={"n": 2, "d": 1},
    start={"n": 1000, "d": 256},
)


def subset_size(n: int) -> int:
    return min(1000, n // 2)


def genbench_subsets(x: np.ndarray, y: np.ndarray) -> float:
    return kd.compute(Points(x), Points(y), subsets=100, subset_size=subset_size(len(x)))["kd"].value


def fidelity_subsets(x: np.ndarray, y: np.ndarray) -> float:
    import torch

    found = fidelity("metric_kid").kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subset_size=subset_size(len(x)), verbose=False
    )
    return float(found["kernel_inception_distance_mean"])


KID_SUBSETS = Kernel(
    "kid-subsets",
    "kernel distance over torch-fidelity's 100 random subsets of at most 1000",
    inputs=two_sets,
    ways=(
        Way("genbench", genbench_subsets, lambda n, d: of_products(subset_size(n), d)),
        Way("torch-fidelity", fidelity_subsets, dtype="float32", packages=("torch-fidelity",)),
    ),
    sizes=({"n": 10_000, "d": 2048},),
    quick={"n": 100, "d": 16},
    work=lambda n, d: Work(100 * 2 * subset_size(n) ** 2 * (2 * d + 5), 2 * FLOAT * n * d),
    # torch-fidelity's own in float64: it computes in the dtype that it is given.
    reference=lambda x, y: fidelity_subsets(x.astype(np.float64), y.astype(np.float64)),
    reference_packages=("torch-fidelity",),
    check={"n": 1000},
    cost={"d": 1},
    start={"n": 400, "d": 256},
)


# Scores


def logits(device: str, n: int) -> tuple:
    return (3 * np.random.default_rng(0).standard_normal((n, LOGITS), dtype=np.float32),)


def fidelity_inception_score(x: np.ndarray) -> float:
    import torch

    return float(fidelity("metric_isc").isc_features_to_metric(torch.from_numpy(x))["inception_score_mean"])


def defined_inception_score(x: np.ndarray) -> float:
    log_p = log_softmax(x[np.random.RandomState(2020).permutation(len(x))].astype(np.float64), axis=1)
    parts = [log_p[i * len(x) // 10 : (i + 1) * len(x) // 10] for i in range(10)]
    kl = [(np.exp(q) * (q - np.log(np.exp(q).mean(0)))).sum(1).mean() for q in parts]
    return float(np.exp(kl).mean())


INCEPTION_SCORE = Kernel(
    "inception-score",
    f"inception score of n rows of {LOGITS} logits, ten splits",
    inputs=logits,
    ways=(
        Way("genbench", lambda x: inception_score.compute(x)["is"].value),
        Way("torch-fidelity", fidelity_inception_score, packages=("torch-fidelity",)),
    ),
    sizes=({"n": 10_000},),
    quick={"n": 200},
    # Of each logit: less the maximum, exp, sum, log p, p log p, the mean of p.
    work=lambda n: Work(7 * n * LOGITS, FLOAT * n * LOGITS),
    reference=defined_inception_score,
    check={"n": 1000},
    cost={"n": 1},
    start={"n": 1000},
)


def vendi(x: np.ndarray, intervals: bool = False) -> float:
    return catalog.load("metrics", "vendi").compute(x, intervals=intervals)["vendi"].value


def vendi_score_vendi(x: np.ndarray) -> float:
    from vendi_score.vendi import score_dual

    return float(score_dual(x.astype(np.float64)))


def defined_vendi(x: np.ndarray) -> float:
    """From the n x n kernel: exp of the entropy of its eigenvalues."""
    unit = x / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    w = scipy.linalg.eigvalsh(unit @ unit.T / len(x))
    w = w[w > 0]
    return float(np.exp(-(w * np.log(w)).sum()))


VENDI = Kernel(
    "vendi",
    "Vendi score of n rows, n >= d",
    inputs=lambda device, n, d: (rows(n, d, 0, shift=0.5),),
    ways=(
        Way("genbench", vendi),
        Way("vendi-score", vendi_score_vendi, packages=("vendi-score",)),
        Way(WITH, lambda x: vendi(x, True)),
    ),
    sizes=({"n": 10_000, "d": 2048},),
    quick={"n": 300, "d": 16},
    # One triangle of X'X, and a tridiagonal reduction.
    work=lambda n, d: Work(n * d * (d + 1) + 4 * d**3 / 3, FLOAT * n * d),
    reference=defined_vendi,
    check={"n": 1000, "d": 256},
    cost={"n": 1},
    start={"n": 4000, "d": 256},
)


# Log-mean-exp


def log_weights(device: str, K: int, B: int) -> tuple:
    return (20 * np.random.default_rng(0).standard_normal((K, B)),)


def streamed(w: np.ndarray) -> np.ndarray:
    state = LogMeanExp.of(w[:CHUNK])
    for i in range(CHUNK, len(w), CHUNK):
        state = state.merge(LogMeanExp.of(w[i : i + CHUNK]))
    return state.log_mean


def scipy_log_mean_exp(w: np.ndarray) -> np.ndarray:
    from scipy.special import logsumexp

    return logsumexp(w, axis=0) - np.log(len(w))


def torch_log_mean_exp(w: np.ndarray) -> Any:
    import torch

    return torch.logsumexp(torch.from_numpy(w), 0) - np.log(len(w))


def long_log_mean_exp(w: np.ndarray) -> np.ndarray:
    m = w.max(0)
    return m + np.log(np.exp(w.astype(np.longdouble) - m).mean(0))


LOG_MEAN_EXP = Kernel(
    "log-mean-exp",
    f"of K log-weights for each of B examples, {CHUNK} at a time, with their effective sample size",
    inputs=log_weights,
    ways=(
        Way("genbench", streamed),
        Way("torch", torch_log_mean_exp, note="all at once, no effective sample size"),
        Way("scipy", scipy_log_mean_exp, note="all at once, no effective sample size"),
    ),
    sizes=({"K": 5000, "B": 1000},),
    quick={"K": 200, "B": 100},
    # Of each weight: maximum, difference, exp, sum.
    work=lambda K, B: Work(4 * K * B, DOUBLE * K * B + DOUBLE * B),
    reference=long_log_mean_exp,
    check={"K": 1000, "B": 200},
    cost={"K": 1},
    start={"K": 1000, "B": 200},
)


# All sample metrics


def ready(device: str, n: int, d: int) -> tuple:
    return *two_sets(device, n, d), rows(n, d, 2), logits(device, n)[0]


FITTED = ("fld", "bins")  # 50 epochs of a mixture, and k-means: minutes at 10,000 x 2048, and no peer's business
FIVE = ("precision-recall", "density-coverage", "fd")
BOARD = ("fd", "kd", "inception-score", "precision-recall", "memorisation")  # what the default board asks of features


def all_metrics(*sets: np.ndarray, intervals: bool = False) -> None:
    """Every metric in the catalog that needs no more than this and fits nothing, over shared points."""
    measure([name for name in catalog.names("metrics") if name not in FITTED], sets, intervals)


def five(*sets: np.ndarray, intervals: bool = False) -> None:
    measure(FIVE, sets, intervals)


def board(*sets: np.ndarray, intervals: bool = False) -> None:
    measure(BOARD, sets, intervals)


def board_sets(device: str, n: int, d: int) -> tuple:
    """As the default board has them: so many samples and test examples, and 2.6 times as many to train on."""
    return rows(n, d, 0, shift=0.1), rows(13 * n // 5, d, 1), rows(n, d, 2), logits(device, n)[0][:, :10]


def measure(names: Sequence[str], sets: Sequence[np.ndarray], intervals: bool) -> None:
    *features, x_logits = sets
    given = dict(zip(READY, (*map(Points, features), x_logits), strict=True))
    given |= dict.fromkeys(("reference_features", "reference_moments"), given["train_features"])
    for name in names:
        entry = catalog.find("metrics", name)
        needs = entry.constants["NEEDS"]
        spared = {} if intervals or not entry.spares else {"intervals": False}
        if set(needs) <= set(given):
            with contextlib.suppress(Unavailable):
                catalog.load("metrics", name).compute(*(given[need] for need in needs), **spared)


def prdc_and_fid(x: np.ndarray, train: np.ndarray, test: np.ndarray, x_logits: np.ndarray) -> None:
    import torch

    prdc_prdc(x, train, k=5)
    metric_fid = fidelity("metric_fid")
    statistics = [metric_fid.fid_features_to_statistics(torch.from_numpy(features)) for features in (x, train)]
    metric_fid.fid_statistics_to_metric(*statistics, verbose=False)


ALL_METRICS = Kernel(
    "all-metrics",
    "every sample metric that fits nothing, over ready features and logits; of the peers prdc and FID alone",
    inputs=ready,
    ways=(
        Way("genbench", all_metrics),
        Way("prdc + torch-fidelity FID", prdc_and_fid, packages=("prdc", "torch-fidelity"), note="five values"),
        Way(WITH, partial(all_metrics, intervals=True)),
    ),
    sizes=({"n": 10_000, "d": 2048},),
    quick={"n": 200, "d": 16},
    most_runs=1,
)
FD_PRDC = Kernel(
    "fd-prdc",
    "FD, precision, recall, density and coverage over ready features",
    inputs=ready,
    ways=(
        Way("genbench", five),
        Way("prdc + torch-fidelity FID", prdc_and_fid, packages=("prdc", "torch-fidelity")),
        Way(WITH, partial(five, intervals=True)),
    ),
    sizes=({"n": 10_000, "d": 2048},),
    quick={"n": 200, "d": 16},
    most_runs=3,
)
BOARD_METRICS = Kernel(
    "board-metrics",
    "what the default board asks of features, n samples against 2.6 n: FD, KD, IS, precision, recall, memorisation",
    inputs=board_sets,
    ways=(Way("genbench", board), Way(WITH, partial(board, intervals=True))),
    sizes=({"n": 500, "d": 64},),
    quick={"n": 100, "d": 16},
)


def kernels() -> list[Kernel]:
    found = [MOMENTS, FRECHET_TRACE, FRECHET_TRACE_LOW_RANK, neighbours(k=5), prdc(k=5), PRECISION_RECALL]
    found += [KERNEL_SUMS, KID_SUBSETS, INCEPTION_SCORE, LOG_MEAN_EXP, FD_PRDC, ALL_METRICS, BOARD_METRICS]
    return found + [VENDI] * ("vendi" in catalog.entries("metrics"))
