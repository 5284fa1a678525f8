"""Spaces: units and what is refused."""

import math

import numpy as np
import pytest

from genbench.datasets import SPLITS, Dataset
from genbench.errors import ModelError
from genbench.space import Space


def test_uniform_bytes_have_eight_bits_per_dimension():
    space = Space((3, 4, 4), 256)
    assert space.bits_per_dim(space.dim * math.log(256)) == pytest.approx(8, rel=1e-15)


def test_survives_the_round_trip_through_a_dictionary():
    for space in (Space((2,)), Space((1, 8, 8), 17)):
        assert Space.from_dict(space.to_dict()) == space


@pytest.mark.parametrize(
    ("x", "why"),
    [
        (np.zeros((2, 3), np.uint8), "expected \\[n, 4\\]"),
        (np.zeros((2, 4), np.float32), "expected integers"),
        (np.full((2, 4), 5, np.int64), "expected values 0..4"),
        (np.full((2, 4), -1, np.int64), "expected values 0..4"),
    ],
)
def test_says_what_is_outside_a_space_of_integers(x, why):
    with pytest.raises(ModelError, match=why):
        Space((4,), 5).checked(x, "sample")


def test_counts_values_that_are_not_finite():
    x = np.array([[0.0, np.nan], [np.inf, 1.0]], np.float32)
    with pytest.raises(ModelError, match="2 values are NaN or infinite"):
        Space((2,)).checked(x, "sample")


@pytest.mark.parametrize(("shape", "levels"), [((), None), ((0,), None), ((2,), 1)])
def test_refuses_a_space_of_nothing(shape, levels):
    with pytest.raises(ValueError, match="space"):
        Space(shape, levels)


@pytest.mark.parametrize("split", SPLITS)
def test_a_dataset_made_in_python_is_narrowed_with_a_look_back(split):
    """Its arrays are kept as the space keeps them, and what that would make equal is refused."""
    x = np.random.default_rng(0).standard_normal((30, 2))
    parts = dict.fromkeys(SPLITS, x)
    made = Dataset("d", Space((2,)), **parts, licence="none", source="none")
    assert made.split(split).dtype == np.float32
    np.testing.assert_array_equal(made.split(split), x.astype(np.float32))
    for far, words in ((x + 1e12, "are equal as float32"), (x * 1e300, "too large for float32")):
        with pytest.raises(ModelError, match=f"d/{split}: .*{words}"):
            Dataset("d", Space((2,)), **parts | {split: far}, licence="none", source="none")


def test_a_dataset_in_its_own_dtype_is_left_alone():
    x = np.zeros((5, 2), np.float32)
    made = Dataset("d", Space((2,)), x, x, x, "none", "none")
    assert made.train is x


@pytest.mark.parametrize(("shape", "levels"), [((2**16, 2**16), None), ((2,), 2**31 + 1), ((2**32,), 2)])
def test_a_space_that_no_array_can_fill_is_refused(shape, levels):
    with pytest.raises(ValueError, match="at most"):
        Space(shape, levels)
    assert Space((2,), 2**31).dtype == np.int32
