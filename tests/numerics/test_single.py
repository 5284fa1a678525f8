"""The cubic kernel of products in float32: the bound holds, and is small where it is used."""

import math

import numpy as np
import pytest

from genbench.metrics import kd
from genbench.numerics import kernels, single
from genbench.numerics.kernels import Cubic
from genbench.numerics.points import Points
from genbench.numerics.single import Single, SingleCubic

N, M, D = 520, 610, 1024


def plain(rng, n):
    return rng.standard_normal((n, D)).astype(np.float32)


def tied(rng, n):
    return plain(np.random.default_rng(5), 7)[rng.integers(7, size=n)]


DATA = {
    "random": plain,
    "float64": lambda rng, n: rng.standard_normal((n, D)),
    "offset": lambda rng, n: plain(rng, n) + np.float32(1000),
    "large": lambda rng, n: 1e4 * plain(rng, n),
    "small": lambda rng, n: 1e-2 * plain(rng, n),
    "one large": lambda rng, n: plain(rng, n) * np.where(np.arange(n) == 3, np.float32(1e6), np.float32(1))[:, None],
    "tied": tied,
}


@pytest.fixture(params=DATA)
def sets(request):
    rng = np.random.default_rng(0)
    return DATA[request.param](rng, N), DATA[request.param](rng, M)


def exact(x, y=None):
    """Sums in float64: within x, or of x and of y."""
    if y is None:
        return kernels.own_sums(x, (Cubic(),), (1024, 1024))[Cubic()]
    return tuple(found[Cubic()] for found in kernels.sums(x, y, (Cubic(),), (1024, 1024)))


@pytest.mark.parametrize("tile", [(64, 200), single.TILE])
def test_sums_are_off_by_no_more_than_they_say(sets, tile):
    X, Y = map(Single, sets)
    for found, expected in (
        (single.sums(X, X, tile), (exact(sets[0]),) * 2),
        (single.sums(X, Y, tile), exact(*sets)),
    ):
        *both, error = found
        rounding = 1e-12 * np.abs(expected[0]).sum()  # of float64, which rules far from 0
        for ours, theirs in zip(both, expected, strict=True):
            assert abs(ours.sum() - theirs.sum()) <= error + rounding
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=error + rounding)
        assert 0 < error < np.abs(expected[0]).sum()


def test_the_error_is_more_than_is_seen_and_grows_with_what_is_rounded():
    """Rows with half of the bits err more, and the error follows."""
    rng = np.random.default_rng(1)
    x, y = plain(rng, N), plain(rng, M)

    class Coarse(Single):
        def centred(self, rows):
            return super().centred(rows).astype(np.float16).astype(np.float32)

    fine, coarse = (single.sums(kind(x), kind(y)) for kind in (Single, Coarse))
    expected = exact(x, y)[0].sum()
    assert abs(fine[0].sum() - expected) < fine[2] < coarse[2] / 1000
    assert 0 < abs(coarse[0].sum() - expected) < coarse[2]


def test_no_more_vectors_than_one_in_a_billion_show_less():
    q = single.BEYOND**-2
    assert (q * math.exp(1 - q)) ** (single.VECTORS / 2) == pytest.approx(1e-9, rel=0.01)
    # Of a matrix of rank 1, where the norm |delta z|^2 varies most: |delta|^2 times the square of a normal number.
    seen = np.random.default_rng(2).chisquare(single.VECTORS, 10**6) / single.VECTORS
    assert (seen >= q).all()


def test_halves_add_up_and_remember(sets):
    x, y = sets
    X, Y, kernel = Points(x), Points(y), SingleCubic()
    for a, b, expected in ((X, Y, exact(x, y)[0]), (Y, X, exact(x, y)[1]), (X, X, exact(x))):
        error = a.kernel_error(b, kernel) + 1e-12 * np.abs(expected).sum()
        assert abs(a.kernel_sums(b, kernel).sum() - expected.sum()) <= error
        np.testing.assert_allclose(a.kernel_sums(b, kernel), expected, rtol=1e-6, atol=error)
    assert X.kernel_error(Y, kernel) == pytest.approx(Y.kernel_error(X, kernel), rel=1e-12)
    (places, half), other = X.halves[0], Y.halves[1][1]
    part = (x[places].astype(np.float64) @ other.x.T.astype(np.float64) / D + 1) ** 3
    np.testing.assert_allclose(half.kernel_sums(other, kernel), part.sum(1), rtol=1e-5, atol=X.kernel_error(Y, kernel))


def in_double(monkeypatch, *given, **options):
    with monkeypatch.context() as only:
        only.setattr(single, "MANY", D + 1)
        return kd.compute(*map(Points, given), **options)["kd"]


def test_the_kernel_distance_is_that_of_float64_to_a_thousandth_of_its_error(sets, monkeypatch):
    for options in ({}, {"intervals": False}, {"subsets": 2, "subset_size": 510}):
        ours, expected = kd.compute(*map(Points, sets), **options)["kd"], in_double(monkeypatch, *sets, **options)
        slack = in_double(monkeypatch, *sets).stderr
        assert abs(ours.value - expected.value) <= 1e-3 * slack
        if ours.stderr is not None:
            assert ours.stderr == pytest.approx(expected.stderr, rel=1e-4)


def test_values_alone_come_the_same_way_and_equal_data_too(sets):
    x, y = sets
    value = kd.compute(Points(x), Points(y))["kd"].value
    assert kd.compute(Points(x), Points(y), intervals=False)["kd"].value == value
    assert kd.compute(Points(x.copy()), Points(y.copy()))["kd"].value == value


def test_float32_serves_where_its_error_is_negligible_and_no_longer(monkeypatch):
    used = []
    swept = Points._swept
    monkeypatch.setattr(Points, "_swept", lambda *given: used.append(type(given[2])) or swept(*given))

    def kinds(x, y):
        used.clear()
        kd.compute(Points(x), Points(y))
        return set(used)

    rng = np.random.default_rng(3)
    x, y = plain(rng, N), plain(rng, M)
    assert kinds(x, y) == {SingleCubic}
    assert kinds(x[:, :-1], y[:, :-1]) == {Cubic}, "too few dimensions"
    assert kinds(x[: single.ENOUGH - 1], y) == {Cubic}, "too few rows"
    alike = np.tile([x[0], -x[0]], (300, 1))  # whichever row is left out, the distance is the same
    assert kinds(alike, alike.copy()) == {SingleCubic, Cubic}, "no standard error that its error could hide behind"
    assert kinds(np.float32(1e20) * x, np.float32(1e20) * y) == {SingleCubic, Cubic}, "products beyond float32"
