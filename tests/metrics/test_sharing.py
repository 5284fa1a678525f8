"""What one metric leaves behind in a set of points changes nothing that another finds there."""

import functools

import numpy as np
import pytest

from genbench.metrics import _shared, per_class, precision_recall
from genbench.numerics import kernels, neighbours, points
from genbench.numerics.kernels import Cubic, Gaussian
from genbench.numerics.points import WORTH_KEEPING, Points
from pointsets import METRICS, SETS, measured, values

# Every metric of features as it comes, and with other parameters: memos that differ by a parameter alone.
VARIANTS = {
    **{name: (name, {}) for name in METRICS},
    "authenticity, again": ("authenticity", {}),
    "bins=7": ("bins", {"bins": 7}),
    "bins=20": ("bins", {"bins": 20}),
    "cmmd, sigma=0.5": ("cmmd", {"sigma": 0.5}),
    "cmmd, raw": ("cmmd", {"normalise": False}),
    "cmmd, raw, sigma=1": ("cmmd", {"sigma": 1.0, "normalise": False}),
    "data-copying, 2 cells": ("data-copying", {"cells": 2}),
    "data-copying, 2 components": ("data-copying", {"components": 2}),
    "data-copying, 1 component": ("data-copying", {"components": 1}),
    "data-copying, another seed": ("data-copying", {"components": 2, "seed": 1}),
    "density-coverage, k=1": ("density-coverage", {"k": 1}),
    "density-coverage, k=3": ("density-coverage", {"k": 3}),
    "density-coverage, k=8": ("density-coverage", {"k": 8}),
    "fd-infinity, 2 parts": ("fd-infinity", {"parts": 2}),
    "kd, subsets": ("kd", {"subsets": 3, "subset_size": 20}),
    "mifid, penalised": ("mifid", {"tau": 1.0}),
    "near-duplicates, 5 neighbours": ("near-duplicates", {"neighbours": 5}),
    "near-duplicates, 20 neighbours": ("near-duplicates", {"neighbours": 20, "alpha": 0.9}),
    "precision-recall, k=1": ("precision-recall", {"k": 1}),
    "precision-recall, k=5": ("precision-recall", {"k": 5}),
    "precision-recall, k=8": ("precision-recall", {"k": 8}),
    "realism, k=1": ("realism", {"k": 1}),
    "realism, k=8": ("realism", {"k": 8}),
    "sliced-wasserstein, 9 directions": ("sliced-wasserstein", {"directions": 9}),
    "sliced-wasserstein, another seed": ("sliced-wasserstein", {"directions": 9, "seed": 1}),
    "vendi, q=2": ("vendi", {"q": 2}),
    "vendi, q=inf": ("vendi", {"q": "inf"}),
}
ROLES = {"as they are": (0, 1, 2), "other samples": (3, 1, 2), "exchanged": (1, 0, 3)}
QUESTIONS = [(variant, role) for role in ROLES for variant in VARIANTS]


@functools.cache
def rows() -> list[np.ndarray]:
    """Four sets with common rows, a row of zeros and a repeated row."""
    rng = np.random.default_rng(0)
    sets = [rng.standard_normal((n, 5)) * [1, 1, 2, 0.5, 1] + 0.1 * i for i, n in enumerate((105, 130, 80, 115))]
    for x in sets:
        x[3], x[7] = 0, x[8]
        x[20:25] = sets[1][30:35]
    return sets


def asked(question: tuple[str, str], points: list[Points]):
    variant, role = question
    name, parameters = VARIANTS[variant]
    return measured(name, dict(zip(SETS, (points[i] for i in ROLES[role]), strict=True)), **parameters)


@functools.cache
def on_shared_points(order: str) -> dict:
    points = [Points(x) for x in rows()]
    return {question: asked(question, points) for question in (QUESTIONS if order == "forwards" else QUESTIONS[::-1])}


@functools.cache
def on_fresh_points(question):
    return asked(question, [Points(x) for x in rows()])


