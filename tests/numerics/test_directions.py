"""Rows divided by their lengths, and what becomes of rows that have none."""

import numpy as np
import pytest

from genbench.numerics.directions import _directions, directions
from genbench.numerics.points import Points

X = np.array([[3.0, 4], [0, 0], [-3, 4], [0, -0.0], [6, 8]])


def test_directions_have_length_one_whatever_the_scale_and_keep_what_is_equal():
    x = np.array([[3.0, 4], [3e-200, 4e-200], [3e200, 4e200], [6, 8]])
    (units,) = directions(Points(x))
    np.testing.assert_allclose(units.x, [[0.6, 0.8]] * 4, rtol=1e-15)
    np.testing.assert_array_equal(units.x[0], units.x[3])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_directions_have_the_dtype_that_the_rows_had_and_those_of_integers_float64(dtype):
    (units,) = directions(Points(np.array([[3, 4], [30, 40]], dtype=dtype)))
    assert units.x.dtype == (np.float32 if dtype == np.float32 else np.float64)
    np.testing.assert_allclose(units.x, [[0.6, 0.8]] * 2, rtol=1e-7)


def test_blank_rows_are_alike_and_at_right_angles_to_the_rest_of_all_sets():
    full = X[[0, 2, 4]]
    expected = [[0.6, 0.8, 0], [0, 0, 1], [-0.6, 0.8, 0], [0, 0, 1], [0.6, 0.8, 0]]
    for sets in ((X, full), (full, X)):
        units = {id(x): u.x for x, u in zip(sets, directions(*(Points(x) for x in sets)), strict=True)}
        np.testing.assert_allclose(units[id(X)], expected, atol=1e-15)
        np.testing.assert_allclose(units[id(full)], [[0.6, 0.8, 0], [-0.6, 0.8, 0], [0.6, 0.8, 0]], atol=1e-15)


def test_a_set_has_directions_with_and_without_the_place_for_blank_rows():
    x, blank, full = (Points(a) for a in (X[:1], X[1:2], X[2:3]))
    for other, width in ((full, 2), (blank, 3), (full, 2), (blank, 3)):
        assert [units.d for units in directions(x, other)] == [width, width]
    assert directions(x, full)[0] is directions(full, x)[1]


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8, 9])
def test_directions_at_the_edges_of_blocks(n):
    x = Points(np.random.default_rng(0).standard_normal((n, 3)))
    expected = x.x / np.linalg.norm(x.x, axis=1, keepdims=True)
    np.testing.assert_allclose(_directions(x, blank=False, cached=4 * 3).x, expected, rtol=1e-15)