@pytest.mark.parametrize("order", ["forwards", "backwards"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_metric_finds_on_points_that_all_others_have_used_what_it_finds_on_fresh_ones(variant, order):
    """Every pair of metrics comes in both orders. A memo that two of them share by mistake is written by the first
    of them in an order and misread by the next, whatever comes before, between and after.

    Moments are merged from halves where these are known, and sums of kernels are those of the halves: that is all
    that may differ, and by rounding.
    """
    for role in ROLES:
        fresh, shared = on_fresh_points((variant, role)), on_shared_points(order)[variant, role]
        assert shared.keys() == fresh.keys()
        for output, m in fresh.items():
            found = values(shared)[output]
            assert found == pytest.approx(values(fresh)[output], rel=1e-9, abs=1e-11), (output, role)
            assert shared[output].ci_method == m.ci_method, (output, role)
            assert shared[output].warnings == m.warnings, (output, role)


def test_labels_part_a_set_anew():
    """One set of points by three labellings, one after another and backwards."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 3)), rng.standard_normal((66, 3))
    labellings = [(np.arange(60) % c, np.arange(66) % c) for c in (2, 3)] + [(np.arange(60) // 30, np.arange(66) // 33)]
    X, Y = Points(x), Points(y)
    for a, b in labellings + labellings[::-1]:
        shared, fresh = per_class.compute(X, a, Y, b), per_class.compute(x, a, y, b)
        assert values(shared) == values(fresh)


@pytest.fixture
def store():
    """Where arrays of sets last, by name, and what was made for it."""
    kept: dict[str, dict[str, np.ndarray]] = {}

    def lasting(what, make):
        if what not in kept:
            kept[what] = make()
        return kept[what]

    return kept, lasting


def own(x: Points) -> list[np.ndarray]:
    kernels = Cubic(), Gaussian(10.0, of_directions=True), Gaussian(0.5)
    return [*x.nearest(x, 3), *(x.kernel_sums(x, kernel) for kernel in kernels)]


@pytest.mark.parametrize("d", [2, 300])
def test_what_a_large_set_is_asked_of_itself_lasts_with_the_same_bits(d, store, monkeypatch):
    kept, lasting = store
    x = np.random.default_rng(0).standard_normal((2 * WORTH_KEEPING, d)).astype(np.float32)
    alone = own(Points(x))
    for one, other in zip(alone, own(Points(x, lasting=lasting)), strict=True):
        assert np.array_equal(one, other)
    n = len(kept)
    for name in ("own_nearest", "nearest"):
        monkeypatch.setattr(neighbours, name, None)
    for name in ("own_sums", "sums"):
        monkeypatch.setattr(kernels, name, None)
    for one, other in zip(alone, own(Points(x.copy(), lasting=lasting)), strict=True):  # as in another process
        assert np.array_equal(one, other)
    assert len(kept) == n
    changed = x.copy()
    changed[-1, -1] += 1
    for other in (changed, x[::-1], x.astype(np.float64)):
        with pytest.raises(TypeError):  # they are made, by functions that are gone
            own(Points(other, lasting=lasting))


def test_of_small_sets_and_of_samples_nothing_lasts(store):
    kept, lasting = store
    rng = np.random.default_rng(0)
    small = Points(rng.standard_normal((WORTH_KEEPING - 1, 3)), lasting=lasting)
    own(small)
    assert not kept
    data, samples = (Points(rng.standard_normal((WORTH_KEEPING, 3)), lasting=given) for given in (lasting, None))
    samples.nearest(data)
    samples.kernel_sums(data, Cubic())
    data.kernel_sums(samples, Cubic())
    assert not kept


def test_pieces_of_data_are_drawn_and_looked_up_by_one_process(store, monkeypatch):
    kept, lasting = store
    rng = np.random.default_rng(0)
    x, train = (np.round(2 * rng.standard_normal((n, 3))) / 2 for n in (100, 130))  # with copies and ties
    samples = Points(x)
    alone = values(precision_recall.compute(samples, Points(train)))
    assert values(precision_recall.compute(samples, Points(train, lasting=lasting))) == alone
    assert sum("places of" in name for name in kept) == sum("neighbours in" in name for name in kept) == 2
    n, drawn, looked_up = len(kept), [], []
    draw, look_up = points.shuffled, neighbours.least
    monkeypatch.setattr(points, "shuffled", lambda keys, seed: drawn.append(seed) or draw(keys, seed))
    monkeypatch.setattr(neighbours, "least", lambda squares, k: looked_up.append(k) or look_up(squares, k))
    again = Points(train.copy(), lasting=lasting)  # as in another process
    assert values(precision_recall.compute(samples, again)) == alone
    assert (len(kept), drawn, looked_up) == (n, [_shared.SEED], [])  # one order of all, which is no piece
    renamed = Points(train, keys=lambda: [bytes([i]) for i in range(130)], lasting=lasting)
    of_keys = values(precision_recall.compute(samples, renamed))
    assert len(kept) == 2 * n
    assert of_keys == values(precision_recall.compute(samples, Points(train, keys=renamed._keys))) != alone


def test_pieces_that_hold_fewer_rows_than_a_table_look_up_for_themselves(store):
    _, lasting = store
    x = np.random.default_rng(0).standard_normal((14, 3))
    plain, last = (
        Points(x, lasting=given).pieces("thirds", lambda: np.split(np.arange(14), [5, 10])) for given in (None, lasting)
    )
    for one, other in zip(plain, last, strict=True):
        assert np.array_equal(one.x, other.x)
        for k in (1, 3):
            assert all(np.array_equal(a, b) for a, b in zip(one.nearest(one, k), other.nearest(other, k), strict=True))
